"""The bounded queue of events that wait in memory. Imports nothing heavy: `publishing` uses it before anything is loaded."""

import threading
from collections import deque
from itertools import islice


class EventQueue:
    """Messages as JSON text, in order. Thread-safe, and never waits for more than another thread's append.

    Attributes:
        size: most messages that it holds (about 1 kB each).
        dropped: messages that were lost, because the queue was full or because the database rejected them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.dropped = 0
        self._messages: deque[str] = deque()
        self._emptied = threading.Condition()

    def append(self, text: str) -> bool:
        """Add a message; False if the queue is full."""
        with self._emptied:
            if len(self._messages) >= self.size:
                return False
            self._messages.append(text)
            return True

    def oldest(self, count: int) -> list[str]:
        """Return at most `count` messages, which stay in the queue until `remove`."""
        with self._emptied:
            return list(islice(self._messages, count))

    def remove(self, count: int) -> None:
        """Remove the oldest messages: they were sent, or rejected."""
        with self._emptied:
            for _ in range(count):
                self._messages.popleft()
            if not self._messages:
                self._emptied.notify_all()

    def take_all(self) -> list[str]:
        """Remove and return every message."""
        with self._emptied:
            messages = list(self._messages)
            self._messages.clear()
            return messages

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until every message was sent or rejected; False when time is up before."""
        with self._emptied:
            return self._emptied.wait_for(lambda: not self._messages, timeout_seconds)

    def __len__(self) -> int:
        return len(self._messages)
