"""The server's clock: whether retention may trust it.

Retention deletes what is old by the server's clock, and a clock may be wrong: a virtual machine that was paused, a time
server that is wrong, a failover to a host with another time. So every daemon compares the clock with its own monotonic
clock, which only counts, and with the times that the database has seen. After a jump nothing is deleted until the clock has
been steady for a day. To delete a day later costs nothing but disk.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age
from centralcloud.store.findings import Finding, replace_findings
from centralcloud.store.partitions import newest_arrival

log = get_logger(__name__)

#: The kind of the finding that is open while retention waits.
SERVER_CLOCK_JUMPED: Final = "server_clock_jumped"
#: A difference that counts as a jump. Time servers correct less, and a statement takes less.
_TOLERANCE: Final = timedelta(minutes=5)
#: For a process that has not looked before: a longer time in which no daemon looked is not trusted.
_LONGEST_GAP: Final = timedelta(days=1)
#: How long the clock must be steady after a jump.
STEADY_SECONDS: Final = 86_400.0
#: Arrivals that one round may expire at least; a longer time between two rounds allows twice that time.
_LEAST_STEP: Final = timedelta(days=1)


class ClockReading(NamedTuple):
    """The server's clock at one moment.

    Attributes:
        now: the server's time.
        steady_from: when retention may delete again; None when it may now.
        went_back: whether this reading has found that the clock was set back.
    """

    now: datetime
    steady_from: datetime | None
    went_back: bool


class RetentionRound(NamedTuple):
    """One round of retention.

    Attributes:
        as_of: the moment from which it counts back.
        began: when it began, in seconds of this process's own clock.
    """

    as_of: datetime
    began: float


class _StoredClock(NamedTuple):
    """The columns of ``read_server_clock.sql``."""

    now: datetime
    seen_at: datetime | None
    retention_as_of: datetime | None
    jumped_at: datetime | None
    jump_seconds: float | None
    steady_from: datetime | None


_READ_SERVER_CLOCK = Query(__package__, "read_server_clock", row=_StoredClock)
_TOUCH_SERVER_CLOCK = Query(__package__, "touch_server_clock")
_RECORD_CLOCK_JUMP = Query(__package__, "record_clock_jump")
_END_CLOCK_JUMP = Query(__package__, "end_clock_jump")
_STORE_RETENTION_TIME = Query(__package__, "store_retention_time")


class ServerClock:
    """Observes the server's clock. One object serves all tasks of a process; safe for several threads."""

    def __init__(
        self,
        database: Database,
        *,
        steady_seconds: float = STEADY_SECONDS,
        counted_seconds: Callable[[], float] | None = None,
    ) -> None:
        """Expect a clock that is steady for `steady_seconds` after a jump.

        `counted_seconds` is a clock of this process that is never set. By default it also counts while the machine sleeps.
        """
        self._database = database
        self._steady = timedelta(seconds=steady_seconds)
        self._counted_seconds = counted_seconds or _since_boot
        self._lock = threading.Lock()
        self._seen: tuple[datetime, float] | None = None
        self._round_at: float | None = None

    def observe(self) -> ClockReading:
        """Read the clock, and record it in the database, with a jump if there was one."""
        with self._lock:
            with self._database.transaction() as connection:
                counted = self._counted_seconds()
                stored = _READ_SERVER_CLOCK.one(connection)
                reading = self._record(connection, stored, self._jump(connection, stored, counted))
            self._seen = (stored.now, counted)  # only now: a jump that could not be recorded is found again
            return reading

    def retention_round(self, connection: psycopg.Connection[Any], reading: ClockReading) -> RetentionRound | None:
        """Return the round of retention that begins now; None when it must delete nothing.

        Its time moves by a limited step from round to round, so that a round deletes little: a day, or twice the time since
        the last complete round of this process, whichever is longer. It moves when `end_retention_round` was called: a round
        that fails is repeated for the same time.
        """
        if reading.steady_from is not None:
            log.info("retention_paused", until=_text(reading.steady_from))
            return None
        with self._lock:
            counted = self._counted_seconds()
            elapsed = timedelta(seconds=0 if self._round_at is None else counted - self._round_at)
        before = _READ_SERVER_CLOCK.one(connection).retention_as_of
        as_of = reading.now if before is None else min(reading.now, before + max(_LEAST_STEP, 2 * elapsed))
        return RetentionRound(as_of, counted)

    def end_retention_round(self, connection: psycopg.Connection[Any], complete: RetentionRound) -> None:
        """Store the time of a round that has deleted everything: the next one begins there."""
        _STORE_RETENTION_TIME.run(connection, {"as_of": complete.as_of})
        with self._lock:
            self._round_at = complete.began

    def _jump(self, connection: psycopg.Connection[Any], stored: _StoredClock, counted: float) -> timedelta | None:
        """Return how far the clock has jumped since the last look, if it has; negative: back."""
        if self._seen is not None:
            seen_at, then = self._seen
            jump = stored.now - seen_at - timedelta(seconds=counted - then)
            if abs(jump) > _TOLERANCE:
                return jump
            known = stored.seen_at
        else:
            known = max(filter(None, (stored.seen_at, newest_arrival(connection))), default=None)
        if known is None:
            return None
        jump = stored.now - known
        if jump < -_TOLERANCE or (self._seen is None and jump > _LONGEST_GAP):
            return jump
        return None

    def _record(
        self, connection: psycopg.Connection[Any], stored: _StoredClock, jump: timedelta | None
    ) -> ClockReading:
        now, steady_from = stored.now, stored.steady_from
        if jump is not None:
            steady_from = now + self._steady
            _record_jump(connection, now, jump.total_seconds(), steady_from)
            return ClockReading(now, steady_from, went_back=jump < timedelta(0))
        if steady_from is not None and now >= steady_from:
            _END_CLOCK_JUMP.run(connection)
            replace_findings(connection, [SERVER_CLOCK_JUMPED], [])
            log.info("retention_resumed", reason="the server's clock has been steady")
            steady_from = None
        _TOUCH_SERVER_CLOCK.run(connection, {"now": now})
        return ClockReading(now, steady_from, went_back=False)


def _record_jump(connection: psycopg.Connection[Any], now: datetime, seconds: float, steady_from: datetime) -> None:
    _RECORD_CLOCK_JUMP.run(connection, {"now": now, "seconds": seconds, "steady_from": steady_from})
    effect = f"retention deletes nothing until {_text(steady_from)}"
    details = {"jump_seconds": round(seconds), "steady_from": steady_from.isoformat()}
    finding = Finding(SERVER_CLOCK_JUMPED, "server", f"{describe_jump(seconds)}, at {_text(now)}: {effect}", details)
    replace_findings(connection, [SERVER_CLOCK_JUMPED], [finding])
    log.warning("server_clock_jumped", seconds=round(seconds), now=_text(now), effect=effect)


def describe_jump(seconds: float) -> str:
    """Return a text about a jump of the server's clock by `seconds`; negative: back."""
    if seconds < 0:
        return f"the server's clock is {age(-seconds)} behind the times that the database has seen"
    return (
        f"the server's clock is {age(seconds)} ahead of the expected time, or no daemon has looked at it for that long"
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _since_boot() -> float:
    """Seconds of a clock that is never set and goes on while the machine sleeps, where there is one."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)
