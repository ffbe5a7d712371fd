"""The queue of routing events, and what was ingested from it."""

from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class QueueState(NamedTuple):
    """The queue in numbers: see `centralcloud.queue_summary()`.

    Attributes:
        messages: at most 100,000; with `capped` there are more.
        oldest_waiting_seconds: how long the oldest message has waited that is not delayed; None: none waits.
    """

    messages: int
    capped: bool
    visible: int
    in_flight: int
    delayed: int
    oldest_age_seconds: float | None
    oldest_waiting_seconds: float | None
    bytes_on_disk: int


_READ_QUEUE = Query(__package__, "read_queue", row=QueueState)

QUEUE: Final = Source("queue", Tier.SECOND, lambda connection: _READ_QUEUE.one(connection))
