"""The incident: a leading model silently degrades and later recovers, and the fleet's reaction, line by line."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from centralcloud.demo.fleet import Fleet
from centralcloud.demo.simulated_models import SimulatedModels, truth
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_MODEL: Final = "ember-reason"
_COMPLEXITY: Final = "complex"
_DEGRADED_SUCCESS_RATE: Final = 0.30
#: The share of the tasks below which a model counts as avoided, and above which it counts as leading.
_AVOIDED_SHARE: Final = 0.05
_LEADING_SHARE: Final = 0.5
#: The script of a demonstration without an end, and that of a shorter one as shares of its length.
_DEGRADES_SECONDS, _RECOVERS_SECONDS = 30.0, 54.0
_SCRIPT_SECONDS: Final = 90.0


class _Alarm(NamedTuple):
    message: str
    opened_ago: float
    closed_ago: float | None


_NEWEST_ALARM = Query(__package__, "newest_alarm", row=_Alarm)


class Line(NamedTuple):
    """A sentence of the story, and the seconds after the start when it became true."""

    seconds: float
    text: str


@dataclass(slots=True)
class _Progress:
    """When each part of the story happened, in seconds after the start; None: not yet."""

    degraded: float | None = None
    noticed: float | None = None
    avoided: float | None = None
    recovered: float | None = None
    rise_noticed: float | None = None
    leading: float | None = None
    forgiven: float | None = None


class Incident:
    """Makes one model worse and better again by a script, and watches the fleet's reaction.

    Attributes:
        story: what has happened so far.
    """

    def __init__(self, simulated: SimulatedModels, *, seconds: float | None) -> None:
        """`seconds`: length of the demonstration; the whole story fits into it."""
        scale = 1.0 if seconds is None else min(1.0, seconds / _SCRIPT_SECONDS)
        self._degrades, self._recovers = scale * _DEGRADES_SECONDS, scale * _RECOVERS_SECONDS
        self._simulated = simulated
        self._healthy = truth(_MODEL, _COMPLEXITY).success_rate
        self._at = _Progress()
        self._share_before = self._least_share = 1.0
        self._fleet_before = self._worst_fleet = 1.0
        self._alarm = ""
        self.story: list[Line] = []

    def advance(self, database: Database, fleet: Fleet, seconds: float) -> list[Line]:
        """Follow the script and check the fleet; returns the new lines. Call it once a second."""
        before = len(self.story)
        at = self._at
        share = fleet.recent_share(_MODEL, _COMPLEXITY)
        if at.degraded is None:
            self._share_before, self._fleet_before = share, fleet.recent_rate
            if seconds >= self._degrades:
                self._degrade(seconds)
        else:
            self._least_share = min(self._least_share, share)
            self._worst_fleet = min(self._worst_fleet, fleet.recent_rate)
            self._watch_fall(database, seconds, share)
            if at.recovered is None and seconds >= self._recovers:
                self._recover(seconds, share)
            elif at.recovered is not None:
                self._watch_return(database, seconds, share)
        return self.story[before:]

    def summary(self, fleet: Fleet) -> list[str]:
        """The whole story again, with its numbers."""
        at = self._at
        if at.degraded is None:
            return [f"the incident did not happen: it comes {self._degrades:.0f} seconds after the start"]
        lines = [
            f"{_MODEL} led {_COMPLEXITY} tasks with {self._share_before:.0%} of them; after {at.degraded:.0f} s it degraded "
            f"silently, from {self._healthy:.0%} to {_DEGRADED_SUCCESS_RATE:.0%} success",
            f"noticed {_after(at.noticed, at.degraded)}: {self._alarm}" if at.noticed else "it was not noticed",
            f"its share fell to {self._least_share:.1%}"
            + (f", below {_AVOIDED_SHARE:.0%} {_after(at.avoided, at.degraded)}" if at.avoided else "")
            + f"; the fleet's success went from {self._fleet_before:.1%} to {self._worst_fleet:.1%} at worst",
        ]
        if at.recovered is not None:
            lines.append(
                f"after {at.recovered:.0f} s it recovered silently: "
                + (
                    f"its probes showed it {_after(at.rise_noticed, at.recovered)}"
                    if at.rise_noticed
                    else "not noticed yet"
                )
                + (
                    f", it led again {_after(at.leading, at.recovered)}"
                    if at.leading
                    else ", it does not lead again yet"
                )
                + (f", and the finding was closed {_after(at.forgiven, at.recovered)}" if at.forgiven else "")
                + f"; the fleet's success is {fleet.recent_rate:.1%} now"
            )
        return lines

    def _degrade(self, seconds: float) -> None:
        self._simulated.set_success_rate(_MODEL, _COMPLEXITY, _DEGRADED_SUCCESS_RATE)
        self._at.degraded = seconds
        self._add(
            seconds,
            f"{_MODEL} silently degrades: {_DEGRADED_SUCCESS_RATE:.0%} of its {_COMPLEXITY} tasks succeed instead of "
            f"{self._healthy:.0%}; it gets {self._share_before:.0%} of them",
        )

    def _recover(self, seconds: float, share: float) -> None:
        self._simulated.set_success_rate(_MODEL, _COMPLEXITY, self._healthy)
        self._at.recovered = seconds
        self._add(seconds, f"{_MODEL} silently recovers; {share:.1%} of {_COMPLEXITY} tasks still re-check it")

    def _watch_fall(self, database: Database, seconds: float, share: float) -> None:
        at = self._at
        alarm = _newest_alarm(database) if at.noticed is None else None
        if alarm is not None and at.degraded is not None and seconds - alarm[1] > at.degraded:
            self._alarm = alarm[0]
            at.noticed = seconds - alarm[1]
            self._add(at.noticed, f"noticed: {self._alarm}")
        if at.noticed is not None and at.avoided is None and share < _AVOIDED_SHARE:
            at.avoided = seconds
            self._add(seconds, f"avoided: {_MODEL} gets {share:.1%} of {_COMPLEXITY} tasks, to re-check it")

    def _watch_return(self, database: Database, seconds: float, share: float) -> None:
        at = self._at
        alarm = _newest_alarm(database) if at.noticed is not None and at.forgiven is None else None
        if alarm is not None:
            message, _, closed_ago = alarm
            if at.rise_noticed is None and " rose " in message:
                at.rise_noticed = seconds
                self._add(seconds, f"noticed: {message}")
            if closed_ago is not None:
                at.forgiven = seconds - closed_ago
                at.rise_noticed = at.rise_noticed or at.forgiven
                self._add(at.forgiven, "forgiven: the finding is closed")
        if at.leading is None and share > _LEADING_SHARE:
            at.leading = seconds
            self._add(seconds, f"leading again: {_MODEL} gets {share:.0%} of {_COMPLEXITY} tasks")

    def _add(self, seconds: float, text: str) -> None:
        self.story.append(Line(seconds, text))


def _newest_alarm(database: Database) -> _Alarm | None:
    """The model's newest alarm; times are seconds ago."""
    with database.transaction() as connection:
        return _NEWEST_ALARM.maybe(connection, {"subject": f"{_MODEL}/{_COMPLEXITY}"})


def _after(moment: float, since: float) -> str:
    return f"after {max(0.0, moment - since):.1f} s"
