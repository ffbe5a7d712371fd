"""The bounded queue of events that wait in memory. Imports nothing heavy: `publishing` uses it before anything is loaded."""

import threading
from collections import deque
from collections.abc import Callable
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
        overflow: keeps a message on disk for which memory has no room, and returns why it could not, None when it did. It
            returns at once, and never raises. None: there is no disk, and such a message is lost.
        on_disk: messages that `overflow` keeps, and that were not sent.
    """

    def __init__(self, size: int = DEFAULT_QUEUE_SIZE, max_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        self.size = size
        self.max_bytes = max_bytes
        self.dropped = 0
        self.kept = 0
        self.overflow: Callable[[str], str | None] | None = None
        self.on_disk = 0
        self._was_on_disk = 0
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
        """Add a message; False when it is not in memory: the queue is full, and it is on disk, or lost, or it is closed."""
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
            if full is not None and self._closed_because is None and self.overflow is not None:
                not_kept = self.overflow(text)
                if not_kept is None:
                    self._add_on_disk()
                    return False
                full = f"{full}, and on disk {not_kept}"
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

    def remove_on_disk(self, count: int, lost_because: str | None = None) -> None:
        """Remove messages that are only on disk, which were sent or rejected, or are lost for a reason."""
        with self._changed:
            if self.closed:
                return
            self.on_disk -= count
            sent, self._was_on_disk = self._was_on_disk, 0 if not self.on_disk else self._was_on_disk
            if not self.on_disk:
                self._notify_if_empty()
        if lost_because is not None:
            self.drop(count, lost_because)
        if not self.on_disk and sent:
            log.info("events_on_disk_sent", count=sent)

    def remove(self, count: int) -> bool:
        """Remove the oldest messages, which were sent or rejected; False when `close` has counted them as lost before."""
        with self._changed:
            if self.closed:
                return False
            for _ in range(count):
                text = self._events.popleft().text
                self._bytes -= len(text) if text.isascii() else len(text.encode(errors="replace"))
            resumed, not_logged = self._end_series()
            self._notify_if_empty()
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
            kept = sum(event.number <= kept_through for event in self._events)
            lost = self._lost_at_close = len(self._events) - kept
            self.kept = kept + self.on_disk
            self.dropped += lost
            self._events.clear()
            self._bytes = self.on_disk = 0
            _, not_logged = self._end_series()
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
            emptied = self._changed.wait_for(lambda: not self._events and not self.on_disk, timeout_seconds)
            return emptied and not self._lost_at_close and not self.kept

    def __len__(self) -> int:
        return len(self._events)

    @property
    def dropping(self) -> bool:
        """Whether the newest message was lost because neither memory nor the disk had room."""
        return self._dropping

    def _add_on_disk(self) -> None:
        """Count a message that is only on disk. The caller holds the lock."""
        self.on_disk += 1
        self._was_on_disk += 1
        resumed, not_logged = self._end_series()
        self._log_series(not_logged)
        if resumed:
            log.info("event_intake_resumed", dropped_so_far=self.dropped)
        if self.on_disk == 1:
            effect = "further events wait on disk only, and are sent when the database accepts them"
            log.warning("events_on_disk_only", waiting=len(self._events), effect=effect)

    def _end_series(self) -> tuple[bool, int]:
        """End a series of losses; return whether there was one, and how many were not logged. The caller holds the lock."""
        resumed, self._dropping = self._dropping, False
        not_logged, self._not_logged = self._not_logged, 0
        return resumed, not_logged

    def _notify_if_empty(self) -> None:
        if not self._events and not self.on_disk:
            self._changed.notify_all()

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
