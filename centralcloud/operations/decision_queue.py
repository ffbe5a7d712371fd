"""The queue of routing events, as an operator sees it: how full, how old, how fast it grows, and how to shed."""

import time
from datetime import datetime
from typing import Any, Final

from psycopg.rows import dict_row

from centralcloud.runtime.database import Database
from centralcloud.store import queries
from centralcloud.store.accounts import AccountsMissingError

_STATE = queries.load("queue_state")
_COUNTERS = queries.load("queue_counters")
_PURGE_PAGE = queries.load("purge_page")
#: Messages a transaction: short enough that nobody waits for it.
_PAGE_SIZE: Final = 10_000


def queue_state(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """What is in the queue, and how it changes while we look.

    Returns:
        messages = visible + in_flight + delayed; oldest_age_seconds and newest_age_seconds (None when it is empty);
        bytes_on_disk with indexes, dead rows included; dead_rows, an estimate; and per second, over `measure_seconds`:
        sent_per_second, taken_per_second, bytes_per_second.
    """
    before = _counters(database)
    state = _row(database, _STATE)
    time.sleep(measure_seconds)
    after = _counters(database)
    seconds = after["at"] - before["at"]
    changed = {name: (after[name] - before[name]) / seconds for name in ("sent", "left_the_queue", "bytes_on_disk")}
    return {
        **state,
        "sent_per_second": changed["sent"],
        "taken_per_second": changed["left_the_queue"],
        "bytes_per_second": changed["bytes_on_disk"],
    }


def purge(database: Database, *, before: datetime) -> int:
    """Remove the messages that were sent before a moment, unread, and count them. Returns how many."""
    purged = 0
    after: int | None = 0
    newest = _counters(database)["sent"]  # what comes meanwhile is not old
    while after is not None and after < newest:
        with database.transaction() as connection:
            row = connection.execute(
                _PURGE_PAGE, {"after": after, "before": before, "page_size": _PAGE_SIZE}
            ).fetchone()
        assert row is not None
        after, gone = row
        purged += gone
    return purged


def _counters(database: Database) -> dict[str, Any]:
    return _row(database, _COUNTERS)


def _row(database: Database, query: bytes) -> dict[str, Any]:
    with database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query).fetchone()
    if row is None:
        raise AccountsMissingError
    return row
