"""Shares of traffic over time: stacked areas, the leader at the bottom in the accent."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import accumulate, groupby
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.scale import Linear, finite
from centralcloud.dashboard.charts.time_axis import draw_ages

#: Areas beside the leader's; the models with less traffic are one more area.
_OTHERS: Final = 5
#: Moments of the drawing and of its table; more are averaged.
_MOST_MOMENTS: Final = 120
_HEIGHT: Final = {Size.WIDE: 200, Size.NARROW: 160}
_LIST_ROOM: Final = 230
#: An area stands for the time until the next moment; the last one for as long, and half as long again for a late reading.
_PATIENCE: Final = 1.5


class _Shares(NamedTuple):
    """The shares as they are drawn: names from the bottom up, and for each moment a share for each name, or None."""

    names: Sequence[str]
    moments: Sequence[datetime]
    rows: Sequence[Sequence[float] | None]


def traffic_share(
    moments: Sequence[datetime],
    shares: Mapping[str, Sequence[float | None]],
    *,
    leader: str,
    end: datetime,
    label: str,
    zone: tzinfo | None = None,
) -> Markup:
    """Return who got the traffic over time.

    Args:
        moments: beginnings of equal periods, the oldest first.
        shares: for each model its amount in each period: shares or counts, they are drawn as parts of their sum. None, NaN,
            infinities and negative numbers count as 0; a period whose sum is 0 is a gap.
        leader: the model in the accent, at the bottom.
        end: right end, the moment of reading.
        label: the finding.
        zone: of the viewer, for the table; without it, that of each moment.
    """
    shown = _prepare(moments, shares, leader)
    gap = [numbers.NOTHING] * len(shown.names)
    rows = [
        [numbers.moment(at, zone), *([numbers.percent(share) for share in row] if row else gap)]
        for at, row in zip(shown.moments, shown.rows, strict=True)
    ]
    table = Table(("From", *shown.names), rows if shown.names else [])
    return figure("share", label, lambda size: _draw(shown, leader, end, size), [table])


def _prepare(moments: Sequence[datetime], shares: Mapping[str, Sequence[float | None]], leader: str) -> _Shares:
    amounts = {name: [max(0.0, finite(value) or 0.0) for value in values] for name, values in shares.items()}
    count = min([len(moments), *map(len, amounts.values())])
    stride = max(1, math.ceil(count / _MOST_MOMENTS))
    starts = range(0, count, stride)
    parts = {name: [0.0] * count for name in amounts}
    # Each period counts as much as its neighbors, however many events it had.
    for index in range(count):
        largest = max((values[index] for values in amounts.values()), default=0.0)
        whole = sum(values[index] / largest for values in amounts.values()) if largest else 0.0
        for name, values in amounts.items():
            parts[name][index] = values[index] / largest / whole if whole else 0.0
    totals = {name: sum(values) for name, values in parts.items()}
    ordered = sorted(amounts, key=lambda name: (name != leader, -totals[name], name))
    most = _OTHERS + (leader in amounts)
    kept = ordered if len(ordered) <= most else ordered[: most - 1]
    rest = ordered[len(kept) :]
    rows: list[Sequence[float] | None] = []
    for start in starts:
        group = [
            index for index in range(start, min(start + stride, count)) if any(parts[name][index] for name in ordered)
        ]
        if not group:
            rows.append(None)
            continue
        row = [sum(parts[name][index] for index in group) / len(group) for name in kept]
        rows.append([*row, sum(parts[name][index] for name in rest for index in group) / len(group)] if rest else row)
    names = [*kept, f"{len(rest)} others"] if rest else kept
    return _Shares(names, [moments[start] for start in starts], rows)


def _draw(shown: _Shares, leader: str, end: datetime, size: Size) -> tuple[Drawing, float]:
    if not any(shown.rows):
        return nothing(size, "no traffic in this time")
    drawing = Drawing(size)
    first = 0 if leader in shown.names else 1
    classes = [f"a{index}" for index in range(first, first + len(shown.names))]
    newest = next((row for row in reversed(shown.rows) if row), [])
    listed = sorted(zip(newest, shown.names, classes, strict=True), key=lambda entry: -entry[0])
    wide = size is Size.WIDE
    list_room = 0.0
    if wide:
        value_room = words.width("100%", size.text, bold=True) + 8
        longest = max(words.width(words.visible(name), size.text, bold=name == leader) for name in shown.names)
        list_room = min(longest, _LIST_ROOM) + value_room + 18 + 14
    left, right = words.width("100%", size.text) + 8, size.width - list_room - (0 if wide else 2)
    top = size.line / 2
    bottom = top + _HEIGHT[size]
    up = Linear(0, 1, bottom, top)
    for mark in (0, 0.5, 1):
        drawing.horizontal("grid", left, right, up(mark))
        drawing.text(left - 8, up(mark), f"{mark:.0%}", "e tick")
    _areas(drawing, shown, classes, end, Linear(shown.moments[0].timestamp(), end.timestamp(), left, right), up)
    draw_ages(drawing, shown.moments[0], end, left, right, bottom + size.line * 0.7)
    height = bottom + size.line * 1.4
    edge, y = (right + 14, top) if wide else (left, height + size.line * 0.6)
    for share, name, kind in listed:
        drawing.rect(f"key {kind}", Box(edge, y - 5, edge + 10, y + 5))
        is_leader = name == leader
        strong = "lead" if is_leader else ""
        drawing.text(size.width, y, numbers.percent(share, 0), f"e {strong or 'tick'}", bold=is_leader)
        room = size.width - edge - 18 - words.width("100%", size.text, bold=True) - 8
        drawing.text(edge + 18, y, name, strong, room=room, bold=is_leader)
        y += size.line
    return drawing, max(height, y - size.line / 2)


def _areas(drawing: Drawing, shown: _Shares, classes: Sequence[str], end: datetime, across: Linear, up: Linear) -> None:
    """Draw a stack of areas for each run of moments that have traffic, and the names in those that are large enough."""
    times = [at.timestamp() for at in shown.moments]
    period = (times[-1] - times[0]) / max(1, len(times) - 1) or end.timestamp() - times[0]
    ends = [*times[1:], times[-1] + period * _PATIENCE]
    stacks = [list(accumulate(row, initial=0.0)) if row else None for row in shown.rows]
    runs: list[list[tuple[float, list[float]]]] = []
    for has_traffic, group in groupby(zip(times, ends, stacks, strict=True), key=lambda entry: entry[2] is not None):
        if has_traffic:
            entries = [(at, until, stack) for at, until, stack in group if stack is not None]
            _, until, newest_stack = entries[-1]
            points = [(across(at), stack) for at, _, stack in entries]
            runs.append([*points, (across(min(until, end.timestamp())), newest_stack)])
    for index, (name, kind) in enumerate(zip(shown.names, classes, strict=True)):
        path = Path()
        for points in runs:
            if all(stack[index + 1] - stack[index] <= 0 for _, stack in points):
                continue
            path.move(points[0][0], up(points[0][1][index + 1]))
            for x, stack in points[1:]:
                path.line(x, up(stack[index + 1]))
            for x, stack in reversed(points):
                path.line(x, up(stack[index]))
            path.close()
        newest = next((row[index] for row in reversed(shown.rows) if row), 0.0)
        drawing.path(f"area {kind}", path, f"{name}, now {numbers.percent(newest)}")
    for index, (name, kind) in enumerate(zip(shown.names, classes, strict=True)):
        _name_in_area(drawing, name, kind, index, runs, up)


def _name_in_area(
    drawing: Drawing, name: str, kind: str, index: int, runs: Sequence[Sequence[tuple[float, list[float]]]], up: Linear
) -> None:
    """Write a name where its area is highest over the width of the name; nowhere, if that is lower than a line."""
    size = drawing.size
    wide = words.width(words.visible(name), size.text, bold=True) + 6
    enough, plenty = size.line * 1.4, size.line * 3
    #: Stretches of neighboring places where the area is as high: (height, place, middle line) of each place.
    stretches: list[list[tuple[float, float, float]]] = []
    for points in runs:
        stretches.append([])
        for first, (begin, _) in enumerate(points):
            reached = next((place for place, (x, _) in enumerate(points) if x >= begin + wide), None)
            if reached is None:
                break
            covered = [stack for _, stack in points[first : reached + 1]]
            floor, ceiling = max(stack[index] for stack in covered), min(stack[index + 1] for stack in covered)
            height = min(up(floor) - up(ceiling), plenty)
            if stretches[-1] and stretches[-1][-1][0] != height:
                stretches.append([])
            stretches[-1].append((height, begin + wide / 2, up((floor + ceiling) / 2)))
    # The longest of the highest, and the later of two: now matters most.
    found = max(stretches, key=lambda each: (each[0][0], len(each), each[0][1]) if each else (0.0, 0, 0.0), default=[])
    if found and found[0][0] >= enough:
        _, x, y = found[len(found) // 2]
        drawing.text(x, y, name, "m in w" if kind == "a0" else "m in", bold=True)
