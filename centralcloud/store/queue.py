"""The queue of routing events, as its table and the message ledger describe it."""

from typing import Any, NamedTuple

import psycopg

from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError


class QueueState(NamedTuple):
    """The messages in the queue at one moment: messages = visible + in_flight + delayed.

    Attributes:
        messages: all of them.
        visible: those that a worker can read now.
        in_flight: those that a worker has leased, or that are to be attempted again later.
        delayed: those that were sent with a delay that is not over.
        oldest_age_seconds: age of the oldest message; None when the queue is empty.
        newest_age_seconds: age of the newest message; None when the queue is empty.
        bytes_on_disk: size of the table, indexes and dead rows included.
        dead_rows: rows that autovacuum has still to remove, estimated by the server.
        oldest_waiting_seconds: for how long the oldest message that is not delayed has waited, since the end of its own
            delay; None when every message is delayed.
        first_delayed_seconds, last_delayed_seconds: when the first and the last delayed message become visible, from now;
            None without any.
    """

    messages: int
    visible: int
    in_flight: int
    delayed: int
    oldest_age_seconds: float | None
    newest_age_seconds: float | None
    bytes_on_disk: int
    dead_rows: int
    oldest_waiting_seconds: float | None = None
    first_delayed_seconds: float | None = None
    last_delayed_seconds: float | None = None


class QueueCounters(NamedTuple):
    """Lifetime counters of the queue; two readings give rates.

    Attributes:
        sent: the greatest id of a message that was ever in the queue. An upper bound of the number sent: a transaction
            that rolls back has drawn its ids.
        left_the_queue: messages that were ingested, dead-lettered, recognised as duplicates, or purged.
        bytes_on_disk: size of the table, indexes and dead rows included.
    """

    sent: int
    left_the_queue: int
    bytes_on_disk: int


_QUEUE_STATE = Query(__package__, "queue_state", row=QueueState)
_QUEUE_COUNTERS = Query(__package__, "queue_counters", row=QueueCounters)
_QUEUE_IDS_DRAWN = Query(__package__, "queue_ids_drawn", row=int)


def read_queue_state(connection: psycopg.Connection[Any]) -> QueueState:
    """Read the state of the queue. Counts every message: about a second for ten million."""
    return _QUEUE_STATE.one(connection)


def read_queue_counters(connection: psycopg.Connection[Any]) -> QueueCounters:
    """Read the lifetime counters of the queue. Costs the same however full the queue is.

    Raises:
        LedgerMissingError: the message ledger has no row.
    """
    counters = _QUEUE_COUNTERS.maybe(connection)
    if counters is None:
        raise LedgerMissingError
    return counters


def read_newest_id(connection: psycopg.Connection[Any]) -> int:
    """Read the newest id that the queue has given out, to sends that are not committed, too; 0: none yet."""
    return _QUEUE_IDS_DRAWN.one(connection)
