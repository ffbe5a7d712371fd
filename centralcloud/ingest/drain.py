"""Emptying the queue once, for operators and scripts."""

import time
from typing import Final, NamedTuple

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.slow_path import DEFAULT_MAX_ATTEMPTS, SlowPath
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.postgres.query import Query

_PENDING = Query(__package__, "pending_messages")
_WAIT_SECONDS: Final = 0.02


class Drained(NamedTuple):
    """What a drain has taken in."""

    result: BatchResult
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Messages a second over the whole drain."""
        return self.result.messages / self.seconds if self.seconds else 0.0


def drain(database: Database, *, batch_size: int, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> Drained:
    """Consume until no message is visible, also none that another consumer holds and may give back.

    Waits for messages that were attempted and will be attempted again within a minute. Others whose visibility timeout lies
    in the future are left alone.
    """
    slow_path = SlowPath(database, max_attempts=max_attempts)
    consumer = Consumer(database, batch_size=batch_size, poll_interval_seconds=0, slow_path=slow_path)
    total = BatchResult()
    started = time.perf_counter()
    while True:
        result = retry_on_contention(consumer.ingest_batch)
        total = total.plus(result)
        if result.messages:
            continue
        with database.transaction() as connection:
            row = connection.execute(_PENDING.text).fetchone()
        if not row or not row[0]:
            consumer.close()
            return Drained(total, time.perf_counter() - started)
        time.sleep(_WAIT_SECONDS)  # another consumer holds the rest, or its time has not come
