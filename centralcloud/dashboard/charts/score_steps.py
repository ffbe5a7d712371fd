"""Scores over time: a step line in its interval, and numbered marks of what happened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, Literal

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure
from centralcloud.dashboard.charts.labels import Box, spread
from centralcloud.dashboard.charts.scale import Linear, finite
from centralcloud.dashboard.charts.time_axis import draw_ages

MarkKind = Literal["alarm", "pin", "rollback", "hold"]

_KINDS: Final = {"alarm": "Sudden change", "pin": "Pinned", "rollback": "Rolled back", "hold": "Held"}
_HEIGHT: Final = {Size.WIDE: 170, Size.NARROW: 150}
_BEST_SCORE: Final = 5
#: Groups that many steps are thinned to; each keeps its lowest, its highest and its last one.
_GROUPS: Final = 80


@dataclass(frozen=True)
class Step:
    """A score (0 to 5) that stands from `at` on, with its interval; None where it is unknown."""

    at: datetime
    score: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Mark:
    """An event with the number that the page's list gives it."""

    at: datetime
    number: int
    kind: MarkKind
    text: str


def score_steps(
    steps: Sequence[Step],
    marks: Sequence[Mark],
    *,
    start: datetime,
    end: datetime,
    label: str,
    zone: tzinfo | None = None,
) -> Markup:
    """Return the scores of a pair over time, on a fixed axis of 0 to 5.

    Args:
        steps: the oldest first. The last one before `start` stands at `start`; those after `end` are left out.
        marks: events from `start` to `end`; others are left out.
        start: left end.
        end: right end, the moment of reading.
        label: the finding.
        zone: of the viewer, for the table; without it, that of each moment.
    """
    shown = _thinned(_within(steps, start, end))
    seen = sorted((mark for mark in marks if start <= mark.at <= end), key=lambda mark: mark.at)
    scores = Table(
        ("From", "Score", "Interval from", "to"),
        [
            (numbers.moment(each.at, zone), *(numbers.score(value) for value in (each.score, each.low, each.high)))
            for each in shown
        ],
    )
    events = Table(
        ("Event", "At", "Kind", "Details"),
        [(str(mark.number), numbers.moment(mark.at, zone), _KINDS[mark.kind], mark.text) for mark in seen],
        texts=4,
    )
    return figure("steps", label, lambda size: _draw(shown, seen, start, end, size), [scores, events])


def _within(steps: Sequence[Step], start: datetime, end: datetime) -> list[Step]:
    before = [each for each in steps if each.at <= start]
    first = [Step(start, before[-1].score, before[-1].low, before[-1].high)] if before else []
    return first + [each for each in steps if start < each.at <= end]


def _thinned(steps: Sequence[Step]) -> list[Step]:
    """Return some of the steps, at most four in each of `_GROUPS`: a fall that lasted a minute is still seen."""
    if len(steps) <= 3 * _GROUPS:
        return list(steps)
    kept: set[int] = {0}
    for index in range(_GROUPS):
        group = range(len(steps) * index // _GROUPS, len(steps) * (index + 1) // _GROUPS)
        known = [(value, place) for place in group if (value := finite(steps[place].score)) is not None]
        gaps = [place for place in group if finite(steps[place].score) is None]
        kept |= (
            {group[-1], *gaps[:1], *(place for _, place in (min(known), max(known)) if known)} if known else {group[-1]}
        )
    return [steps[place] for place in sorted(kept)]


def _draw(
    steps: Sequence[Step], marks: Sequence[Mark], start: datetime, end: datetime, size: Size
) -> tuple[Drawing, float]:
    drawing = Drawing(size)
    digits = max((words.width(str(mark.number)[-3:], size.text) for mark in marks), default=0.0)
    radius = max(size.text * 0.72, digits / 2 + 1)
    last = next((finite(each.score) for each in reversed(steps)), None)
    room = max(words.width(text, size.text, bold=True) for text in ("0.00", numbers.score(last))) + 10
    left, right = words.width("5", size.text) + 8, size.width - room
    top = (2 * radius if marks else 0) + size.line / 2 + 2
    bottom = top + _HEIGHT[size]
    up = Linear(0, _BEST_SCORE, bottom, top)
    across = Linear(start.timestamp(), end.timestamp(), left, right)
    for tick in range(_BEST_SCORE + 1):
        drawing.horizontal("grid", left, right, up(tick))
        drawing.text(left - 8, up(tick), str(tick), "e tick")
    draw_ages(drawing, start, end, left, right, bottom + size.line * 0.7)
    if not steps:
        drawing.text((left + right) / 2, (top + bottom) / 2, "no score in this time", "m tick halo")
    begins = [across(each.at.timestamp()) for each in steps]
    places = list(zip(steps, begins, [*begins[1:], right], strict=bool(steps)))
    _band(drawing, places, up)
    _marks(drawing, marks, across, radius, bottom)
    line, is_drawn = Path(), False
    for each, begin, finish in places:
        value = finite(each.score)
        if value is not None:
            (line.line if is_drawn else line.move)(begin, up(value))
            line.line(finish, up(value))
        is_drawn = value is not None
    drawing.path("line", line)
    if last is not None:
        drawing.circle("dot", right, up(last), 3.5, f"now {numbers.score(last)}")
        drawing.text(right + 8, up(last), numbers.score(last), "lead", bold=True)
    return drawing, bottom + size.line * 1.4


def _band(drawing: Drawing, places: Sequence[tuple[Step, float, float]], up: Linear) -> None:
    """Draw the intervals: one area for each run of steps that have one."""
    path, run = Path(), list[tuple[float, float, float, float]]()
    for each, begin, finish in [*places, (None, 0.0, 0.0)]:
        low, high = (finite(each.low), finite(each.high)) if each else (None, None)
        if low is not None and high is not None:
            run.append((begin, finish, up(low), up(high)))
        elif run:
            path.move(run[0][0], run[0][3])
            for begin_x, finish_x, _, y in run:
                path.line(begin_x, y).line(finish_x, y)
            for begin_x, finish_x, y, _ in reversed(run):
                path.line(finish_x, y).line(begin_x, y)
            path.close()
            run = []
    drawing.path("band", path)


def _marks(drawing: Drawing, marks: Sequence[Mark], across: Linear, radius: float, bottom: float) -> None:
    """Draw a dashed line for each event, and above it its number; numbers that collide stand beside one another."""
    gap = 2 * radius + 3
    numbered = marks[-max(1, math.floor((across.end - across.start) / gap)) :]
    for mark in marks[: len(marks) - len(numbered)]:
        x = across(mark.at.timestamp())
        drawing.vertical(f"event {mark.kind}", x, 2 * radius + 3, bottom)
    wanted = [across(mark.at.timestamp()) for mark in numbered]
    for mark, x, place in zip(numbered, wanted, spread(wanted, gap, across.start, across.end), strict=True):
        path = Path().move(place, 2 * radius).line(x, 2 * radius + 5).line(x, bottom)
        drawing.path(f"event {mark.kind}", path)
        title = f"{mark.number} {_KINDS[mark.kind]}: {mark.text}"
        box = Box(place - radius, 0, place + radius, 2 * radius)
        if mark.kind == "alarm":
            drawing.circle("badge alarm", place, radius, radius, title)
        else:
            drawing.rect(f"badge {mark.kind}", box, title)
        drawing.text(place, radius, str(mark.number)[-3:], "m on")
