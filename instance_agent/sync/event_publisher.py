"""The decision publisher: sends routing events in the background. Routing does not wait for the database or fail with it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.session import begin_pooled
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.sync.event_queue import DEFAULT_QUEUE_SIZE, EventQueue

_PUBLISH_DECISIONS = Query(__package__, "publish_decisions")
_BATCH_SIZE: Final = 500
#: Time between two batches: events of this time are sent together. It also limits the rate of NOTIFY, for which PostgreSQL
#: makes committing transactions wait for each other.
_LINGER_SECONDS: Final = 0.1


class EventPublisher(BackgroundTask):
    """A bounded queue in memory, and a thread that sends its events to `model_routing_decisions`.

    Events are lost in two cases: they arrive while the queue is full (after a long outage of the database), or the process
    is killed while they are in memory. `stop()` sends the remaining events if the database is available, until `give_up`.
    Losses are logged and counted in `dropped`. A batch whose commit was not confirmed is sent again; the decision ids make
    that harmless.

    Attributes:
        sent: events that the database has accepted since the start.
    """

    def __init__(
        self, database: Database, *, queue_size: int = DEFAULT_QUEUE_SIZE, queue: EventQueue | None = None
    ) -> None:
        """At most `queue_size` events wait in memory, or `queue` holds them."""
        super().__init__("publisher", database, interval_seconds=_LINGER_SECONDS)
        self._queue = EventQueue(queue_size) if queue is None else queue
        self.sent = 0

    def publish(self, event: RoutingEvent) -> None:
        """Add one event to the queue. Returns immediately and never raises."""
        try:
            text = event.to_json()
        except (UnicodeEncodeError, ValueError, OverflowError, TypeError) as error:
            self._queue.drop(1, f"it cannot be encoded as JSON: {summarize_error(error)}")
            return
        self.publish_text(text)

    def publish_text(self, text: str) -> None:
        """Add one event, as JSON text, to the queue. Returns immediately and never raises."""
        if self._queue.append(text) and len(self._queue) % _BATCH_SIZE == 0:
            self.wake()

    def run_once(self) -> bool:
        """Send one batch; return True when another full one is waiting."""
        return self._send_batch(self._send)

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

    def is_outage(self, error: BaseException) -> bool:
        """Return True for every database error: routing continues, and the events wait in memory."""
        return is_database_error(error)

    def on_stop(self) -> None:
        """Send what waits, until the database is unavailable or `give_up` is called."""
        try:
            while self.waiting:
                self.run_once()
        except Exception as error:
            if not is_database_error(error):
                raise
            self.give_up(f"the program is stopping and the database is unavailable: {summarize_error(error)}")

    def give_up(self, reason: str) -> int:
        """Drop every event that waits, and stop: for a stop that may take no longer. Safe to call twice.

        The thread ends by itself: it sends nothing more. A batch in flight counts as lost, although PostgreSQL may still
        commit it; the wait for its answer has its own limit, 15 seconds.

        Returns:
            The number of events lost, which are logged.
        """
        self.stop()
        return self._queue.close(reason)

    @property
    def waiting(self) -> int:
        """Number of events in memory."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Number of events lost since the start."""
        return self._queue.dropped

    def _send_batch(self, send: Callable[[Sequence[str]], object]) -> bool:
        batch = self._queue.oldest(_BATCH_SIZE)
        if not batch:
            return False
        rejected = send_isolating_rejects(batch, send)
        if self._queue.remove(len(batch)):
            self.sent += len(batch) - len(rejected)
            for _, error in rejected:
                self._queue.drop(1, f"PostgreSQL rejects it: {summarize_error(error)}")
        return self.waiting >= _BATCH_SIZE

    def _send(self, batch: Sequence[str]) -> None:
        with self.database.transaction() as connection:
            _PUBLISH_DECISIONS.run(connection, {"events": list(batch)})

    def _log_outage(self, error: BaseException) -> None:
        if not self._queue.closed:  # otherwise the pool was closed, too, and there is nothing left to send
            super()._log_outage(error)
