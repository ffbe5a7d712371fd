"""How full the queue of routing events is, how old its messages are, and how fast it grows."""

import time
from typing import Any

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError

_STATE = Query("centralcloud.store", "queue_state", row=dict)
_COUNTERS = Query("centralcloud.store", "queue_counters", row=dict)


def queue_state(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """What is in the queue, and how it changes while we look.

    Returns:
        messages = visible + in_flight + delayed; oldest_age_seconds and newest_age_seconds (None when it is empty);
        bytes_on_disk with indexes, dead rows included; dead_rows, an estimate; and per second, over `measure_seconds`:
        sent_per_second, taken_per_second, bytes_per_second.
    """
    before = _read(database, _COUNTERS)
    state = _read(database, _STATE)
    time.sleep(measure_seconds)
    after = _read(database, _COUNTERS)
    seconds = after["at"] - before["at"]
    changed = {name: (after[name] - before[name]) / seconds for name in ("sent", "left_the_queue", "bytes_on_disk")}
    return {
        **state,
        "sent_per_second": changed["sent"],
        "taken_per_second": changed["left_the_queue"],
        "bytes_per_second": changed["bytes_on_disk"],
    }


def _read(database: Database, query: Query[dict[str, Any]]) -> dict[str, Any]:
    with database.transaction() as connection:
        row = query.maybe(connection)
    if row is None:
        raise LedgerMissingError
    return row
