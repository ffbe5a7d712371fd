"""Intervals: an estimate for each model with the range where it is likely to be, side by side for each complexity."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, panels, ticks, words
from centralcloud.dashboard.charts.drawing import Drawing, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.scale import Linear, all_finite, finite
from centralcloud.runtime.wording import and_more, counted

#: Rows of a panel; the table has all of them.
_MOST_ROWS: Final = 40
#: The part of a panel that names may take.
_NAMES: Final = 0.45


@dataclass(frozen=True)
class Interval:
    """An estimated success rate (0 to 1) with its interval, and how many outcomes it rests on.

    Args:
        leads: whether it gets the most tasks.
        url: path of its page; "" for none.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    samples: float
    leads: bool = False
    url: str = ""


@dataclass(frozen=True)
class Panel:
    """The models of one complexity."""

    title: str
    rows: Sequence[Interval]


def intervals(panels: Sequence[Panel], *, label: str, few: int = 150) -> Markup:
    """Return estimates with their intervals, the best first, on one axis for all panels.

    Args:
        panels: one for each complexity.
        label: the finding.
        few: an estimate of fewer outcomes has a hollow dot.
    """
    sorted_panels = [Panel(panel.title, sorted(panel.rows, key=_best_first)) for panel in panels]
    rows = [
        (
            panel.title,
            row.name + (" (most tasks)" if row.leads else ""),
            *(numbers.percent(value) for value in (row.mean, row.low, row.high)),
            numbers.count(row.samples),
        )
        for panel in sorted_panels
        for row in panel.rows
    ]
    table = Table(("Complexity", "Model", "Success rate", "From", "To", "Outcomes"), rows, texts=2)
    return figure("intervals", label, lambda size: _draw(sorted_panels, few, size), [table])


def _best_first(row: Interval) -> tuple[float, str]:
    mean = finite(row.mean)
    return (-mean if mean is not None else float("inf"), row.name)


def _draw(shown: Sequence[Panel], few: int, size: Size) -> tuple[Drawing, float]:
    if not any(panel.rows for panel in shown):
        return nothing(size, "no estimates yet")
    drawing = Drawing(size)
    known = all_finite(value for panel in shown for row in panel.rows for value in (row.mean, row.low))
    marks = ticks.rate_ticks(known)
    top = 0.0
    for _, group in groupby(zip(shown, panels.place(len(shown), size), strict=True), key=lambda pair: pair[1].row):
        pairs = list(group)
        top = max(_Panel(drawing, panel, place, marks, few).draw(top) for panel, place in pairs)
        top += size.line
    return drawing, top - size.line + 4


class _Panel:
    def __init__(self, drawing: Drawing, panel: Panel, place: panels.Place, marks: Sequence[float], few: int) -> None:
        self.drawing, self.panel, self.place, self.marks, self.few = drawing, panel, place, marks, few
        size = self.size = drawing.size
        width = place.right - place.left
        names = max(
            (words.width(words.visible(row.name), size.text, bold=row.leads) for row in panel.rows), default=0.0
        )
        #: Long names stand above their line on a phone, where half the width would be too short for them.
        self.stacked = size is Size.NARROW and names > width * 0.36
        self.names = 0.0 if self.stacked else min(names + 12, width * _NAMES)
        self.values = words.width("100.0%", size.text, bold=True) + 6
        left = place.left + self.names + (words.width("20%", size.text) / 2 if self.stacked else 8)
        self.across = Linear(marks[0], marks[-1], left, place.right - self.values - 8)

    def draw(self, top: float) -> float:
        """Draw the panel below `top`, and return its bottom."""
        drawing, size, place = self.drawing, self.size, self.place
        drawing.text(
            place.left, top + size.line / 2, self.panel.title, "head", room=place.right - place.left, bold=True
        )
        rows = self.panel.rows[:_MOST_ROWS]
        height = 2 * size.line + 4 if self.stacked else size.line + 9.0
        first = top + 2.3 * size.line
        bottom = first + len(rows) * height
        free = place.left
        for mark, text in zip(self.marks, numbers.axis(self.marks, "percent"), strict=True):
            x = self.across(mark)
            drawing.vertical("grid", x, first, bottom)
            box = drawing.box(x, first - size.line / 2, text, "m tick")
            if box.left >= free:
                drawing.text(x, first - size.line / 2, text, "m tick")
                free = box.right + 4
        for index, row in enumerate(rows):
            self._row(row, first + index * height, height)
        hidden = len(self.panel.rows) - len(rows)
        if hidden:
            bottom += size.line
            drawing.text(place.left, bottom - size.line / 2, f"{and_more(hidden)} in the table", "tick")
        return bottom

    def _row(self, row: Interval, top: float, height: float) -> None:
        drawing, size, place = self.drawing, self.size, self.place
        middle = top + size.line + (height - size.line) / 2 - 2 if self.stacked else top + height / 2
        name_y = top + size.line / 2 + 2 if self.stacked else middle
        kind = "lead" if row.leads else ""
        mean, low, high = finite(row.mean), finite(row.low), finite(row.high)
        room = place.right - place.left - 4 if self.stacked else self.names - 8
        is_link = drawing.open_link(row.url)
        halo = " halo" if self.stacked else ""
        drawing.text(place.left, name_y, row.name, f"{kind}{halo}".strip(), room=room, bold=row.leads)
        if is_link:
            drawing.close_link()
        title = (
            f"{row.name}: {numbers.percent(mean)}, between {numbers.percent(low)} and {numbers.percent(high)},"
            f" {counted(round(row.samples), 'outcome') if finite(row.samples) is not None else 'unknown outcomes'}"
        )
        if low is not None and high is not None:
            drawing.horizontal(
                f"range {kind}".strip(), self.across(low), max(self.across(high), self.across(low) + 0.5), middle
            )
        if mean is not None:
            hollow = " few" if not row.samples >= self.few else ""
            drawing.circle(f"dot{' lead' if row.leads else ''}{hollow}", self.across(mean), middle, 4.5, title)
        value = numbers.percent(mean)
        drawing.text(place.right, middle, value, f"e {kind}".strip(), room=self.values, bold=row.leads)
