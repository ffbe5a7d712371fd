"""Wait for a condition, with a deadline. Tests never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

#: Between two checks. Seldom after a while: a check may open a connection, and other tests need the processor.
_FIRST_INTERVAL_SECONDS = 0.01
_LONGEST_INTERVAL_SECONDS = 0.05


def _pause(started: float) -> None:
    waited = time.monotonic() - started
    time.sleep(min(_LONGEST_INTERVAL_SECONDS, _FIRST_INTERVAL_SECONDS + waited / 20))


def passes(condition: Callable[[], bool], *, within_seconds: float) -> bool:
    """Return whether `condition` becomes true in time."""
    started = time.monotonic()
    deadline = started + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        _pause(started)
    return True


def eventually(condition: Callable[[], _T], *, within_seconds: float = 20.0, what: str = "the condition") -> _T:
    """Return the first true value of `condition`, or fail after the deadline. An error in it counts as not true yet."""
    started = time.monotonic()
    deadline = started + within_seconds
    last: object = None
    while True:
        try:
            last = condition()
            if last:
                return last  # type: ignore[return-value]
        except Exception as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {within_seconds} s; last: {last!r}")
        _pause(started)
