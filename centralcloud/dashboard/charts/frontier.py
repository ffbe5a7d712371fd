"""Cost of a success against the success rate, and the models that nothing beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, panels, ticks, words
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.scale import Linear, Logarithmic, Scale, all_finite, amount_scale, finite

_HEIGHT: Final = {Size.WIDE: 210, Size.NARROW: 190}
_NAME_ROOM: Final = 240
#: Radius of a model without traffic, and what one with all of it has more.
_SMALLEST, _GROWTH = 5, 10
#: Points that get a name; the others have it as a title and in the table.
_MOST_NAMES: Final = 24


@dataclass(frozen=True)
class CostPoint:
    """A model: US dollars for each success, success rate (0 to 1), share of traffic (0 to 1)."""

    name: str
    cost_of_success_usd: float | None
    success_rate: float | None
    share: float
    leads: bool = False
    on_frontier: bool = False


@dataclass(frozen=True)
class CostPanel:
    """The models of one complexity."""

    title: str
    points: Sequence[CostPoint]


@dataclass(frozen=True)
class _Spot:
    """Where a point stands in the drawing."""

    point: CostPoint
    x: float
    y: float
    radius: float

    @property
    def box(self) -> Box:
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


def frontier_of(points: Sequence[CostPoint]) -> frozenset[str]:
    """Return the names of the models that no other beats: none costs less and succeeds as often, or more often at the cost.

    Models without a known cost or rate are on no frontier. Models that are equal in both are on it together.
    """
    known = [
        (cost, rate, point.name)
        for point in points
        if (cost := finite(point.cost_of_success_usd)) is not None and (rate := finite(point.success_rate)) is not None
    ]
    found, best = set[str](), float("-inf")
    for _, same_cost in groupby(sorted(known), key=lambda entry: entry[0]):
        group = list(same_cost)
        top = max(rate for _, rate, _ in group)
        if top > best:
            found |= {name for _, rate, name in group if rate == top}
            best = top
    return frozenset(found)


def frontier(panels: Sequence[CostPanel], *, label: str) -> Markup:
    """Return cost and success of each model, on the same axes for all panels; a dashed line joins the frontier.

    The cost axis begins at 0, or goes by magnitude where costs differ by more than 50 times.

    Args:
        panels: one for each complexity.
        label: the finding.
    """
    rows = [
        (
            panel.title,
            point.name + (" (most tasks)" if point.leads else ""),
            "yes" if point.on_frontier else "no",
            numbers.usd(point.cost_of_success_usd),
            numbers.percent(point.success_rate),
            numbers.percent(point.share),
        )
        for panel in panels
        for point in panel.points
    ]
    head = ("Complexity", "Model", "On the frontier", "Cost of a success", "Success rate", "Share of traffic")
    return figure("frontier", label, lambda size: _draw(panels, size), [Table(head, rows, texts=3)])


def _drawn(panel: CostPanel) -> list[CostPoint]:
    return [
        point
        for point in panel.points
        if finite(point.cost_of_success_usd) is not None and finite(point.success_rate) is not None
    ]


def _draw(shown: Sequence[CostPanel], size: Size) -> tuple[Drawing, float]:
    points = [point for panel in shown for point in _drawn(panel)]
    if not points:
        return nothing(size, "no costs known yet")
    drawing = Drawing(size)
    costs = [max(0.0, cost) for cost in all_finite(point.cost_of_success_usd for point in points)]
    rates = ticks.rate_ticks(all_finite(point.success_rate for point in points), 4)
    amounts = ticks.amount_ticks(max(costs)) if max(costs) > 0 else [0.0, 1.0]
    height = _HEIGHT[size] + 4.4 * size.line
    rows = 0
    for panel, place in zip(shown, panels.place(len(shown), size), strict=True):
        rows = place.row + 1
        top = place.row * (height + size.line)
        drawing.text(place.left, top + size.line / 2, panel.title, "head", room=place.right - place.left, bold=True)
        left = place.left + words.width("100%", size.text) + 8
        upper = top + 1.5 * size.line + _SMALLEST + _GROWTH
        lower = upper + _HEIGHT[size] - _SMALLEST - _GROWTH
        margin = _SMALLEST + _GROWTH
        across = amount_scale(costs, amounts[-1], left + margin, place.right - margin)
        up = Linear(rates[0], rates[-1], lower, upper)
        for rate, text in zip(rates, numbers.axis(rates, "percent"), strict=True):
            drawing.horizontal("grid", left, place.right, up(rate))
            drawing.text(left - 8, up(rate), text, "e tick")
        _cost_axis(drawing, across, amounts, lower + size.line * 0.9)
        drawing.text(place.right, lower + size.line * 2, "cost of a success →", "e tick")
        _points(drawing, _drawn(panel), across, up, Box(left, upper - margin, place.right, lower + 2))
    return drawing, rows * (height + size.line) - 1.2 * size.line


def _cost_axis(drawing: Drawing, across: Scale, amounts: Sequence[float], y: float) -> None:
    if isinstance(across, Logarithmic):
        marks = ticks.magnitude_ticks(across.low, across.high, 5)
        texts = [numbers.usd(mark) for mark in marks]
    else:
        marks, texts = list(amounts), numbers.axis(amounts, "usd")
    free = float("-inf")
    for mark, text in zip(marks, texts, strict=True):
        x, kind = across(mark), "m tick"
        if drawing.box(x, y, text, kind).right > drawing.size.width:
            x, kind = drawing.size.width, "e tick"
        box = drawing.box(x, y, text, kind)
        if box.left >= max(free, 0) and drawing.is_free(box):
            drawing.text(x, y, text, kind)
            free = box.right + 6


def _points(drawing: Drawing, points: Sequence[CostPoint], across: Scale, up: Linear, room: Box) -> None:
    """Draw the frontier below the dots, the small dots above the large ones, and then the names."""
    spots = []
    for point in sorted(points, key=lambda each: (-(finite(each.share) or 0.0), each.name)):
        share = min(max(finite(point.share) or 0.0, 0.0), 1.0)
        cost, rate = finite(point.cost_of_success_usd) or 0.0, finite(point.success_rate) or 0.0
        spots.append(_Spot(point, across(cost), up(rate), _SMALLEST + _GROWTH * share**0.5))
    line = sorted((spot.x, -spot.y) for spot in spots if spot.point.on_frontier)
    path = Path()
    for index, (x, negative_y) in enumerate(line):
        (path.line if index else path.move)(x, -negative_y)
    if len(line) > 1:
        drawing.path("beaten", path)
    for spot in spots:
        point = spot.point
        title = (
            f"{point.name}: {numbers.percent(point.success_rate)} at {numbers.usd(point.cost_of_success_usd)} a success,"
            f" {numbers.percent(point.share)} of the traffic"
        )
        drawing.circle(
            "dot lead" if point.leads else "dot on" if point.on_frontier else "dot", spot.x, spot.y, spot.radius, title
        )
    taken = [spot.box for spot in spots]
    dashes = [dash for (x, y), (to_x, to_y) in pairwise(line) for dash in _dashes(x, -y, to_x, -to_y)]
    for spot in sorted(spots, key=lambda each: (not each.point.leads, not each.point.on_frontier))[:_MOST_NAMES]:
        _name(drawing, spot, taken, dashes, room)


def _dashes(x: float, y: float, to_x: float, to_y: float) -> list[Box]:
    """Return small boxes along a line."""
    count = max(1, round(max(abs(to_x - x), abs(to_y - y)) / 4))
    places = [(x + (to_x - x) * index / count, y + (to_y - y) * index / count) for index in range(count + 1)]
    return [Box(at_x - 1, at_y - 1, at_x + 1, at_y + 1) for at_x, at_y in places]


def _name(drawing: Drawing, spot: _Spot, taken: Sequence[Box], dashes: Sequence[Box], room: Box) -> None:
    """Write a name on the first free side of its dot: right, left, below, above; nowhere, if none is free.

    It may cross the dashed line if it must.
    """
    size, gap = drawing.size, spot.radius + 5
    strong = "lead" if spot.point.leads else ""
    widest = min(_NAME_ROOM, (room.right - room.left) * 0.6)
    text = words.cut(spot.point.name, widest, size.text, bold=spot.point.leads)
    below, above = spot.y + size.line * 0.62 + spot.radius + 1, spot.y - size.line * 0.62 - spot.radius - 1
    sides = [(spot.x + gap, spot.y, ""), (spot.x - gap, spot.y, "e")]
    for y in (below, above):
        sides += [(spot.x, y, "m"), (spot.x - spot.radius, y, ""), (spot.x + spot.radius, y, "e")]
    places: list[tuple[bool, int, float, float, str]] = []
    for x, y, anchor in sides:
        kind = " ".join(filter(None, (anchor, strong, "halo")))
        box = drawing.box(x, y, text, kind, bold=spot.point.leads)
        others = [other for other in taken if other != spot.box]
        if box.inside(room) and drawing.is_free(box) and not any(box.overlaps(other) for other in others):
            crossed = any(box.overlaps(dash) for dash in dashes)
            places.append((crossed, len(places), x, y, kind))
    if places:
        _, _, x, y, kind = min(places)
        drawing.text(x, y, spot.point.name, kind, room=widest, bold=spot.point.leads)
