"""Sending routing events in the background: routing never waits for the database, and never fails with it."""

import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

_SEND: Final = "SELECT centralcloud.publish_decisions(%s::jsonb[], true)"
_BATCH_SIZE: Final = 500
#: Events wait this long for company. Also the pace of our NOTIFY, which makes committers wait for each other.
_LINGER_SECONDS: Final = 0.1


class DecisionPublisher(BackgroundTask):
    """A bounded queue in memory and a thread that empties it into `model_routing_decisions`.

    What is lost, and when: events that come while the queue is full (the database has been away for long), and those still
    in memory when the process is killed. `stop()` sends what is left if the database is there. Losses are counted in
    `dropped` and logged. A batch whose commit was not confirmed is sent again; the decision ids make that harmless.
    """

    def __init__(self, database: Database, *, queue_size: int = 10_000) -> None:
        """`queue_size` events at most wait in memory (about 1 kB each)."""
        super().__init__("publisher", database, interval_seconds=_LINGER_SECONDS)
        self._queue: deque[str] = deque()
        self._queue_size = queue_size
        self._lock = threading.Lock()
        self._dropping = False
        self.sent = 0
        self.dropped = 0

    def publish(self, event: RoutingEvent) -> None:
        """Take one event; returns at once, and never raises."""
        try:
            text = event.to_json()
        except (UnicodeEncodeError, ValueError, OverflowError, TypeError) as error:
            self._drop(1, f"it has no JSON form: {summarize_error(error)}")
            return
        with self._lock:
            full = len(self._queue) >= self._queue_size
            if not full:
                self._queue.append(text)
                ready = len(self._queue) % _BATCH_SIZE == 0
        if full:
            if not self._dropping:
                self._dropping = True
                self._drop(1, f"{self._queue_size} events wait already")
            else:
                self.dropped += 1
        elif ready:
            self.wake()

    def run_once(self) -> bool:
        """Send one batch; True when another full one waits."""
        batch = list(islice(self._queue, _BATCH_SIZE))
        if not batch:
            return False
        refused = send_isolating_rejects(batch, self._send)
        for _, error in refused:
            self._drop(1, f"PostgreSQL refuses it: {summarize_error(error)}")
        self.sent += len(batch) - len(refused)
        with self._lock:
            for _ in batch:
                self._queue.popleft()
        if self._dropping:
            self._dropping = False
            log.info("event_intake_resumed", dropped_so_far=self.dropped)
        return len(self._queue) >= _BATCH_SIZE

    def is_outage(self, error: BaseException) -> bool:
        """Every error of the database is waited out: routing goes on, and the events wait in memory."""
        return is_database_error(error)

    def on_stop(self) -> None:
        try:
            while self._queue:
                self.run_once()
        except Exception as error:
            if not is_database_error(error):
                raise
            self._drop(len(self._queue), f"the program ends and the database is away: {summarize_error(error)}")

    @property
    def waiting(self) -> int:
        """Events in memory."""
        return len(self._queue)

    def _send(self, batch: Sequence[str]) -> None:
        with self.database.transaction() as connection:
            connection.execute(_SEND, (list(batch),))

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        log.warning("events_dropped", count=count, reason=reason)
