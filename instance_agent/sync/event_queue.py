"""The bounded queue of events that wait in memory. Imports nothing heavy: `publishing` uses it before anything is loaded."""

import threading
from collections import deque
from typing import Final, NamedTuple

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.lifecycle import at_exit

log = get_logger(__name__)

#: Most events that wait, about 1 kB each; the default of INSTANCE_AGENT_PUBLISH_QUEUE_SIZE.
DEFAULT_QUEUE_SIZE: Final = 10_000
#: Most text of the events that wait, in bytes of UTF-8; the default of INSTANCE_AGENT_PUBLISH_QUEUE_BYTES.
DEFAULT_QUEUE_BYTES: Final = 64_000_000


class QueuedEvent(NamedTuple):
    """An event that waits.

    Attributes:
        number: counted from 1 in the order of arrival.
        text: the event as JSON.
    """

    number: int
    text: str


class EventQueue:
    """Messages as JSON text, in order. Thread-safe, and never waits for more than another thread's append.

    It counts every message that is lost, and logs losses as `events_dropped`: the first one of a series at once, the others
    as one number when the series ends. After `close` the counts of these lines add up to `dropped`. Messages that arrive
    later are logged whenever their number has doubled, and the rest at the end of the process or at the next `close`.

    Attributes:
        size: most messages that it holds.
        max_bytes: most bytes of text that it holds.
        dropped: messages that were lost, for any reason.
        kept: messages that waited at `close`, and are in a spool on disk.
    """

    def __init__(self, size: int = DEFAULT_QUEUE_SIZE, max_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        self.size = size
        self.max_bytes = max_bytes
        self.dropped = 0
        self.kept = 0
        self._events: deque[QueuedEvent] = deque()
        self._bytes = 0
        self._appended = 0
        # Reentrant, as a condition's own lock is: a signal handler may wait for the queue in a thread that appends.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._dropping = False
        self._not_logged = 0
        self._closed_because: str | None = None
        self._late = 0
        self._lost_at_close = 0
        self._disabled = False

    def append(self, text: str) -> bool:
        """Add a message; False when it is lost, because the queue is full or closed."""
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        with self._lock:  # by itself: the condition would double the time
            if self._disabled:
                return True
            full = self._why_full(size)
            if self._closed_because is None and full is None:
                self._appended += 1
                self._bytes += size
                self._events.append(QueuedEvent(self._appended, text))
                return True
            self.dropped += 1
            if self._closed_because is not None:
                self._drop_late()
                return False
            first, self._dropping = not self._dropping, True
            self._not_logged += not first
        if first:
            log.warning("events_dropped", count=1, reason=f"the queue is full: {full}")
        return False

    def drop(self, count: int, reason: str) -> None:
        """Count and log messages that are lost and not in the queue: they were rejected, or cannot be encoded."""
        with self._changed:
            self.dropped += count
        log.warning("events_dropped", count=count, reason=reason)

    def oldest(self, count: int, max_bytes: int | None = None) -> list[QueuedEvent]:
        """Return at most `count` messages, which stay in the queue until `remove`.

        Args:
            count: most messages, at least 1.
            max_bytes: about the most characters of text; one longer message is returned alone. None: no limit.
        """
        batch: list[QueuedEvent] = []
        length = 0
        with self._changed:
            for event in self._events:
                length += len(event.text)
                if len(batch) == count or (batch and max_bytes is not None and length > max_bytes):
                    break
                batch.append(event)
        return batch

    def after(self, number: int) -> list[QueuedEvent]:
        """Return the messages that arrived after the one with this number, oldest first; they stay in the queue."""
        newer: list[QueuedEvent] = []
        with self._changed:
            for event in reversed(self._events):
                if event.number <= number:
                    break
                newer.append(event)
        newer.reverse()
        return newer

    def remove(self, count: int) -> bool:
        """Remove the oldest messages, which were sent or rejected; False when `close` has counted them as lost before."""
        with self._changed:
            if self.closed:
                return False
            for _ in range(count):
                text = self._events.popleft().text
                self._bytes -= len(text) if text.isascii() else len(text.encode(errors="replace"))
            resumed, self._dropping = self._dropping, False
            not_logged, self._not_logged = self._not_logged, 0
            if not self._events:
                self._changed.notify_all()
        self._log_series(not_logged)
        if resumed:
            log.info("event_intake_resumed", dropped_so_far=self.dropped)
        return True

    def close(self, reason: str, *, kept_through: int = 0, later: str | None = None) -> int:
        """Drop every message, and from now on every new one. Safe to call twice: the first reasons count.

        Args:
            reason: of the loss, for the log.
            kept_through: messages up to this number are in a spool on disk, and not lost.
            later: why messages are lost that arrive from now on; None: for the same reason.

        Returns:
            The number of messages that this call dropped; they are logged.
        """
        with self._changed:
            if self.closed:
                self._log_late()
                return 0
            self._closed_because = later or reason
            self.kept = sum(event.number <= kept_through for event in self._events)
            lost = self._lost_at_close = len(self._events) - self.kept
            self.dropped += lost
            self._events.clear()
            self._bytes = 0
            self._dropping = False
            not_logged, self._not_logged = self._not_logged, 0
            self._changed.notify_all()
        self._log_series(not_logged)
        if self.kept:
            log.warning("events_left_in_spool", count=self.kept, reason=reason, effect="the next start sends them")
        if lost:
            log.warning("events_dropped", count=lost, reason=reason)
        return lost

    def disable(self) -> None:
        """Discard every message, now and from now on, as wanted: no loss is counted."""
        with self._changed:
            self._disabled = True
            self._events.clear()
            self._bytes = 0
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed_because is not None

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until every message was sent or rejected; False when time is up before, or when `close` dropped some."""
        with self._changed:
            emptied = self._changed.wait_for(lambda: not self._events, timeout_seconds)
            return emptied and not self._lost_at_close and not self.kept

    def __len__(self) -> int:
        return len(self._events)

    def _why_full(self, size: int) -> str | None:
        if len(self._events) >= self.size:
            return f"{self.size} events are waiting"
        if self._events and self._bytes + size > self.max_bytes:
            return f"{len(self._events)} events with {self._bytes} bytes are waiting"
        return None

    def _drop_late(self) -> None:
        """Log a message that arrived after `close`, and those before it, if they have doubled. The caller holds the lock."""
        self._late += 1
        self._not_logged += 1
        if self._late == 1:
            at_exit(self._log_late)
        if self._late & (self._late - 1) == 0:
            self._log_late()

    def _log_late(self) -> None:
        with self._changed:
            count, self._not_logged = self._not_logged, 0
        if count:
            log.warning("events_dropped", count=count, reason=self._closed_because)

    @staticmethod
    def _log_series(count: int) -> None:
        if count:
            log.warning("events_dropped", count=count, reason="the queue was full")
