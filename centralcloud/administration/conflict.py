"""The refusal of a change whose subject is not as the operator has seen it."""

from centralcloud.contracts import CentralCloudError


class ChangedMeanwhileError(CentralCloudError):
    """Another change came first: nothing was changed. The message says what is there now."""
