"""The memory of events that a database has confirmed in the last seconds, in case that it loses them in a failover."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

#: The default of INSTANCE_AGENT_RESEND_SECONDS.
DEFAULT_RESEND_SECONDS: Final = 10.0
#: The default of INSTANCE_AGENT_RESEND_EVENTS.
DEFAULT_RESEND_EVENTS: Final = 10_000
_MAX_BYTES: Final = 64_000_000


@dataclass(slots=True)
class ConfirmedBatch:
    """A batch of events that was committed.

    Attributes:
        texts: the events as JSON.
        at: when it was last confirmed, by `time.monotonic()`.
        epochs: the histories of the database that have it.
    """

    texts: list[str]
    at: float
    epochs: set[str] = field(default_factory=set)
    size: int = 0


class ConfirmedEvents:
    """Batches that were confirmed within the last seconds, oldest first. For one thread.

    A standby that is promoted may lack the newest commits of its primary. `centralcloud.epoch()`, read in the transaction
    that sends, then differs from that of these batches: they are sent again. A batch is forgotten when it is old and the
    epoch is still that of its confirmation; so during an outage nothing is forgotten.
    """

    def __init__(self, seconds: float = DEFAULT_RESEND_SECONDS, max_events: int = DEFAULT_RESEND_EVENTS) -> None:
        """Remember nothing when `seconds` or `max_events` is 0."""
        self._seconds = seconds
        self._max_events = max_events if seconds else 0
        self._batches: deque[ConfirmedBatch] = deque()
        self._bytes = 0
        self._events = 0

    def __len__(self) -> int:
        return self._events

    @property
    def enabled(self) -> bool:
        """Whether anything is remembered."""
        return self._max_events > 0

    def add(self, texts: Sequence[str], epoch: str, now: float) -> None:
        """Remember a batch that was committed in a history of the database; forget the oldest beyond the bounds."""
        if not texts:
            return
        size = sum(map(len, texts))
        self._batches.append(ConfirmedBatch(list(texts), now, {epoch}, size))
        self._events += len(texts)
        self._bytes += size
        while self._batches and (self._events > self._max_events or self._bytes > _MAX_BYTES):
            self._forget_oldest()

    def missing_in(self, epoch: str) -> Iterator[ConfirmedBatch]:
        """Iterate over the batches that this history of the database may lack."""
        return iter([batch for batch in self._batches if epoch not in batch.epochs])

    def check_is_due(self, now: float) -> bool:
        """Whether the oldest batch is old enough to be forgotten, if the epoch is still the same."""
        return bool(self._batches) and now - self._batches[0].at >= self._seconds

    def forget_old(self, epoch: str, now: float) -> None:
        """Forget the old batches that this history of the database has."""
        while self.check_is_due(now) and epoch in self._batches[0].epochs:
            self._forget_oldest()

    def disable(self) -> None:
        """Forget everything, and remember nothing from now on."""
        self._max_events = 0
        self._batches.clear()
        self._events = self._bytes = 0

    def _forget_oldest(self) -> None:
        oldest = self._batches.popleft()
        self._events -= len(oldest.texts)
        self._bytes -= oldest.size
