"""Emptying the queue once, for operators and scripts."""

import time
from typing import Final, NamedTuple

from centralcloud.ingest.careful_path import DEFAULT_MAX_ATTEMPTS, CarefulPath
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.settlement import Settled
from centralcloud.runtime.database import Database, patiently
from centralcloud.store import queries

_PENDING = queries.load("decisions_pending")
_WAIT_SECONDS: Final = 0.02


class Drained(NamedTuple):
    """What a drain has taken in."""

    settled: Settled
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Messages a second over the whole drain."""
        return self.settled.messages / self.seconds if self.seconds else 0.0


def drain(database: Database, *, batch_size: int, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> Drained:
    """Consume until no message is visible, also none that another consumer holds and may give back.

    Waits for messages that were attempted and will be attempted again within a minute. Others whose visibility timeout lies
    in the future are left alone.
    """
    careful_path = CarefulPath(database, max_attempts=max_attempts)
    consumer = Consumer(database, batch_size=batch_size, poll_interval_seconds=0, careful_path=careful_path)
    total = Settled()
    started = time.perf_counter()
    while True:
        settled = patiently(consumer.settle)
        total = total.plus(settled)
        if settled.messages:
            continue
        with database.transaction() as connection:
            row = connection.execute(_PENDING).fetchone()
        if not row or not row[0]:
            consumer.close()
            return Drained(total, time.perf_counter() - started)
        time.sleep(_WAIT_SECONDS)  # another consumer holds the rest, or its time has not come
