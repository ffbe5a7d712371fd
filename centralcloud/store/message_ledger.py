"""The message ledger: the only row of `accounting`, which counts what became of every message."""

from centralcloud.contracts import CentralCloudError


class LedgerMissingError(CentralCloudError):
    """The ledger's row was deleted."""

    def __init__(self) -> None:
        super().__init__("accounting: found no row, expected one; `centralcloud verify --repair` creates it")
