"""Wait for a condition, with a deadline. Tests never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def passes(condition: Callable[[], bool], *, within_seconds: float) -> bool:
    """Return whether `condition` becomes true in time."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # the interval between two checks
    return True


def eventually(condition: Callable[[], _T], *, within_seconds: float = 20.0, what: str = "the condition") -> _T:
    """Return the first true value of `condition`, or fail after the deadline. An error in it counts as not true yet."""
    deadline = time.monotonic() + within_seconds
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
        time.sleep(0.02)  # the interval between two checks
