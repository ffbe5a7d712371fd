"""The decision publisher: sends routing events in the background. Routing does not wait for the database or fail with it."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import psycopg

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.session import begin_pooled
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.sync.confirmed_events import ConfirmedEvents
from instance_agent.sync.event_queue import DEFAULT_QUEUE_SIZE, EventQueue
from instance_agent.sync.spool import Spool
from instance_agent.sync.spool_files import size_of_spool

log = get_logger(__name__)

_PUBLISH_DECISIONS = Query(__package__, "publish_decisions")
_PUBLISH_AND_READ_EPOCH = Query(__package__, "publish_and_read_epoch", row=str)
_READ_EPOCH = Query(__package__, "read_epoch", row=str)
_BATCH_SIZE: Final = 500
#: Most text of a batch: 500 events of the usual size have half a megabyte.
_BATCH_BYTES: Final = 8_000_000
#: Time between two batches: events of this time are sent together.
_LINGER_SECONDS: Final = 0.1
#: So many events, of 50 requests, are sent without waiting for more.
_ENOUGH: Final = 100
_MISSING: Final = "their file in the spool was damaged, or changed by another program"


class EventPublisher(BackgroundTask):
    """A bounded queue in memory, and a thread that sends its events to `model_routing_decisions`.

    Without a spool, events are lost in two cases: they arrive while the queue is full (after a long outage of the database),
    or the process is killed while they are in memory. With a spool, those for which memory has no room wait on disk, up to
    its bound. When the database is back, they are sent oldest first, beside the new ones, which do not wait for them:
    learning needs what is new, and outcomes find their decisions by id, in any order.

    `stop()` sends the remaining events if the database is available, until `give_up`. Losses are logged and counted in
    `dropped`. A batch whose commit was not confirmed is sent again, and so are the events of the last seconds when the
    database comes back with another history, as a standby that was promoted does; the decision ids make that harmless.

    Attributes:
        sent: events that the database has accepted since the start, those of a spool included.
        resent: events that were sent again, because the database may have lost them.
        stopped_because: for the log, why events are lost that are published after the stop.
    """

    def __init__(
        self,
        database: Database,
        *,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        queue: EventQueue | None = None,
        confirmed: ConfirmedEvents | None = None,
        spool: Spool | None = None,
        gather_seconds: float = 0.0,
    ) -> None:
        """Create a publisher; `start` starts its threads.

        Args:
            database: that receives the events.
            queue_size: most events that wait in memory, when `queue` is None.
            queue: holds the events.
            confirmed: remembers the events of the last seconds; None: with its default bounds.
            spool: keeps the events on disk until they are sent; None: they are in memory only.
            gather_seconds: time between two batches of less than 100 events: fewer transactions where few events come.
        """
        super().__init__("publisher", database, interval_seconds=_LINGER_SECONDS)
        self._queue = EventQueue(queue_size) if queue is None else queue
        self._confirmed = ConfirmedEvents() if confirmed is None else confirmed
        self._spool = spool
        self._writer = None if spool is None else _SpoolWriter(database, spool, self._queue)
        if spool is not None:
            self._queue.overflow = spool.keep
            spool.on_missing(lambda count: self._queue.remove_on_disk(count, _MISSING))
        self._epoch: str | None = None
        self._epoch_is_new = False
        self._left_sent = 0
        self._gather_seconds = gather_seconds
        self._sent_at = float("-inf")
        self._flushing = False
        self._warned = False
        self.sent = 0
        self.resent = 0
        self.stopped_because = "the publisher was stopped"

    def publish(self, event: RoutingEvent) -> None:
        """Add one event to the queue. Returns immediately and never raises."""
        self.publish_together((event,))

    def publish_together(self, events: Sequence[RoutingEvent]) -> None:
        """Add events to the queue. Returns immediately and never raises."""
        texts = []
        for event in events:
            try:
                texts.append(event.to_json())
            except (UnicodeEncodeError, ValueError, OverflowError, TypeError) as error:
                self._queue.drop(1, f"it cannot be encoded as JSON: {summarize_error(error)}")
        self._publish_texts(texts)

    def publish_text(self, text: str) -> None:
        """Add one event, as JSON text, to the queue. Returns immediately and never raises."""
        self._publish_texts((text,))

    def _publish_texts(self, texts: Sequence[str]) -> None:
        added = [text for text in texts if self._queue.append(text)]  # the others are on disk, or logged as lost
        if not added:
            return
        if self._spool is not None:
            self._spool.add(added)
        if len(self._queue) % _BATCH_SIZE < len(added):
            self.wake()
        if not self._warned and not self.sending:
            self._warned = True
            started = self._thread is not None
            reason = "the thread that sends has ended" if started else "the publisher was not started"
            expected = "start() before the first event, or the agent in a `with` block"
            log.warning("events_not_sent", waiting=len(self._queue), reason=reason, expected=expected)

    @property
    def sending(self) -> bool:
        """Whether a thread sends the events. If none does, they wait in memory for `stop`."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread that sends, and that of the spool."""
        if self._writer is not None:
            self._writer.on_crash = self.on_crash
            self._writer.start()
        super().start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of the threads; True when they have ended."""
        deadline = time.monotonic() + timeout_seconds
        ended = super().join(timeout_seconds)
        return ended and (self._writer is None or self._writer.join(max(0.0, deadline - time.monotonic())))

    def run_once(self) -> bool:
        """Send one batch, and what the database may have lost or an ended process has left; return whether there is more."""
        self._epoch_is_new = False
        if self._spool is not None and not self.stopping:
            self._spool.look_for_left()
        more = False
        if not self._gathers():
            more = self._send_batch(self._send)
            self._send_lost()
        return self._send_from_disk() or more

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every event was sent; False when time is up before. Safe in a signal handler."""
        self._flushing = True
        try:
            return self._queue.wait_until_empty(timeout_seconds)
        finally:
            self._flushing = False

    def send_remaining(self, *, connect_seconds: float) -> None:
        """Send every event in the calling thread, over a connection of its own.

        For the end of the interpreter, when no thread can start any more, and so no pool can open.

        Raises:
            psycopg.Error: the database is unavailable; `connect_seconds`, at least 2, limit the wait for it.
        """
        with closing(self.database.connect(timeout_seconds=connect_seconds)) as connection:

            def send(batch: Sequence[str]) -> None:
                with connection.limited(ANSWER_SECONDS), connection.transaction():
                    begin_pooled(connection)
                    _PUBLISH_DECISIONS.run(connection, {"events": list(batch)})

            while self.waiting:
                self._send_batch(send)
            while self._send_disk_batch(send, own_only=True):
                pass

    def is_outage(self, error: BaseException) -> bool:
        """Return True for every database error: routing continues, and the events wait in memory."""
        return is_database_error(error)

    def on_stop(self) -> None:
        """Send what waits, until the database is unavailable or `give_up` is called."""
        try:
            while self.waiting:
                self._send_batch(self._send)
            while self._send_disk_batch(self._send, own_only=True):
                pass
        except Exception as error:
            if not is_database_error(error):
                raise
            reason = f"the program is stopping and the database is unavailable: {summarize_error(error)}"
            self.give_up(reason)
        finally:
            self._end_spool()

    def keep_in_spool(self) -> None:
        """Write what waits to the spool, if there is one, now and in the calling thread."""
        if self._spool is not None:
            self._spool.write_new(self._queue)

    def give_up(self, reason: str) -> int:
        """Drop every event that waits and is not in the spool, and stop: for a stop that may take no longer.

        Safe to call twice. The thread ends by itself: it sends nothing more. A batch in flight counts as lost, although
        PostgreSQL may still commit it; the wait for its answer has its own limit, 15 seconds.

        Args:
            reason: why the events are not sent. Those that are published later are lost because of `stopped_because`.

        Returns:
            The number of events lost, which are logged.
        """
        self.stop()
        self.keep_in_spool()
        kept_through = 0 if self._spool is None else self._spool.written_through
        lost = self._queue.close(reason, kept_through=kept_through, later=self.stopped_because)
        self._end_spool()
        return lost

    def abandon(self) -> None:
        """Leave the files of the spool to the parent, in the child of a fork, which must not use this object again."""
        if self._spool is not None:
            self._spool.abandon()

    @property
    def waiting(self) -> int:
        """Number of events in memory."""
        return len(self._queue)

    @property
    def waiting_on_disk(self) -> int:
        """Number of events that are only on disk, those that ended processes have left included."""
        return 0 if self._spool is None else self._spool.waiting

    @property
    def oldest(self) -> list[str]:
        """The oldest event in memory, and the oldest one that is only on disk, as far as there are such events."""
        on_disk = None if self._spool is None else self._spool.oldest
        return [event.text for event in self._queue.oldest(1)] + ([] if on_disk is None else [on_disk])

    @property
    def dropped(self) -> int:
        """Number of events lost since the start."""
        return self._queue.dropped

    @property
    def spool_bytes(self) -> int:
        """Bytes in the folder of the spool, of all processes; 0 without one."""
        return 0 if self._spool is None else size_of_spool(self._spool.folder)[1]

    @property
    def spool_share(self) -> float:
        """Used share of the bound of the spool, 0 to 1; 0 without one."""
        return 0.0 if self._spool is None else self.spool_bytes / self._spool.max_bytes

    @property
    def not_spooled(self) -> int:
        """Number of events that could not be written to the spool since the start."""
        return 0 if self._spool is None else self._spool.not_written

    @property
    def spool_problem(self) -> str | None:
        """Why the newest events are not in the spool; None: they are, or there is no spool."""
        if self._spool is None:
            return None
        return self._spool.problem or (self._spool.overflow_problem if self._queue.dropping else None)

    @property
    def skipped_records(self) -> int:
        """Number of damaged records of the spool that were skipped since the start."""
        return 0 if self._spool is None else self._spool.skipped

    def _gathers(self) -> bool:
        """Whether the events that wait are few, and a batch was sent a moment ago."""
        few = 0 < len(self._queue) < _ENOUGH
        return few and not self._flushing and time.monotonic() - self._sent_at < self._gather_seconds

    def _send_batch(self, send: Callable[[Sequence[str]], object]) -> bool:
        batch = self._queue.oldest(_BATCH_SIZE, _BATCH_BYTES)
        if not batch:
            return False
        rejected = send_isolating_rejects([event.text for event in batch], send)
        self._sent_at = time.monotonic()
        if self._queue.remove(len(batch)):
            if self._spool is not None:
                self._spool.confirm(batch[-1].number)
            self._count(len(batch), rejected)
        return self.waiting >= _BATCH_SIZE

    def _send(self, batch: Sequence[str]) -> None:
        """Send a batch, and remember it with the epoch of its transaction."""
        epoch = self._commit(batch)
        if epoch is not None:
            self._confirmed.add(batch, epoch, time.monotonic())
            self._epoch = epoch
            self._epoch_is_new = True

    def _commit(self, batch: Sequence[str]) -> str | None:
        """Send a batch; return the epoch, None when nothing is to be remembered."""
        parameters = {"events": list(batch)}
        if self._confirmed.enabled:
            try:
                with self.database.transaction() as connection:
                    return _PUBLISH_AND_READ_EPOCH.one(connection, parameters)
            except psycopg.errors.InsufficientPrivilege as error:
                reason = summarize_error(error)
        with self.database.transaction() as connection:
            _PUBLISH_DECISIONS.run(connection, parameters)
        if self._confirmed.enabled:  # it was the epoch that may not be read
            log.warning("resend_disabled", reason=reason, expected="EXECUTE on centralcloud.epoch()")
            self._confirmed.disable()
        return None

    def _send_lost(self) -> None:
        """Send again what was confirmed in another history of the database, and forget what is old."""
        now = time.monotonic()
        if self._confirmed.check_is_due(now) and not self._epoch_is_new:
            with self.database.connection() as connection:
                self._epoch = _READ_EPOCH.one(connection)
        epoch, before = self._epoch, self.resent
        if epoch is None:
            return
        known: set[str] = set()
        try:
            for batch in self._confirmed.missing_in(epoch):
                rejected = send_isolating_rejects(batch.texts, self._commit)
                known |= batch.epochs
                batch.epochs.add(epoch)
                batch.at = now
                self.resent += len(batch.texts) - len(rejected)
        finally:  # the database may be unavailable again after the first batch
            if self.resent > before:
                effect = "a standby that was promoted may lack them; the decision ids make it harmless"
                log.warning("events_resent", count=self.resent - before, before=sorted(known), now=epoch, effect=effect)
        self._confirmed.forget_old(epoch, now)

    def _send_from_disk(self) -> bool:
        """Send events that are only on disk, until new ones have waited long enough; return whether there is more."""
        if self._spool is None:
            return False
        until = time.monotonic() + _LINGER_SECONDS
        while not self.stopping and self._send_disk_batch(self._send):
            if self.waiting >= _BATCH_SIZE or time.monotonic() >= until:
                return True
        return False

    def _send_disk_batch(self, send: Callable[[Sequence[str]], object], *, own_only: bool = False) -> bool:
        """Send a batch of the events that are only on disk; return whether there was one.

        Args:
            send: sends a batch.
            own_only: only events of this process, not those that an ended one has left.
        """
        if self._spool is None:
            return False
        texts = self._spool.next_left(_BATCH_SIZE, _BATCH_BYTES, own_only=own_only)
        if texts:
            rejected = send_isolating_rejects(texts, send)
            confirmed, own = self._spool.confirm_left()
            self._count(len(texts), rejected)
            if own:
                self._queue.remove_on_disk(confirmed)
            else:
                self._left_sent += len(texts) - len(rejected)
        elif self._left_sent:
            log.info("spool_sent", count=self._left_sent)
            self._left_sent = 0
        return bool(texts)

    def _count(self, number: int, rejected: Sequence[tuple[str, psycopg.Error]]) -> None:
        self.sent += number - len(rejected)
        for _, error in rejected:
            self._queue.drop(1, f"PostgreSQL rejects it: {summarize_error(error)}")

    def _end_spool(self) -> None:
        if self._writer is not None and self._spool is not None:
            self._writer.stop()
            self._spool.close()


class _SpoolWriter(BackgroundTask):
    """Writes the events that wait to the disk, also while the publisher waits for the database."""

    def __init__(self, database: Database, spool: Spool, queue: EventQueue) -> None:
        super().__init__("spool", database, interval_seconds=_LINGER_SECONDS, connections=0)
        self.uses_database = False
        self._spool = spool
        self._queue = queue

    def run_once(self) -> bool:
        if not self.stopping:
            self._spool.write_new(self._queue)
        return False
