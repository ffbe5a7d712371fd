"""Incidents over time: a lane for each subject, a bar from open to close."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.scale import Linear
from centralcloud.dashboard.charts.time_axis import draw_ages
from centralcloud.runtime.wording import and_more, counted

State = Literal["good", "look", "bad", "note", "neutral"]

#: A state is never a color alone.
_GLYPHS: Final = {"good": "✓", "look": "◆", "bad": "▲", "note": "●", "neutral": "●"}
#: The narrow drawing shows the newest hours: the whole stretch would be points.
_NARROW_HOURS: Final = 12
_MOST_LANES: Final = 40
_SHORTEST: Final = 4
_BAR: Final = 20


@dataclass(frozen=True)
class Bar:
    """An incident: when it opened and closed (None while it is open), its state and its words.

    Args:
        url: path of its page; "" for none.
    """

    opened: datetime
    closed: datetime | None
    state: State
    text: str
    url: str = ""


@dataclass(frozen=True)
class Lane:
    """The incidents of one subject, such as a pair or an instance."""

    subject: str
    bars: Sequence[Bar]


def timeline(
    lanes: Sequence[Lane], *, start: datetime, end: datetime, label: str, zone: tzinfo | None = None
) -> Markup:
    """Return incidents as bars from left to right; the narrow drawing has the last 12 hours, with the words above the bars.

    Args:
        lanes: in the order of the drawing. Bars outside the stretch are in the table alone.
        start: left end.
        end: right end, the moment of reading.
        label: the finding.
        zone: of the viewer, for the titles and the table; without it, that of each moment.
    """
    if zone is not None:
        lanes = [Lane(lane.subject, [_in_zone(bar, zone) for bar in lane.bars]) for lane in lanes]
    rows = [
        (
            lane.subject,
            f"{_GLYPHS[bar.state]} {bar.text}",
            numbers.moment(bar.opened, None),
            numbers.moment(bar.closed, None) if bar.closed else "still open",
        )
        for lane in lanes
        for bar in sorted(lane.bars, key=lambda bar: bar.opened)
    ]
    table = Table(("Subject", "Incident", "Opened", "Closed"), rows, texts=4)
    return figure("timeline", label, lambda size: _draw(lanes, start, end, size), [table])


def _in_zone(bar: Bar, zone: tzinfo) -> Bar:
    return replace(bar, opened=bar.opened.astimezone(zone), closed=bar.closed and bar.closed.astimezone(zone))


def _draw(lanes: Sequence[Lane], start: datetime, end: datetime, size: Size) -> tuple[Drawing, float]:
    if size is Size.NARROW:
        start = max(start, end - timedelta(hours=_NARROW_HOURS))
    shown = [(lane, rows) for lane in lanes if (rows := _rows(lane, start, end))]
    if not shown:
        hours = round((end - start).total_seconds() / 3600)
        whole_days = hours >= 48 and hours % 24 == 0
        stretch = counted(hours // 24, "day") if whole_days else counted(hours, "hour")
        return nothing(size, f"no incidents in the last {stretch}")
    drawing, wide = Drawing(size), size is Size.WIDE
    subjects = max(words.width(words.visible(lane.subject), size.text) for lane, _ in shown[:_MOST_LANES])
    left, right = (min(subjects, 240) + 16 if wide else 0.0), float(size.width - 2)
    across = Linear(start.timestamp(), end.timestamp(), left, right)
    y = 2.0
    for lane, rows in shown[:_MOST_LANES]:
        if wide:
            drawing.text(0, y + _BAR / 2, lane.subject, "", room=left - 12)
        else:
            drawing.text(0, y + size.line / 2 + 3, lane.subject, "lead", room=size.width, bold=True)
            y += size.line + 3
        for row in rows:
            y += _bars(drawing, lane.subject, row, across, y) + 5
        y += 3 if wide else 6
        drawing.horizontal("grid", 0, right, y)
        y += 1
    hidden = len(shown) - _MOST_LANES
    if hidden > 0:
        y += size.line
        drawing.text(0, y - size.line / 2, f"{and_more(hidden)} in the table", "tick")
    draw_ages(drawing, start, end, left, right, y + size.line * 0.7)
    return drawing, y + size.line * 1.4


def _rows(lane: Lane, start: datetime, end: datetime) -> list[list[Bar]]:
    """Return the bars of a lane that touch a stretch, in as few rows as keep them from overlapping."""
    rows: list[list[Bar]] = []
    for bar in sorted(lane.bars, key=lambda bar: bar.opened):
        if bar.opened > end or (bar.closed is not None and bar.closed < start):
            continue
        for row in rows:
            closed = row[-1].closed
            if closed is not None and closed < bar.opened:
                row.append(bar)
                break
        else:
            rows.append([bar])
    return rows


def _bars(drawing: Drawing, subject: str, bars: Sequence[Bar], across: Linear, top: float) -> float:
    """Draw a row of bars with their words: in the bar, beside it, or above it in the narrow drawing. Return its height."""
    size, wide = drawing.size, drawing.size is Size.WIDE
    above = 0.0 if wide else size.line
    bar_top, height = top + above, _BAR if wide else 10
    ends = []
    for bar in bars:
        begin = across(bar.opened.timestamp())
        finish = across(bar.closed.timestamp()) if bar.closed else across.end
        begin = min(begin, across.end - _SHORTEST)
        ends.append((begin, max(finish, begin + _SHORTEST)))
    for bar, (begin, finish) in zip(bars, ends, strict=True):
        until = numbers.moment(bar.closed, None) if bar.closed else "still open"
        title = f"{subject}: {bar.text}, {numbers.moment(bar.opened, None)} to {until}"
        is_link = drawing.open_link(bar.url, title)
        drawing.rect(f"bar {bar.state}", Box(begin, bar_top, finish, bar_top + height), title)
        if not bar.closed:
            drawing.path(f"open {bar.state}", Path().move(finish, bar_top).line(finish, bar_top + height))
        if is_link:
            drawing.close_link()
    boxes = [Box(begin, top, finish, bar_top + height) for begin, finish in ends]
    # Open ones first, then the newest: theirs are the words to keep.
    for bar, box in sorted(zip(bars, boxes, strict=True), key=lambda pair: (pair[0].closed is not None, -pair[1].left)):
        _words(drawing, f"{_GLYPHS[bar.state]} {bar.text}", bar.state, box, boxes)
    return above + height


def _words(drawing: Drawing, text: str, state: State, bar: Box, bars: Sequence[Box]) -> None:
    """Write the words of a bar where they fit: whole if they can, else cut where they have the most room."""
    size, wide = drawing.size, drawing.size is Size.WIDE
    need = words.width(words.visible(text), size.text) + 0.1
    least = min(need, words.width(words.visible(text)[:9] + words.ELLIPSIS, size.text))
    y = (bar.top + bar.bottom) / 2 if wide else bar.top + size.line / 2
    line = Box(0, y - size.text * 0.6, size.width, y + size.text * 0.6)
    texts = [box for box in drawing.boxes if box.overlaps(line)]
    if wide:
        places = [(bar.left + 8, bar.right - bar.left - 16, "")]
        after, before = bar.right + 7, bar.left - 7
        others = [other for other in bars if other != bar] + texts
    else:
        places, others = [], texts
        after, before = bar.left, bar.right
    limit = min((other.left - 6 for other in others if other.left >= after - 1), default=size.width)
    first = max((other.right + 6 for other in others if other.right <= before + 1), default=0.0)
    if not any(other.left < after < other.right for other in others):
        places.append((after, limit - after, ""))
    if not any(other.left < before < other.right for other in others):
        places.append((before, before - first, "e"))
    if not places:
        return
    x, room, anchor = next((place for place in places if place[1] >= need), max(places, key=lambda place: place[1]))
    if room >= least:
        drawing.text(x, y, text, " ".join(filter(None, (anchor, f"on-{state}"))), room=room)
