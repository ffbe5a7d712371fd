"""Columns over time: spend or counts by the hour, the days on the axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, ticks, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.numbers import Unit
from centralcloud.dashboard.charts.scale import Linear, all_finite, finite

#: Columns that a drawing can show apart; more are merged with their neighbors.
_MOST: Final = {Size.WIDE: 340, Size.NARROW: 170}
_HEIGHT: Final = {Size.WIDE: 150, Size.NARROW: 130}
#: Part of a column's place that it fills; gaps thinner than half a unit would be a pattern of their own.
_FILL: Final = 0.86
_SLIMMEST_WITH_GAP: Final = 4
_DAY: Final = 86_400


@dataclass(frozen=True)
class Column:
    """An amount of a period: its start, and None where it is unknown. `running` is a period that has not ended."""

    start: datetime
    value: float | None
    running: bool = False


def columns(columns: Sequence[Column], *, unit: Unit, zone: tzinfo, label: str) -> Markup:
    """Return amounts as columns from zero.

    Args:
        columns: of periods of one length, the oldest first.
        unit: "usd" (US dollars), "count" or "percent" (shares of 0 to 1). Merged columns add up, shares are averaged.
        zone: of the viewer, for the days of the axis and the hours of the table.
        label: the finding.
    """
    merged = _merged(columns, _MOST[Size.WIDE], unit)
    word = numbers.WORDS[unit]
    rows = [(numbers.moment(each.start, zone), word(each.value) + _so_far(each)) for each in merged]
    head = {"usd": "Spent", "count": "Count", "percent": "Share"}[unit]
    return figure(
        "columns",
        label,
        lambda size: _draw(_merged(columns, _MOST[size], unit), unit, zone, size),
        [Table(("From", head), rows)],
    )


def _so_far(column: Column) -> str:
    return " so far" if column.running and finite(column.value) is not None else ""


def _merged(columns: Sequence[Column], most: int, unit: Unit) -> list[Column]:
    """Return at most `most` columns; each is that many neighbors as it takes."""
    count = math.ceil(len(columns) / most)
    if count <= 1:
        return list(columns)
    found = []
    # From the end, so that the last one is whole.
    for end in range(len(columns), 0, -count):
        group = columns[max(0, end - count) : end]
        known = all_finite(each.value for each in group)
        value = sum(known) / (len(known) if unit == "percent" else 1) if known else None
        found.append(Column(group[0].start, value, group[-1].running))
    return found[::-1]


def _draw(columns: Sequence[Column], unit: Unit, zone: tzinfo, size: Size) -> tuple[Drawing, float]:
    known = all_finite(each.value for each in columns)
    if not known:
        return nothing(size, "nothing in this time")
    drawing, word = Drawing(size), numbers.WORDS[unit]
    # Amounts begin at zero: half the height is half the money.
    marks = ticks.amount_ticks(max(known)) if max(known) > 0 else [0.0, 1.0]
    texts = numbers.axis(marks, unit)
    left = max(words.width(text, size.text) for text in texts) + 8
    top = size.line * 1.5
    bottom = top + _HEIGHT[size]
    up = Linear(0, marks[-1], bottom, top)
    for mark, text in zip(marks, texts, strict=True):
        drawing.horizontal("grid", left, size.width, up(mark))
        drawing.text(left - 8, up(mark), text, "e tick")
    step = (size.width - left) / len(columns)
    filled = step * (_FILL if step >= _SLIMMEST_WITH_GAP else 1)
    last = max(index for index, each in enumerate(columns) if finite(each.value) is not None)
    plain, wide = Path(), size is Size.WIDE
    drawing.group("bars")
    for index, each in enumerate(columns):
        value = finite(each.value)
        if value is None or value <= 0:
            continue
        x = left + index * step
        bar = plain if not wide and not each.running else Path()
        bar.move(x, bottom).line(x, up(value)).line(x + filled, up(value)).line(x + filled, bottom).close()
        if wide or each.running:
            title = f"{numbers.moment(each.start, zone)} · {word(value)}{_so_far(each)}"
            drawing.path("now" if each.running else "", bar, title)
    # A finger points at nothing this small: the table has the numbers.
    drawing.path("", plain)
    drawing.end_group()
    text = word(columns[last].value) + (_so_far(columns[last]) or "")
    text = f"{'newest' if columns[last].running else 'last'} {text}"
    drawing.text(size.width, size.line * 0.45, text, "e lead", bold=True)
    _days(drawing, columns, zone, left, bottom)
    return drawing, bottom + size.line + 4


def _days(drawing: Drawing, columns: Sequence[Column], zone: tzinfo, left: float, bottom: float) -> None:
    """Write the days below the columns, or the hours where there is less than two days."""
    size, start = drawing.size, columns[0].start
    length = (columns[-1].start.timestamp() - start.timestamp()) / max(1, len(columns) - 1) or 3600.0
    end = columns[-1].start + timedelta(seconds=length)
    across = Linear(start.timestamp(), end.timestamp(), left, size.width)
    if end.timestamp() - start.timestamp() < 2 * _DAY:
        most = 12 if size is Size.WIDE else 4
        found = [(hour, hour, f"{hour:%H:%M}") for hour in ticks.hours(start, end, zone, most)]
    else:
        found = [
            (first, last, f"{first.astimezone(zone):%a} {first.astimezone(zone).day}")
            for first, last in ticks.days(start, end, zone)
        ]
    free = left
    for first, last, text in found:
        begin, finish = across(first.timestamp()), across(last.timestamp())
        middle = (begin + finish) / 2
        if begin > left:
            drawing.vertical("grid", begin, bottom, bottom + 5)
        box = drawing.box(middle, bottom + size.line * 0.7, text, "m tick")
        # The label of a day that began long before the drawing does would not stand below its columns.
        if box.left >= free and box.right <= size.width:
            drawing.text(middle, bottom + size.line * 0.7, text, "m tick")
            free = box.right + size.text * 0.6
