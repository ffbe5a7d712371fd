"""How far records may be folded: as far as everything is ingested, and not while events may still wait elsewhere."""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.runtime.postgres.query import Query

#: A longer time without a heartbeat is a silence: the daemon, or the database, was unavailable.
LONGEST_SILENCE: Final = timedelta(seconds=30)
#: After a silence, instances send the events that they have kept, for as long as it was, but not for longer than this.
LONGEST_HOLD: Final = timedelta(minutes=2)


class Beat(NamedTuple):
    """The server's clock, and the newest silence; None: there was none.

    Attributes:
        now: by the server's clock.
        oldest_waiting_at: when the oldest message was sent that waits in the queue; None: none does.
        resumed_at: when the silence was over.
        silent_for: how long it was.
    """

    now: datetime
    oldest_waiting_at: datetime | None
    resumed_at: datetime | None
    silent_for: timedelta | None

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


def beat(connection: psycopg.Connection[Any], now: datetime | None = None) -> Beat:
    """Store that the experiments are looked after, for gateways; return how far records may be folded.

    Args:
        now: for tests, in place of the server's clock.
    """
    ingested = _INGESTED_UNTIL.one(connection)
    moment = ingested.now if now is None else now
    silence = _BEAT.maybe(connection, {"now": moment, "longest_silence": LONGEST_SILENCE})
    return Beat(moment, ingested.oldest_waiting_at, *(silence or (None, None)))
