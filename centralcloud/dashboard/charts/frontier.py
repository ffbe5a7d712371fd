"""Cost of a success against the success rate, and the models that nothing beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, panels, ticks, words
from centralcloud.dashboard.charts.dot_names import Dot, dashes_of, name_dots
from centralcloud.dashboard.charts.drawing import Drawing, Path, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.scale import Linear, Logarithmic, Scale, all_finite, amount_scale, finite

_HEIGHT: Final = {Size.WIDE: 210, Size.NARROW: 190}
#: Radius of a model without traffic, and what one with all of it has more.
_SMALLEST, _GROWTH = 5, 10


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

    Each model has its name beside its dot; where no place is free, a number, and its name below the chart.

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
    spots: list[tuple[CostPoint, Dot]] = []
    for point in sorted(points, key=lambda each: (-(finite(each.share) or 0.0), each.name)):
        share = min(max(finite(point.share) or 0.0, 0.0), 1.0)
        cost, rate = finite(point.cost_of_success_usd) or 0.0, finite(point.success_rate) or 0.0
        values = f"{numbers.percent(point.success_rate)} at {numbers.usd(point.cost_of_success_usd)}"
        radius = _SMALLEST + _GROWTH * share**0.5
        spots.append((point, Dot(point.name, values, across(cost), up(rate), radius, point.leads)))
    line = sorted((dot.x, -dot.y) for point, dot in spots if point.on_frontier)
    path = Path()
    for index, (x, negative_y) in enumerate(line):
        (path.line if index else path.move)(x, -negative_y)
    if len(line) > 1:
        drawing.path("beaten", path)
    for point, dot in spots:
        title = f"{point.name}: {dot.values} a success, {numbers.percent(point.share)} of the traffic"
        kind = "dot lead" if point.leads else "dot on" if point.on_frontier else "dot"
        drawing.circle(kind, dot.x, dot.y, dot.radius, title)
    dashes = [dash for (x, y), (to_x, to_y) in pairwise(line) for dash in dashes_of(x, -y, to_x, -to_y)]
    spots.sort(key=lambda each: (not each[0].leads, not each[0].on_frontier))
    name_dots(drawing, [dot for _, dot in spots], dashes, room)
