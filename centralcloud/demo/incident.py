"""The incident: a leading model silently degrades and later recovers, and the fleet's reaction, line by line."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from centralcloud.demo.progress import LEADING_SHARE
from centralcloud.demo.simulated_models import SimulatedModels, truth
from centralcloud.demo.story import Story, clock
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, decimals, percent

INCIDENT_PAIR: Final = ("ember-reason", "complex")
_MODEL, _COMPLEXITY = INCIDENT_PAIR
_DEGRADED_SUCCESS_RATE: Final = 0.30
#: The share of the tasks below which a model counts as avoided.
_AVOIDED_SHARE: Final = 0.05
#: The script of a demonstration without an end, and that of a shorter one as shares of its length.
_DEGRADES_SECONDS: Final = 30.0
_RECOVERS_SECONDS: Final = 54.0
_SCRIPT_SECONDS: Final = 90.0
#: A shorter demonstration has no incident: it would end before the fleet has learned which model leads.
SHORTEST_SECONDS: Final = 30.0


class _Alarm(NamedTuple):
    """Success rates before and after the change; how long ago the alarm was opened and closed, in seconds."""

    before: float
    after: float
    opened_ago: float
    closed_ago: float | None


_NEWEST_ALARM = Query(__package__, "newest_alarm", row=_Alarm)


@dataclass(slots=True)
class _Times:
    """When each part of the story happened, in seconds after the start; None: not yet."""

    degraded: float | None = None
    noticed: float | None = None
    avoided: float | None = None
    recovered: float | None = None
    rise_noticed: float | None = None
    leading: float | None = None
    closed: float | None = None


class Incident:
    """Makes one model worse and better again by a script, and watches the fleet's reaction."""

    def __init__(self, simulated: SimulatedModels, story: Story, *, seconds: float | None) -> None:
        """`seconds`: length of the demonstration; the whole incident fits into it."""
        scale = 1.0 if seconds is None else min(1.0, seconds / _SCRIPT_SECONDS)
        self._degrades, self._lasts = scale * _DEGRADES_SECONDS, scale * (_RECOVERS_SECONDS - _DEGRADES_SECONDS)
        self._simulated = simulated
        self._story = story
        self._healthy = truth(*INCIDENT_PAIR).success_rate
        self._at = _Times()
        self._share_before = self._least_share = 1.0
        self._rate_before = self._worst_rate = 1.0

    def advance(self, database: Database, seconds: float, *, share: float, rate: float) -> None:
        """Follow the script and check the fleet. Call it once a second.

        Args:
            share: the model's share of the tasks, 0 to 1.
            rate: success rate of the fleet, 0 to 1.
        """
        at = self._at
        if at.degraded is None:
            self._share_before, self._rate_before = share, rate
            if seconds >= self._degrades and share > LEADING_SHARE:
                self._degrade(seconds)
            return
        self._least_share = min(self._least_share, share)
        self._worst_rate = min(self._worst_rate, rate)
        self._watch_fall(database, seconds, at.degraded, share)
        if at.recovered is None and seconds >= at.degraded + self._lasts:
            self._recover(seconds, share)
        elif at.recovered is not None:
            self._watch_return(database, seconds, share)

    def summary(self) -> list[str]:
        """The incident as far as it went, with its numbers."""
        at = self._at
        if at.degraded is None:
            return [f"The incident did not happen: it begins after {age(self._degrades)}."]
        lines = [
            f"The incident: {_MODEL} had {percent(self._share_before, 0)} of the {_COMPLEXITY} tasks when it silently got "
            f"worse at {clock(at.degraded)}.",
            _noticed(at.degraded, at.noticed)
            + (
                f" Its share was below {percent(_AVOIDED_SHARE, 0)} {_after(at.avoided, at.degraded)}."
                if at.avoided
                else ""
            )
            + (
                f" The fleet's success fell from {percent(self._rate_before)} to {percent(self._worst_rate)} at worst."
                if self._worst_rate < self._rate_before
                else ""
            ),
        ]
        if at.recovered is None:
            return [*lines, "It is still worse: the demonstration ended before it recovered."]
        steps = [
            f"this was noticed {_after(at.rise_noticed, at.recovered)}" if at.rise_noticed else "",
            f"it leads {_COMPLEXITY} tasks again {_after(at.leading, at.recovered)}" if at.leading else "",
        ]
        happened = " and ".join(filter(None, steps)) or "the routers have not returned to it yet"
        return [*lines, f"It silently recovered at {clock(at.recovered)}; {happened}."]

    def _degrade(self, seconds: float) -> None:
        self._simulated.set_success_rate(*INCIDENT_PAIR, _DEGRADED_SUCCESS_RATE)
        self._at.degraded = seconds
        self._story.add(
            seconds,
            f"INCIDENT: {_MODEL} silently drops from {percent(self._healthy, 0)} to {percent(_DEGRADED_SUCCESS_RATE, 0)} "
            f"on {_COMPLEXITY} tasks",
        )

    def _recover(self, seconds: float, share: float) -> None:
        self._simulated.set_success_rate(*INCIDENT_PAIR, self._healthy)
        self._at.recovered = seconds
        self._story.add(
            seconds, f"{_MODEL} silently recovers; {percent(share)} of the {_COMPLEXITY} tasks still check it"
        )

    def _watch_fall(self, database: Database, seconds: float, degraded: float, share: float) -> None:
        at = self._at
        alarm = _newest_alarm(database) if at.noticed is None else None
        if alarm is not None and seconds - alarm.opened_ago > degraded and alarm.after < alarm.before:
            at.noticed = seconds - alarm.opened_ago
            self._story.add(
                at.noticed,
                f"CentralCloud notices it {_after(at.noticed, degraded)}: {percent(alarm.after, 0)} instead of "
                f"{percent(alarm.before, 0)} success",
            )
        if at.noticed is not None and at.avoided is None and share < _AVOIDED_SHARE:
            at.avoided = seconds
            self._story.add(seconds, f"{_MODEL} gets only {percent(share)} of the {_COMPLEXITY} tasks, to check it")

    def _watch_return(self, database: Database, seconds: float, share: float) -> None:
        at = self._at
        alarm = _newest_alarm(database) if at.noticed is not None and at.closed is None else None
        if alarm is not None and at.recovered is not None:
            closed = None if alarm.closed_ago is None else seconds - alarm.closed_ago
            if at.rise_noticed is None and (alarm.after > alarm.before or closed is not None):
                at.rise_noticed = seconds if closed is None else closed
                self._story.add(
                    at.rise_noticed,
                    f"CentralCloud notices it {_after(at.rise_noticed, at.recovered)}: {_MODEL} succeeds again",
                )
            if closed is not None:
                at.closed = closed
                self._story.add(closed, f"the alarm about {_MODEL} is closed")
        if at.leading is None and share > LEADING_SHARE:
            at.leading = seconds


def _newest_alarm(database: Database) -> _Alarm | None:
    """The model's newest alarm."""
    with database.transaction() as connection:
        return _NEWEST_ALARM.maybe(connection, {"subject": "/".join(INCIDENT_PAIR)})


def _noticed(degraded: float, noticed: float | None) -> str:
    return f"CentralCloud noticed it {_after(noticed, degraded)}." if noticed else "It has not been noticed yet."


def _after(moment: float, since: float) -> str:
    return f"after {decimals(max(0.0, moment - since), 1)} seconds"
