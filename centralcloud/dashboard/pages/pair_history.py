"""The score of a pair over time: its steps with their interval, and the numbered events on them. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.dashboard.charts.score_steps import Mark, MarkKind, Step, score_steps
from centralcloud.dashboard.pages.addresses import with_parameters
from centralcloud.dashboard.pages.estimates import BEST_SCORE, estimate
from centralcloud.dashboard.sources.history import ScoreStep
from centralcloud.dashboard.sources.pair import PairAction
from centralcloud.dashboard.web import formats

#: Ranges of the chart: their names in the address and on the page, in hours; None: all.
RANGES: Final[dict[str, int | None]] = {"1h": 1, "24h": 24, "7d": 168, "30d": 720, "all": None}
_DEFAULT: Final = "24h"
_TITLES: Final = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", "all": "all"}
_MOST_EVENTS: Final = 30
_CHANGE: Final = re.compile(r"the mean changed then from (\S+) to (\S+)")
_RULES: Final[dict[str, tuple[MarkKind, str]]] = {
    "pin": ("pin", "Pinned"),
    "rollback": ("rollback", "Rolled back"),
    "experiment": ("hold", "Promoted by an experiment"),
    "renamed": ("hold", "Renamed"),
    "reinstated": ("hold", "Reinstated"),
    "retired": ("hold", "Retired"),
}
_ACTIONS: Final[dict[str, tuple[MarkKind, str, str]]] = {
    "unpin": ("pin", "Unpinned", "the rule publishes again"),
    "freeze": ("hold", "Learning frozen", "no learned score is published from here on"),
    "unfreeze": ("hold", "Learning unfrozen", "learned scores are published again"),
    "retire_model": ("hold", "Retired", "the model"),
    "reinstate_model": ("hold", "Reinstated", "the model"),
}
#: Operators' own scores, whose bands say nothing.
_BY_OPERATOR: Final = ("pin", "renamed", "reinstated", "retired")
_STATES: Final = {"alarm": "bad", "pin": "note", "rollback": "look", "hold": "neutral"}


class Event(NamedTuple):
    """A numbered event of the chart. `version`: that it published; None: none; `state`: of its badge."""

    number: int
    at: datetime
    title: str
    state: str
    text: str
    version: int | None


class Range(NamedTuple):
    """A choice of the range switch."""

    title: str
    url: str
    current: bool


class ScoreHistory(NamedTuple):
    """The chart with its events.

    Attributes:
        borrowed: rules of steps whose band is computed from the outcomes, because they estimate no interval.
        more_events: older events of the range that are not numbered.
    """

    chart: Markup
    ranges: tuple[Range, ...]
    events: tuple[Event, ...]
    more_events: int
    borrowed: tuple[str, ...]


def chosen_range(query: Mapping[str, str]) -> str:
    """Return the name of the range that a page shows."""
    wanted = query.get("range", "")
    return wanted if wanted in RANGES else _DEFAULT


def score_history(
    steps: Sequence[ScoreStep],
    actions: Sequence[PairAction],
    query: Mapping[str, str],
    label: str,
    now: datetime,
    zone: ZoneInfo,
) -> ScoreHistory:
    """Return the chart of a range that ends now.

    Args:
        steps: oldest first; the first one may have begun before the range.
        query: of the page, which names the range.
        label: the pair in words.
    """
    chosen = chosen_range(query)
    hours = RANGES[chosen]
    first = min((step.at for step in steps), default=now - timedelta(hours=1))
    # A pair that is younger than the range is drawn from its first score on.
    start = first if hours is None else max(first, now - timedelta(hours=hours))
    end = max(now, start + timedelta(seconds=1))
    found = [event for event in events(steps, actions) if start <= event[0] <= end]
    numbered = found[-_MOST_EVENTS:]
    marks = [Mark(at, number, kind, f"{title}: {text}") for number, (at, kind, title, text, _) in _numbers(numbered)]
    listed = tuple(
        Event(number, at, title, _STATES[kind], text, version)
        for number, (at, kind, title, text, version) in _numbers(numbered)
    )
    shown = [_step(step) for step in steps]
    borrowed = sorted({step.rule for step in steps if step.low is None and step.rule not in _BY_OPERATOR})
    finding = f"{label}, {_finding([step for step in steps if step.at <= end])}"
    chart = score_steps(shown, marks, start=start, end=end, label=finding, zone=zone)
    ranges = tuple(Range(_TITLES[name], with_parameters("/pair", query, range=name), name == chosen) for name in RANGES)
    return ScoreHistory(chart, ranges, listed, len(found) - len(numbered), tuple(borrowed))


_Found = tuple[datetime, MarkKind, str, str, int | None]


def _numbers(found: Sequence[_Found]) -> list[tuple[int, _Found]]:
    return list(enumerate(found, start=1))


def events(steps: Sequence[ScoreStep], actions: Sequence[PairAction]) -> list[_Found]:
    """Return what happened to a pair, oldest first: time, kind, title, text, version."""
    found: list[_Found] = []
    for step in steps:
        if step.alarm:
            found.append((step.at, "alarm", "Sudden change", _alarm_text(step.reason), step.version))
        elif step.rule in _RULES:
            kind, title = _RULES[step.rule]
            found.append(
                (step.at, kind, title, f"{step.reason.partition('; then:')[0]}{_by(step, actions)}", step.version)
            )
    versions = {version for *_, version in found}
    for action in actions:
        if action.action in _ACTIONS and (action.version is None or action.version not in versions):
            kind, title, text = _ACTIONS[action.action]
            found.append((action.at, kind, title, f"{text}, by {_person(action)}", action.version))
    return sorted(found, key=lambda each: each[0])


def _alarm_text(reason: str) -> str:
    match = _CHANGE.search(reason)
    if match is None:
        return "the success rate changed, and the score counts the outcomes since then"
    before, after = match[1], match[2]
    try:
        direction = "rose" if float(after) > float(before) else "fell"
    except ValueError:
        direction = "changed"
    return f"the success rate {direction} from {before} to {after}; the score counts the outcomes since then"


def _by(step: ScoreStep, actions: Sequence[PairAction]) -> str:
    """Return who set a score. A rollback publishes many versions, and its action has the newest one."""
    for action in sorted(actions, key=lambda action: action.id):
        known = action.version is not None and action.version >= step.version
        if known and action.action == step.rule:
            return f" ({_person(action)})"
    return ""


def _person(action: PairAction) -> str:
    return f"{action.who}: {action.reason}" if action.reason else action.who


def _step(step: ScoreStep) -> Step:
    """Return a step with its interval in the units of a score, less what was taken off for latency and cost."""
    if step.rule in _BY_OPERATOR and step.low is None:
        return Step(step.at, step.score)
    _, low, high = estimate(step.low, step.low, step.high, step.success_rate, step.samples)
    if low is None or high is None:
        return Step(step.at, step.score)
    penalty = (step.latency_penalty or 0.0) + (step.cost_penalty or 0.0)
    return Step(step.at, step.score, _score(low - penalty), _score(high - penalty))


def _score(utility: float) -> float:
    return BEST_SCORE * min(max(utility, 0.0), 1.0)


def _finding(steps: Sequence[ScoreStep]) -> str:
    if not steps:
        return "no score in this time"
    scores = [step.score for step in steps]
    lowest, highest = formats.score(min(scores)), formats.score(max(scores))
    between = f"always {lowest}" if lowest == highest else f"between {lowest} and {highest} in this time"
    return f"{formats.score(scores[-1])} now, {between}"
