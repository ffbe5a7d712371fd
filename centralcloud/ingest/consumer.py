"""The background part that keeps the queue empty."""

import time

import psycopg

from centralcloud.ingest.settlement import Settled, is_missing_partition, settle_batch, settle_one
from centralcloud.ingest.statistics import IngestStatistics
from centralcloud.runtime.database import Database, is_refusal, one_line
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from centralcloud.store.partitions import ensure_partitions

log = get_logger(__name__)


class Consumer(Part):
    """Takes batches of routing events off the queue until it is empty, then waits for a hint or the poll interval."""

    def __init__(
        self,
        database: Database,
        *,
        batch_size: int,
        poll_interval_seconds: float,
        statistics: IngestStatistics | None = None,
        name: str = "consumer",
    ) -> None:
        """`batch_size` messages at most a transaction; `poll_interval_seconds` between polls of an empty queue."""
        super().__init__(name, database, interval_seconds=poll_interval_seconds)
        self._batch_size = batch_size
        self._statistics = statistics

    def run_once(self) -> bool:
        """Settle one batch; True when there may be more."""
        return self.settle().messages >= self._batch_size

    def settle(self) -> Settled:
        """Settle one batch and report what became of it."""
        started = time.perf_counter()
        try:
            settled = self._settle_batch()
        except psycopg.errors.CheckViolation as error:
            if not is_missing_partition(error):
                raise
            ensure_partitions(self.database)
            settled = self._settle_batch()
        if settled.messages:
            seconds = time.perf_counter() - started
            log.debug("batch_ingested", **settled._asdict(), seconds=round(seconds, 4))
            if settled.dead_letters:
                log.warning("messages_dead_lettered", count=settled.dead_letters)
            if self._statistics:
                self._statistics.add(settled, seconds)
        return settled

    def _settle_batch(self) -> Settled:
        try:
            with self.database.transaction() as connection:
                return settle_batch(connection, self._batch_size)
        except psycopg.Error as error:
            if not is_refusal(error) or is_missing_partition(error):
                raise
            log.warning("batch_refused", reason=one_line(error), sqlstate=error.sqlstate)
            return self._settle_one_by_one()

    def _settle_one_by_one(self) -> Settled:
        """The batch again, a transaction a message: what is refused is put aside, the rest goes in."""
        total = Settled()
        for _ in range(self._batch_size):
            if self.stopping:
                break
            with self.database.transaction() as connection:
                settled = settle_one(connection)
            if not settled.messages:
                break
            total = total.plus(settled)
        return total
