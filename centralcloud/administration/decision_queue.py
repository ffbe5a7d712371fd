"""Shedding load: removing old messages from the queue of routing events."""

from datetime import datetime
from typing import Final

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError

_COUNTERS = Query("centralcloud.store", "queue_counters", row=dict)
_PURGE_PAGE = Query(__package__, "purge_page")
#: Messages a transaction: short enough that nobody waits for it.
_PAGE_SIZE: Final = 10_000


def purge(database: Database, *, before: datetime) -> int:
    """Remove the messages that were sent before a moment, unread, and count them. Returns how many."""
    purged = 0
    after: int | None = 0
    with database.transaction() as connection:
        counters = _COUNTERS.maybe(connection)
    if counters is None:
        raise LedgerMissingError
    newest = counters["sent"]  # what comes meanwhile is not old
    while after is not None and after < newest:
        with database.transaction() as connection:
            page = {"after": after, "before": before, "page_size": _PAGE_SIZE}
            after, gone = _PURGE_PAGE.one(connection, page)
        purged += gone
    return purged
