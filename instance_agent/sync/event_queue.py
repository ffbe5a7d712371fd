"""The bounded queue of events that wait in memory. Imports nothing heavy: `publishing` uses it before anything is loaded."""

import threading
from collections import deque
from itertools import islice
from typing import Final

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: Most events that wait, about 1 kB each; the default of INSTANCE_AGENT_PUBLISH_QUEUE_SIZE.
DEFAULT_QUEUE_SIZE: Final = 10_000


class EventQueue:
    """Messages as JSON text, in order. Thread-safe, and never waits for more than another thread's append.

    It counts every message that is lost, and logs losses as `events_dropped`: the first one of a series at once, the others
    as one number when the series ends. After `close` the counts of these lines add up to `dropped`.

    Attributes:
        size: most messages that it holds.
        dropped: messages that were lost, for any reason.
    """

    def __init__(self, size: int = DEFAULT_QUEUE_SIZE) -> None:
        self.size = size
        self.dropped = 0
        self._messages: deque[str] = deque()
        self._changed = threading.Condition()
        self._dropping = False
        self._not_logged = 0
        self._closed_because: str | None = None
        self._lost_at_close = 0
        self._disabled = False

    def append(self, text: str) -> bool:
        """Add a message; False when it is lost, because the queue is full or closed."""
        with self._changed:
            if self._disabled:
                return True
            if self._closed_because is None and len(self._messages) < self.size:
                self._messages.append(text)
                return True
            self.dropped += 1
            first, self._dropping = not self._dropping, True
            self._not_logged += not first
            reason = self._closed_because or f"the queue is full: {self.size} events are waiting"
        if first:
            log.warning("events_dropped", count=1, reason=reason)
        return False

    def drop(self, count: int, reason: str) -> None:
        """Count and log messages that are lost and not in the queue: they were rejected, or cannot be encoded."""
        with self._changed:
            self.dropped += count
        log.warning("events_dropped", count=count, reason=reason)

    def oldest(self, count: int) -> list[str]:
        """Return at most `count` messages, which stay in the queue until `remove`."""
        with self._changed:
            return list(islice(self._messages, count))

    def remove(self, count: int) -> bool:
        """Remove the oldest messages, which were sent or rejected; False when `close` has counted them as lost before."""
        with self._changed:
            if self.closed:
                return False
            for _ in range(count):
                self._messages.popleft()
            resumed, self._dropping = self._dropping, False
            not_logged, self._not_logged = self._not_logged, 0
            if not self._messages:
                self._changed.notify_all()
        self._log_series(not_logged)
        if resumed:
            log.info("event_intake_resumed", dropped_so_far=self.dropped)
        return True

    def close(self, reason: str) -> int:
        """Drop every message, and from now on every new one. Safe to call twice: the first reason counts.

        Returns:
            The number of messages that this call dropped; they are logged.
        """
        with self._changed:
            if self.closed:
                return 0
            self._closed_because = reason
            lost = self._lost_at_close = len(self._messages)
            self.dropped += lost
            self._messages.clear()
            self._dropping = False
            not_logged, self._not_logged = self._not_logged, 0
            self._changed.notify_all()
        self._log_series(not_logged)
        if lost:
            log.warning("events_dropped", count=lost, reason=reason)
        return lost

    def disable(self) -> None:
        """Discard every message, now and from now on, as wanted: no loss is counted."""
        with self._changed:
            self._disabled = True
            self._messages.clear()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed_because is not None

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until every message was sent or rejected; False when time is up before, or when `close` dropped some."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._messages, timeout_seconds) and not self._lost_at_close

    def __len__(self) -> int:
        return len(self._messages)

    @staticmethod
    def _log_series(count: int) -> None:
        if count:
            log.warning("events_dropped", count=count, reason="the queue was full")
