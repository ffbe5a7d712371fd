"""The one row of `accounting`, which everybody who counts relies on."""

from centralcloud.contracts import CentralCloudError


class LedgerMissingError(CentralCloudError):
    """The row is gone: somebody has emptied the table."""

    def __init__(self) -> None:
        super().__init__("accounting: found no row, expected one; `centralcloud verify --repair` makes it")
