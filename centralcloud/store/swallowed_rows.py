"""Rows that a table swallows: a trigger that returns NULL, or a rule, makes an INSERT succeed without its row."""

from centralcloud.runtime.postgres.errors import TableUnusableError


class RowsSwallowedError(TableUnusableError):
    """A table has fewer rows than were written. The transaction must be rolled back: what it counts would be lost."""

    def __init__(self, table: str, *, written: int, stored: int) -> None:
        super().__init__(
            f"{table} swallows rows: {written} written, {stored} stored, and the transaction was rolled back; remove the "
            "trigger or rule of that table that discards them"
        )


def require_stored(table: str, *, written: int, stored: int) -> None:
    """Check that every row that was written to `table` is stored.

    Raises:
        RowsSwallowedError: some are not.
    """
    if stored < written:
        raise RowsSwallowedError(table, written=written, stored=stored)
