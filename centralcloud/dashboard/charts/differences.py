"""Differences: for each metric the range in which the difference of two arms is, on an axis with 0 in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, panels, ticks, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.scale import Linear, all_finite, finite

State = Literal["better", "worse", "open", "unknown"]

#: Rows of a panel; the table has all of them.
_MOST_ROWS: Final = 40
#: The part of a panel that names may take.
_NAMES: Final = 0.4
_NOT_KNOWN: Final = "not known yet"
_HEAD: Final = ("Measure", "Metric", "From", "To")


@dataclass(frozen=True)
class Difference:
    """The range of a difference, in parts of 1: 0.02 is 2 points, or 2%.

    Args:
        low, high: its ends; None: not known yet.
        state: for the colour; the words beside the chart say it, too.
    """

    name: str
    low: float | None
    high: float | None
    state: State = "open"


@dataclass(frozen=True)
class Measure:
    """The differences of one unit.

    Args:
        unit: after each number of the axis, such as "%"; empty for points.
        limit: a difference that matters, drawn as a line; None: there is none.
    """

    title: str
    rows: Sequence[Difference]
    unit: str = ""
    limit: float | None = None


def differences(measures: Sequence[Measure], *, label: str) -> Markup:
    """Return the ranges of differences, those of each unit on an axis of their own.

    Args:
        measures: a panel each.
        label: the finding.
    """
    rows = [
        (measure.title, row.name, _number(row.low, measure.unit), _number(row.high, measure.unit))
        for measure in measures
        for row in measure.rows
    ]
    table = Table(_HEAD, rows, texts=2)
    return figure("differences", label, lambda size: _draw(measures, size), [table])


def _draw(shown: Sequence[Measure], size: Size) -> tuple[Drawing, float]:
    if not any(measure.rows for measure in shown):
        return nothing(size, "no differences yet")
    drawing = Drawing(size)
    top = 0.0
    for _, group in groupby(zip(shown, panels.place(len(shown), size), strict=True), key=lambda pair: pair[1].row):
        pairs = list(group)
        top = max(_Panel(drawing, measure, place).draw(top) for measure, place in pairs)
        top += size.line
    return drawing, top - size.line + 4


class _Panel:
    def __init__(self, drawing: Drawing, measure: Measure, place: panels.Place) -> None:
        self.drawing, self.measure, self.place = drawing, measure, place
        size = self.size = drawing.size
        self.rows = measure.rows[:_MOST_ROWS]
        self.texts = [_range(row, measure.unit) for row in self.rows]
        known = all_finite(value for row in self.rows for value in (row.low, row.high, measure.limit))
        self.marks = ticks.signed_ticks(known, 4 if size is Size.NARROW else 5)
        self.tick_texts = [_number(mark, measure.unit) for mark in self.marks]
        width = place.right - place.left
        edge = max(words.width(text, size.text) for text in self.tick_texts) / 2
        if size is Size.NARROW:  # a name and its range stand above their line
            left, right = place.left + edge, place.right - edge
            self.names = 0.0
        else:
            names = max((words.width(words.visible(row.name), size.text) for row in self.rows), default=0.0)
            self.names = min(names + 12, width * _NAMES)
            values = max((words.width(text, size.text) for text in self.texts), default=0.0)
            left, right = place.left + self.names + edge, place.right - values - edge - 8
        self.across = Linear(self.marks[0], self.marks[-1], left, max(right, left + 20))

    def draw(self, top: float) -> float:
        """Draw the panel below `top`, and return its bottom."""
        drawing, size, place, across = self.drawing, self.size, self.place, self.across
        room = place.right - place.left
        drawing.text(place.left, top + size.line / 2, self.measure.title, "head", room=room, bold=True)
        height = 2 * size.line + 6 if size is Size.NARROW else size.line + 11.0
        first = top + 2.3 * size.line
        bottom = first + len(self.rows) * height
        free = place.left
        for mark, text in zip(self.marks, self.tick_texts, strict=True):
            x = across(mark)
            drawing.vertical("zero" if mark == 0 else "grid", x, first, bottom)
            box = drawing.box(x, first - size.line / 2, text, "m tick")
            if box.left >= free:
                drawing.text(x, first - size.line / 2, text, "m tick")
                free = box.right + 4
        limit = finite(self.measure.limit)
        if limit is not None and self.marks[0] <= limit <= self.marks[-1]:
            drawing.vertical("limit", across(limit), first, bottom)
        for index, (row, text) in enumerate(zip(self.rows, self.texts, strict=True)):
            self._row(row, text, first + index * height, height)
        return bottom

    def _row(self, row: Difference, text: str, top: float, height: float) -> None:
        drawing, size, place = self.drawing, self.size, self.place
        if size is Size.NARROW:
            name_y, middle = top + size.line / 2 + 2, top + size.line + (height - size.line) / 2
            room = place.right - place.left - words.width(text, size.text) - 8
        else:
            name_y = middle = top + height / 2
            room = self.names - 8
        drawing.text(place.left, name_y, row.name, "halo", room=max(room, 1.0))
        drawing.text(place.right, name_y, text, "e halo")
        low, high = finite(row.low), finite(row.high)
        if low is None and high is None:
            return
        left = self.across(self.marks[0] if low is None else low)
        right = self.across(self.marks[-1] if high is None else high)
        if left > right:  # no difference fits all of the time: there is no range
            return
        title = f"{row.name}: {text}"
        drawing.path(f"range {row.state}", Path().move(left, middle).line(max(right, left + 0.5), middle), title)
        for x, is_known, way in ((left, low is not None, -1), (right, high is not None, 1)):
            end = (
                Path().move(x, middle - 4).line(x, middle + 4)
                if is_known
                else Path().move(x - 5 * way, middle - 5).line(x, middle).line(x - 5 * way, middle + 5)
            )
            drawing.path(f"end {row.state}", end)


def _range(row: Difference, unit: str) -> str:
    low, high = finite(row.low), finite(row.high)
    if low is None and high is None:
        return _NOT_KNOWN
    if low is None:
        return f"at most {_number(high, unit)}"
    if high is None:
        return f"at least {_number(low, unit)}"
    return "changed over time" if low > high else f"{_number(low, unit)} to {_number(high, unit)}"


def _number(value: float | None, unit: str) -> str:
    """Return a difference with its sign: "+1.2", "−0.8%", "0"."""
    value = finite(value)
    if value is None:
        return numbers.NOTHING
    text = numbers.fixed(abs(100 * value), 2 if 0 < abs(value) < 0.0005 else 1).removesuffix(".0")
    sign = "" if text == "0" else "+" if value > 0 else "−"
    return f"{sign}{text}{unit}"
