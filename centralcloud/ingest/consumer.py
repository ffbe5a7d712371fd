"""The consumer: the background task that ingests the queue."""

import math
import time
from typing import Final

import psycopg

from centralcloud.ingest.batch_ingest import (
    ONE_MESSAGE_LIMIT_SECONDS,
    BatchResult,
    BatchTooLargeError,
    RetriedMessageError,
    ingest_batch,
    is_missing_partition,
)
from centralcloud.ingest.batch_limits import DEFAULT_BATCH_BYTES, BatchLimits, BatchSize
from centralcloud.ingest.metrics import IngestMetrics
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import (
    DatabaseUnavailableError,
    is_database_error,
    is_out_of_memory,
    is_refusal,
    summarize_error,
)
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.sequences import behind_error, drew_a_used_number

log = get_logger(__name__)

#: Most messages that are isolated because the database has refused a value: a larger batch is made smaller first. The slow
#: path takes twenty times as long as the fast path.
_MOST_ISOLATED: Final = 100
_REFUSED_SHARE: Final = 8

#: An event that is sent less than 0.1 s after a notification has none of its own (``notify_decisions.v1.sql``), and its
#: commit takes time. So a notification is followed by further looks at the queue: this long, and this far apart.
_LOOK_AGAIN_FOR_SECONDS: Final = 0.2
_LOOK_AGAIN_EVERY_SECONDS: Final = 0.1


