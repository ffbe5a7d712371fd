"""Sums of use by workspace, key, policy, worker, task type and model: each record and each feedback is in them once.

The newest quarter-hours are summed again each time, in one transaction that first deletes their rows.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.limits import OTHER
from centralcloud.runtime.postgres.query import Query

#: Rows of a workspace in a quarter-hour; the worker and the task type of those with fewer requests are `(other)`.
_ROWS_OF_WORKSPACE: Final = 200
#: Rows of a quarter-hour; beyond it, the workspace, the key and the policy are `(other)`, too: keys are configured, but an
#: instance may send any workspace.
_ROWS_OF_ALL: Final = 5000
#: Time that one transaction sums: doubled after a fast one, so that months with few records take seconds, and halved after a
#: slow one, for whose end a migration waits. Whole quarter-hours.
_FIRST_STEP: Final = timedelta(hours=1)
_SHORTEST_STEP: Final = timedelta(minutes=15)
_LONGEST_STEP: Final = timedelta(days=32)
_FAST_SECONDS: Final = 0.25
_SLOW_SECONDS: Final = 1.0
#: The wait after a run, at least so many times as long as it took: sums cost at most 3% of a processor.
_WAIT_FACTOR: Final = 30.0
_WAIT_SECONDS: Final = 60.0


class _PendingUsage(NamedTuple):
    since: datetime
    until: datetime


_PENDING_USAGE = Query(__package__, "pending_usage", row=_PendingUsage)
_DELETE_USAGE = Query(__package__, "delete_usage")
_SUM_USAGE = Query(__package__, "sum_usage")
_SUM_ESCALATIONS = Query(__package__, "sum_escalations")
_NOTE_USAGE_PROGRESS = Query(__package__, "note_usage_progress")
TRIM_USAGE: Final = Query(__package__, "trim_usage")
TRIM_ESCALATIONS: Final = Query(__package__, "trim_escalations")

_Exclusive = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


class UsageSums:
    """Sums the use up to now, about every minute."""

    def __init__(self, exclusive: _Exclusive, is_stopping: Callable[[], bool]) -> None:
        """Take `exclusive`, which opens a transaction in which no other replica does maintenance."""
        self._exclusive = exclusive
        self._is_stopping = is_stopping
        self._next = time.monotonic()

    def sum_if_due(self) -> None:
        """Sum if the last run is long enough ago."""
        if time.monotonic() >= self._next:
            self.sum()

    def sum(self) -> None:
        """Sum the quarter-hours that are new or may have changed, a part of them in each transaction."""
        began = time.monotonic()
        with self._exclusive() as connection:
            pending = _PENDING_USAGE.one(connection)
        since, step = pending.since, _FIRST_STEP
        while since < pending.until and not self._is_stopping():
            window = {"since": since, "until": min(since + step, pending.until)}
            bounds = {"of_workspace": _ROWS_OF_WORKSPACE, "of_all": _ROWS_OF_ALL, "other": OTHER}
            with self._exclusive() as connection:
                started = time.monotonic()
                _DELETE_USAGE.run(connection, window)
                _SUM_USAGE.run(connection, window | bounds)
                _SUM_ESCALATIONS.run(connection, window | {"of_all": _ROWS_OF_ALL, "other": OTHER})
                _NOTE_USAGE_PROGRESS.run(connection, window)
            since, step = window["until"], _next_step(step, time.monotonic() - started)
        now = time.monotonic()
        self._next = now + max(_WAIT_SECONDS, _WAIT_FACTOR * (now - began))


def _next_step(step: timedelta, seconds: float) -> timedelta:
    """Return the time that the next transaction sums, after one of `step` that took so long."""
    if seconds < _FAST_SECONDS:
        return min(2 * step, _LONGEST_STEP)
    if seconds > _SLOW_SECONDS:
        halves = step / 2 // _SHORTEST_STEP
        return max(halves, 1) * _SHORTEST_STEP
    return step
