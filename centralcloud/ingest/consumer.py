"""The background part that keeps the queue empty."""

import time

import psycopg

from centralcloud.ingest.careful_path import CarefulPath
from centralcloud.ingest.settlement import (
    ONE_MESSAGE_LIMIT_SECONDS,
    Settled,
    SuspectMessageError,
    is_missing_partition,
    settle_batch,
)
from centralcloud.ingest.statistics import IngestStatistics
from centralcloud.ingest.workers import WorkerRegister
from centralcloud.runtime.database import LIMIT_SECONDS, Database, is_database_error, is_refusal, one_line
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.loops import Part
from centralcloud.store.partitions import ensure_partitions

log = get_logger(__name__)


class Consumer(Part):
    """Takes batches of routing events off the queue until it is empty, then waits for a hint or the poll interval.

    The fast path settles a whole batch in one transaction. The careful way go instead

    - as many messages as a batch has, when the database refuses something in one, or when at the start the register knows
      a worker that never said goodbye: a message may have killed it;
    - messages that were attempted before, when a batch holds some.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_size: int,
        poll_interval_seconds: float,
        careful_path: CarefulPath | None = None,
        register: WorkerRegister | None = None,
        statistics: IngestStatistics | None = None,
        name: str = "consumer",
    ) -> None:
        """`batch_size` messages at most a transaction; `poll_interval_seconds` between polls of an empty queue.

        The consumers of one process share a `careful_path` and a `register`.
        """
        super().__init__(name, database, interval_seconds=poll_interval_seconds)
        self._batch_size = self._next_batch_size = batch_size
        self._statistics = statistics
        self._careful_path = careful_path or CarefulPath(database)
        self._register = register or WorkerRegister(database, batch_size=batch_size)
        self._joined = False
        self._careful_for = 0
        self._suspects = 0
        self._batches = 0

    def run_once(self) -> bool:
        """Settle one batch; True when there may be more."""
        was_careful, asked_for = self._careful, self._next_batch_size
        settled = self.settle()
        return was_careful or self._careful or settled.messages >= asked_for

    def settle(self) -> Settled:
        """Settle one batch and report what became of it."""
        self._check_in()
        self._batches += 1
        bind_to_logs(worker=self._register.worker_id, batch=self._batches)
        started = time.perf_counter()
        try:
            settled = self._settle()
        except psycopg.errors.CheckViolation as error:
            if not is_missing_partition(error):
                raise
            ensure_partitions(self.database)
            settled = self._settle()
        if settled.messages:
            seconds = time.perf_counter() - started
            log.debug("batch_ingested", **settled._asdict(), seconds=round(seconds, 4))
            if settled.dead_letters:
                log.warning("messages_dead_lettered", count=settled.dead_letters)
            if self._statistics:
                self._statistics.add(settled, seconds)
        return settled

    def close(self) -> None:
        """Give back what is leased, and leave the register. Without it, the next start is a careful one."""
        try:
            self._careful_path.give_back()
        except Exception as error:
            if not is_database_error(error):
                raise
        if self._joined:
            self._register.leave()
            self._joined = False

    def on_stop(self) -> None:
        if self.stopping:  # a crash is no goodbye
            self.close()

    @property
    def _careful(self) -> bool:
        return self._careful_for > 0 or self._suspects > 0

    def _check_in(self) -> None:
        if self._joined:
            self._register.check_in()
        else:
            self._careful_for = self._register.join()
            self._joined = True

    def _settle(self) -> Settled:
        if self._careful_for:
            settled, leased = self._careful_path.settle(self._careful_for)
            self._careful_for = max(0, self._careful_for - leased) if leased else 0
            return settled
        if self._suspects:
            settled, leased = self._careful_path.settle_suspect(among=self._batch_size)
            self._suspects = self._suspects - 1 if leased else 0
            return settled
        try:
            limit = LIMIT_SECONDS if self._next_batch_size > 1 else ONE_MESSAGE_LIMIT_SECONDS
            with self.database.transaction(limit_seconds=limit) as connection:
                on_lag = self._statistics.lag if self._statistics else None
                settled = settle_batch(connection, self._next_batch_size, on_lag)
            self._next_batch_size = min(2 * self._next_batch_size, self._batch_size)
            return settled
        except SuspectMessageError as error:
            log.warning("batch_needs_care", reason=str(error))
            self._suspects = error.count
            return Settled()
        except psycopg.Error as error:
            if not is_refusal(error) or is_missing_partition(error):
                # If the batch took longer than a transaction may, half of it does not, or half of that.
                self._next_batch_size = max(1, self._next_batch_size // 2)
                raise
            reason = f"SQLSTATE {error.sqlstate}: {one_line(error)}"
        log.warning("batch_needs_care", reason=reason)
        self._careful_for = self._batch_size
        return Settled()
