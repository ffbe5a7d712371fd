"""The drain: ingests until the queue is empty, for operators and scripts."""

import time
from typing import Final, NamedTuple

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.batch_limits import DEFAULT_BATCH_BYTES, BatchLimits
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.slow_path import DEFAULT_MAX_ATTEMPTS, SlowPath
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.postgres.query import Query

_HAS_PENDING_MESSAGES = Query(__package__, "has_pending_messages", row=bool)
_WAIT_SECONDS: Final = 0.02


class Drained(NamedTuple):
    """The result of a drain."""

    result: BatchResult
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Messages per second over the whole drain."""
        return self.result.messages / self.seconds if self.seconds else 0.0


def drain(
    database: Database,
    *,
    batch_size: int,
    batch_bytes: int = DEFAULT_BATCH_BYTES,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> Drained:
    """Ingest until the queue has no visible message, and no other consumer holds one that it may release again.

    Waits for messages that will be retried within a minute. Other messages with a visibility timeout in the future stay
    in the queue.
    """
    slow_path = SlowPath(database, max_attempts=max_attempts)
    limits = BatchLimits(batch_size, batch_bytes).share(consumers=1)
    consumer = Consumer(
        database, batch_size=limits.messages, batch_bytes=limits.bytes, poll_interval_seconds=0, slow_path=slow_path
    )
    total = BatchResult()
    started = time.perf_counter()
    while True:
        result = retry_on_contention(consumer.ingest_batch)
        total = total.plus(result)
        if result.messages:
            continue
        with database.transaction() as connection:
            has_pending = _HAS_PENDING_MESSAGES.one(connection)
        if not has_pending:
            consumer.close()
            return Drained(total, time.perf_counter() - started)
        time.sleep(_WAIT_SECONDS)  # another consumer holds the rest, or a retry is not due yet
