"""Wait for a condition, with a deadline. Tests never sleep and hope.

A deadline is in seconds of a machine with a core for each process that wants one. On one with more to do it is later by as
much: other tests run at the same time, and what is claimed is claimed of the program.
"""

import os
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


def _is_over(started: float, within_seconds: float) -> bool:
    waited = time.monotonic() - started
    if waited <= within_seconds:
        return False
    processes_per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return waited > within_seconds * max(1.0, processes_per_core)


def passes(condition: Callable[[], bool], *, within_seconds: float) -> bool:
    """Return whether `condition` becomes true in time."""
    started = time.monotonic()
    while not condition():
        if _is_over(started, within_seconds):
            return False
        _pause(started)
    return True


def eventually(condition: Callable[[], _T], *, within_seconds: float = 20.0, what: str = "the condition") -> _T:
    """Return the first true value of `condition`, or fail after the deadline. An error in it counts as not true yet."""
    started = time.monotonic()
    last: object = None
    while True:
        try:
            last = condition()
            if last:
                return last  # type: ignore[return-value]
        except Exception as error:
            last = error
        if _is_over(started, within_seconds):
            waited = time.monotonic() - started
            raise AssertionError(
                f"{what} did not come within {within_seconds} s (waited {waited:.0f} s); last: {last!r}"
            )
        _pause(started)
