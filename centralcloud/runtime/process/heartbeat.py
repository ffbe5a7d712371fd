"""Heartbeats: every loop of a program reports that it advances, and is stalled when it has not for too long."""

import time
from collections.abc import Callable
from typing import Final

from centralcloud.runtime.wording import counted

#: Added to the longest regular time between two heartbeats. Long enough for a machine that swaps or a suspended container.
GRACE_SECONDS: Final = 60.0


class Heartbeat:
    """The last sign of progress of one loop, and how old it may become.

    A loop that waits without a limit calls `rest`; its heartbeat does not age until the next `beat`.
    """

    def __init__(self, name: str, limit_seconds: Callable[[], float]) -> None:
        """Create a heartbeat at rest.

        Args:
            name: of the loop, for the operator.
            limit_seconds: how old the last heartbeat may be.
        """
        self.name = name
        self._limit_seconds = limit_seconds
        self._beat_at: float | None = None

    def beat(self) -> None:
        """Record that the loop advances."""
        self._beat_at = time.monotonic()

    def rest(self) -> None:
        """Expect no heartbeat until the next one."""
        self._beat_at = None

    @property
    def age_seconds(self) -> float:
        """Seconds since the last heartbeat; 0.0 at rest."""
        beat_at = self._beat_at
        return 0.0 if beat_at is None else time.monotonic() - beat_at

    @property
    def limit_seconds(self) -> float:
        """How old the last heartbeat may be."""
        return self._limit_seconds()

    @property
    def stalled(self) -> bool:
        """Whether the last heartbeat is older than the limit."""
        return self.age_seconds > self.limit_seconds

    def __str__(self) -> str:
        age = counted(round(self.age_seconds), "second")
        return f"{self.name}: last heartbeat {age} ago, limit {self.limit_seconds:.0f}"
