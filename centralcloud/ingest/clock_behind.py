"""Events that lie ahead of the server's clock, when it is the server's clock that is wrong.

One instance with a wrong clock sends events that lie ahead while those of others do not: they become dead letters. When no
event at all agrees with the server's clock, the clock is behind, and every good event would become a dead letter. Such
events are ingested at the time of their arrival instead, and keep their own time in `extra`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from centralcloud.ingest.batch import AheadEvent, Batch
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.findings import Finding
from centralcloud.store.urgent_findings import open_urgent_finding

log = get_logger(__name__)

#: The kind of the finding that is open while this happens.
SERVER_CLOCK_BEHIND: Final = "server_clock_behind"

_NEWEST_RECORD_AGREES = Query(__package__, "newest_record_agrees", row=bool)


def decide_events_ahead(connection: psycopg.Connection[Any], batch: Batch, now: datetime) -> Batch:
    """Return `batch` without events ahead: each became an event at its arrival, or a dead letter.

    They are dead letters if another event agrees with the server's clock: one of the batch, or the newest record, if it
    arrived within an hour.
    """
    if not batch.ahead:
        return batch
    if batch.events or _NEWEST_RECORD_AGREES.maybe(connection, {"now": now}):
        letters = [*batch.dead_letters, *(each.letter for each in batch.ahead)]
        return Batch(batch.events, sorted(letters), [])
    return Batch([each.by_arrival for each in batch.ahead], batch.dead_letters, [])


def report_clock_behind(connection: psycopg.Connection[Any], ahead: Sequence[AheadEvent], now: datetime) -> None:
    """Open the finding about events that were ingested at their arrival. `now` is the server's time."""
    newest = max(each.own_time for each in ahead).isoformat()
    message = (
        f"every event lies ahead of the server's clock: it shows {now.isoformat(timespec='seconds')}, the newest event has "
        f"{newest}. Events are ingested with the time of their arrival, and keep their own in extra: set the clock"
    )
    details = {"events": len(ahead), "server": now.isoformat(), "newest_event": newest}
    open_urgent_finding(connection, Finding(SERVER_CLOCK_BEHIND, "server", message, details))
    log.warning("events_ahead_of_clock", count=len(ahead), newest=newest, effect="ingested with the time of arrival")
