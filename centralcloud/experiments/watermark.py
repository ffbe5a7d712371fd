"""How far records may be folded: as far as everything is ingested, and not while events may still wait elsewhere."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

#: A longer time without a heartbeat is a silence: the daemon, or the database, was unavailable.
LONGEST_SILENCE: Final = timedelta(seconds=30)
#: After a silence, instances send the events that they have kept, for as long as it was, but not for longer than this.
LONGEST_HOLD: Final = timedelta(minutes=2)
#: A clock that jumps ahead by more than the first is not believed until it has been there for the second: what is folded too
#: early is folded for good, and what is folded too late is only late.
LONGEST_JUMP: Final = timedelta(seconds=30)
LONGEST_DOUBT: Final = timedelta(hours=1)


class SteadyClock:
    """Tells a jump of the server's clock from the passing of time, by the clock of this process."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        """Create it; `seconds`: a clock that never jumps."""
        self._seconds = seconds
        self._known: tuple[datetime, float] | None = None
        self._jumped_at: float | None = None

    def read(self, now: datetime) -> datetime:
        """Return the server's time; while it is ahead by a jump, what it would be without it.

        A clock that is set back is believed at once.
        """
        moment = self._seconds()
        if self._known is not None:
            expected = self._known[0] + timedelta(seconds=moment - self._known[1])
            if now - expected > LONGEST_JUMP:
                if self._jumped_at is None:
                    self._jumped_at = moment
                    log.warning("experiments_clock_doubted", seconds=round((now - expected).total_seconds()))
                if moment - self._jumped_at < LONGEST_DOUBT.total_seconds():
                    return expected
        self._known, self._jumped_at = (now, moment), None
        return now


class Beat(NamedTuple):
    """The server's clock, and the newest silence; None: there was none.

    Attributes:
        now: by the server's clock, without a jump ahead that is new.
        oldest_waiting_at: when the oldest message was sent that waits in the queue; None: none does.
        resumed_at: when the silence was over.
        silent_for: how long it was.
        clock: the server's clock as it is; None: as `now`.
    """

    now: datetime
    oldest_waiting_at: datetime | None
    resumed_at: datetime | None
    silent_for: timedelta | None
    clock: datetime | None = None

    def ingested_until(self, experiment: Experiment) -> datetime:
        """Return until when every event is ingested, as far as this is known; of an experiment that began before."""
        found = [self.now] if self.oldest_waiting_at is None else [self.now, self.oldest_waiting_at]
        if self.resumed_at is not None and self.silent_for is not None:
            silent_since = self.resumed_at - self.silent_for
            # A silence in the future is from before the server's clock was set back.
            is_held = self.resumed_at <= self.now < self.resumed_at + min(self.silent_for, LONGEST_HOLD)
            if is_held and experiment.stage.began < silent_since:
                found.append(silent_since)
        return min(found)


class _Ingested(NamedTuple):
    now: datetime
    oldest_waiting_at: datetime | None


class _Silence(NamedTuple):
    resumed_at: datetime | None
    silent_for: timedelta | None


_INGESTED_UNTIL = Query(__package__, "ingested_until", row=_Ingested)
_BEAT = Query(__package__, "beat", row=_Silence)


def beat(connection: psycopg.Connection[Any], now: datetime | None = None, steady: SteadyClock | None = None) -> Beat:
    """Store that the experiments are looked after, for gateways; return how far records may be folded.

    Args:
        now: for tests, in place of the server's clock.
        steady: knows how much time has passed since the last beat.
    """
    ingested = _INGESTED_UNTIL.one(connection)
    moment = ingested.now if now is None else now
    silence = _BEAT.maybe(connection, {"now": moment, "longest_silence": LONGEST_SILENCE})
    believed = moment if steady is None else steady.read(moment)
    resumed_at, silent_for = silence or (None, None)
    return Beat(believed, ingested.oldest_waiting_at, resumed_at, silent_for, moment)
