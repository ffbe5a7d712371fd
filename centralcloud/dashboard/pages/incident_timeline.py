"""The timeline of incidents: a lane a subject. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.dashboard.charts.timeline import Bar, Lane, timeline
from centralcloud.dashboard.pages.addresses import finding_url
from centralcloud.dashboard.pages.listing import address
from centralcloud.dashboard.pages.words import (
    State,
    finding_state,
    finding_title,
    pair_words,
)
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.runtime.wording import counted

_PATH: Final = "/incidents"

#: Lanes of the timeline: more would push what is open off the screen.
_MOST_LANES: Final = 16

_STATES: Final[tuple[State, ...]] = ("bad", "look", "note", "neutral")


class _Range(NamedTuple):
    words: str
    length: timedelta
    step: timedelta


#: Stretches of the timeline. Its end moves in steps, so that it is not drawn again every ten seconds.
_RANGES: Final = {
    "24h": _Range("24 hours", timedelta(hours=24), timedelta(minutes=2)),
    "7d": _Range("7 days", timedelta(days=7), timedelta(minutes=15)),
    "30d": _Range("30 days", timedelta(days=30), timedelta(hours=1)),
}


class Timeline(NamedTuple):
    """The drawing, and the stretches to choose from: code, words, address, whether it is the chosen one.

    Attributes:
        more: subjects that are not drawn, whose incidents are the oldest.
    """

    ranges: tuple[tuple[str, str, str, bool], ...]
    words: str
    chart: Markup
    more: int


def draw_timeline(recent: Sequence[Finding], query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Timeline:
    """Return the timeline: a lane a subject, those with open incidents first, then by the newest opening."""
    chosen = query.get("range") if query.get("range") in _RANGES else "7d"
    spec = _RANGES[chosen or "7d"]
    end = _ceiling(now, spec.step)
    start = end - spec.length
    lanes: dict[str, list[Finding]] = defaultdict(list)
    for each in recent:
        if each.closed_at is None or each.closed_at > start:
            lanes[each.subject].append(each)
    ordered = sorted(lanes.items(), key=lambda lane: _order_of_lane(lane[1]))
    more = len(ordered) - _MOST_LANES
    number = sum(map(len, lanes.values()))
    still = sum(each.closed_at is None for findings in lanes.values() for each in findings)
    label = f"{counted(number, 'finding')} in {spec.words}, {still or 'none'} still open"
    chart = timeline(
        [Lane(pair_words(subject), [_bar(each) for each in findings]) for subject, findings in ordered[:_MOST_LANES]],
        start=start,
        end=end,
        label=label,
        zone=zone,
    )
    ranges = tuple(
        (code, each.words, address(_PATH, query, range=None if code == "7d" else code), code == chosen)
        for code, each in _RANGES.items()
    )
    return Timeline(ranges, label, chart, max(0, more))


def _order_of_lane(findings: Sequence[Finding]) -> tuple[int, float]:
    states = [
        _STATES.index(finding_state(each.kind, each.traffic_share)) for each in findings if each.closed_at is None
    ]
    return min(states, default=len(_STATES)), -max(each.opened_at.timestamp() for each in findings)


def _bar(finding: Finding) -> Bar:
    state: State = "good" if finding.closed_at else finding_state(finding.kind, finding.traffic_share)
    return Bar(finding.opened_at, finding.closed_at, state, finding_title(finding.kind), finding_url(finding))


def _ceiling(now: datetime, step: timedelta) -> datetime:
    """The next whole step, so that everything that was opened until now lies before it."""
    seconds = step.total_seconds()
    return now + timedelta(seconds=seconds - now.timestamp() % seconds)
