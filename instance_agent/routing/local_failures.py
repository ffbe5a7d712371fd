"""Failures of local models in a row, for each policy: after some of them, others are tried first."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

#: Without another failure for so long, local models are first again, whatever failed before: in seconds.
FORGET_AFTER_SECONDS: Final = 60.0


class FailureView(Protocol):
    """The view of a plan on the failures."""

    def of(self, policy: str) -> int:
        """Return the failures of local models in a row under a policy."""


class LocalFailures:
    """Counts for one replica: each finds out by itself. For the event loop.

    A success of a local model under the policy ends its row. While others are first, local models get no requests that
    could succeed: so a row is forgotten, too, when none of them has failed for `FORGET_AFTER_SECONDS`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Create it; `clock` returns seconds that only grow."""
        self._clock = clock
        self._rows: dict[str, tuple[int, float]] = {}

    def of(self, policy: str) -> int:
        """Return the failures in a row under a policy."""
        row = self._rows.get(policy)
        if row is None:
            return 0
        if self._clock() - row[1] > FORGET_AFTER_SECONDS:
            del self._rows[policy]
            return 0
        return row[0]

    def failed(self, policy: str) -> None:
        """Count a failure of a local model that says something about it."""
        self._rows[policy] = self.of(policy) + 1, self._clock()

    def succeeded(self, policy: str) -> None:
        """End the row: a local model has answered."""
        self._rows.pop(policy, None)


class FixedFailures:
    """A view of counts that do not change, such as none at all."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = counts or {}

    def of(self, policy: str) -> int:
        """Return the failures in a row under a policy."""
        return self._counts.get(policy, 0)


NO_FAILURES: Final = FixedFailures()