class Consumer(BackgroundTask):
    """Ingests batches of routing events until the queue is empty, then waits for a notification or the poll interval.

    After each `wake()`, which is for notifications, it looks again until 0.2 s have passed: the server sends one
    notification for all events of 0.1 s.

    The fast path ingests a whole batch in one transaction. These messages take the slow path:

    - as many as a batch has, after the database has refused a value in a batch of at most 100;
    - as many as a batch has, at the start, if the registry has a worker that did not stop cleanly: a message may have
      killed it;
    - messages that were attempted before, when a batch contains some.

    A batch that fails as a whole is repeated with fewer messages.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_size: int,
        batch_bytes: int = DEFAULT_BATCH_BYTES,
        poll_interval_seconds: float,
        slow_path: SlowPath | None = None,
        registry: WorkerRegistry | None = None,
        metrics: IngestMetrics | None = None,
        name: str = "consumer",
    ) -> None:
        """Ingest at most `batch_size` messages per transaction; poll an empty queue every `poll_interval_seconds`.

        Args:
            batch_bytes: most bytes of the texts of one batch, not less than the largest message has.

        The consumers of one process share a `slow_path` and a `registry`.
        """
        super().__init__(name, database, interval_seconds=poll_interval_seconds)
        self._size = BatchSize(BatchLimits(batch_size, batch_bytes))
        self._metrics = metrics
        self._slow_path = slow_path or SlowPath(database)
        self._registry = registry or WorkerRegistry(database, batch_size=batch_size)
        self._registered = False
        self._isolate_next = 0
        self._retried_messages = 0
        self._batches = 0
        self._messages_left = False
        self._poll_interval_seconds = poll_interval_seconds
        self._woken_at = -math.inf

    def wake(self) -> None:
        """Start the next run now, and look again after it."""
        self._woken_at = time.monotonic()
        super().wake()

    def run_once(self) -> bool:
        """Ingest one batch; return True when there may be more messages."""
        was_isolating, self._messages_left = self._isolating, False
        looks_again = time.monotonic() - self._woken_at < _LOOK_AGAIN_FOR_SECONDS
        self.ingest_batch()
        longest = _LOOK_AGAIN_EVERY_SECONDS if looks_again else math.inf
        self.interval_seconds = min(self._poll_interval_seconds, longest)
        return was_isolating or self._isolating or self._messages_left

    def ingest_batch(self) -> BatchResult:
        """Ingest one batch, and count and log its result.

        Raises:
            SequencesBehindError: a sequence gives out numbers that are in use; every message is in the queue again.
        """
        try:
            return self._ingest_batch()
        except psycopg.errors.UniqueViolation as error:
            if not drew_a_used_number(error):
                raise
            raise behind_error(error) from None

    def _ingest_batch(self) -> BatchResult:
        self._heartbeat()
        self._batches += 1
        bind_to_logs(worker=self._registry.worker_id, batch=self._batches)
        started = time.perf_counter()
        try:
            result = self._ingest()
        except psycopg.errors.CheckViolation as error:
            if not is_missing_partition(error):
                raise
            ensure_partitions(self.database)
            result = self._ingest()
        except MemoryError as error:
            raise DatabaseUnavailableError("this process is out of memory, even for one message") from error
        if result.messages:
            seconds = time.perf_counter() - started
            log.debug("batch_ingested", **result._asdict(), seconds=round(seconds, 4))
            if result.dead_letters:
                log.warning("messages_dead_lettered", count=result.dead_letters)
            if self._metrics:
                self._metrics.add(result, seconds)
        return result

    def close(self) -> None:
        """Release the leases and deregister. A worker that does not is an unclean exit for the next start."""
        try:
            self._slow_path.release_leases()
        except Exception as error:
            if not is_database_error(error):
                raise
        if self._registered:
            self._registry.deregister()
            self._registered = False

    def on_stop(self) -> None:
        if self.stopping:  # after a crash the worker stays registered: an unclean exit
            self.close()

    @property
    def _isolating(self) -> bool:
        return self._isolate_next > 0 or self._retried_messages > 0

    def _heartbeat(self) -> None:
        if self._registered:
            self._registry.heartbeat()
        else:
            self._isolate_next = self._registry.register()
            self._registered = True

    def _ingest(self) -> BatchResult:
        if self._isolate_next:
            result, leased = self._slow_path.ingest(self._isolate_next)
            self._isolate_next = max(0, self._isolate_next - leased) if leased else 0
            return result
        if self._retried_messages:
            result, leased = self._slow_path.ingest_retried(among=self._size.most.messages)
            self._retried_messages = self._retried_messages - 1 if leased else 0
            return result
        return self._ingest_fast(self._size.next)

    def _ingest_fast(self, limits: BatchLimits) -> BatchResult:
        try:
            limit = LIMIT_SECONDS if limits.messages > 1 else ONE_MESSAGE_LIMIT_SECONDS
            with self.database.transaction(limit_seconds=limit) as connection:
                batch = ingest_batch(connection, limits, self._metrics.lag if self._metrics else None)
        except RetriedMessageError as error:
            log.warning("batch_isolated", reason=str(error))
            self._retried_messages = error.count
        except BatchTooLargeError as error:
            self._size.exceeded(messages=error.messages, size_bytes=error.size_bytes)
            self._cut("bytes")
        except (psycopg.Error, MemoryError) as error:
            self._shrink(limits, error)
        else:
            self._size.ingested(found=batch.found, messages=batch.messages, size_bytes=batch.size_bytes)
            self._messages_left = batch.found >= limits.messages or batch.messages < batch.found
            if self._metrics and batch.messages:
                self._metrics.bytes(batch.size_bytes)
            return batch.result
        return BatchResult()

    def _shrink(self, limits: BatchLimits, error: psycopg.Error | MemoryError) -> None:
        """Make the next batch smaller, because of the error of this one. Raise the error if that does not help."""
        if isinstance(error, psycopg.Error) and (is_missing_partition(error) or drew_a_used_number(error)):
            raise error
        if is_out_of_memory(error):
            if limits.messages == 1:
                raise error
            self._size.failed()
            log.warning("batch_out_of_memory", reason=summarize_error(error), next_messages=self._size.next.messages)
            self._cut("memory")
        elif isinstance(error, psycopg.Error) and is_refusal(error):
            if limits.messages > _MOST_ISOLATED:
                self._size.failed(most_messages=max(limits.messages // _REFUSED_SHARE, _MOST_ISOLATED))
                self._cut("refused")
            else:
                log.warning("batch_isolated", reason=f"SQLSTATE {error.sqlstate}: {summarize_error(error)}")
                self._isolate_next = limits.messages
        else:
            # If the batch has exceeded the time limit of a transaction, half of it may not, or half of that.
            self._size.failed()
            raise error

    def _cut(self, reason: str) -> None:
        self._messages_left = True
        if self._metrics:
            self._metrics.cut(reason)
