"""Sparkline: a line as high as a word, its last value a dot."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from markupsafe import Markup

from centralcloud.dashboard.charts.drawing import Path, number
from centralcloud.dashboard.charts.scale import Linear, all_finite, finite
from centralcloud.dashboard.charts.words import safe

_WIDTH, _HEIGHT, _EDGE = 120, 24, 3
#: Points of the line; more values are averaged.
_MOST: Final = 40


def sparkline(
    values: Sequence[float | None], *, label: str, low: float | None = None, high: float | None = None
) -> Markup:
    """Return a sparkline in the color of the text around it: one small drawing, without axes and without a table.

    Args:
        values: at equal distances; None, NaN and infinities are gaps.
        label: the finding, for screen readers and as a title.
        low: number at the bottom; without a finite one, the smallest value.
        high: number at the top; without a finite one, the largest value.
    """
    known = all_finite(values)
    bottom = least if (least := finite(low)) is not None else min(known, default=0.0)
    top = most if (most := finite(high)) is not None else max(known, default=0.0)
    across = Linear(0, max(1, len(values) - 1), _EDGE, _WIDTH - _EDGE)
    up = Linear(bottom, top, _HEIGHT - _EDGE, _EDGE)
    path, dot = Path(), ""
    for is_known, run in groupby(_thinned(values), key=lambda point: point[1] is not None):
        points = [(across(place), up(value)) for place, value in run if value is not None]
        if is_known:
            path.move(*points[0])
            for point in points:
                path.line(*point)
    last = finite(values[-1]) if values else None
    if last is not None:
        dot = f'<circle cx="{number(across(len(values) - 1))}" cy="{number(up(last))}" r="2.5"/>'
    line = f'<path d="{path}"/>' if str(path) else ""
    name = safe(label)
    return Markup(  # noqa: S704
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{line}{dot}</svg>"
    )


def _thinned(values: Sequence[float | None]) -> list[tuple[float, float | None]]:
    """Return at most `_MOST` points (place, value) and the last one: the mean of each run of neighbors."""
    if len(values) <= _MOST + 1:
        return [(place, finite(value)) for place, value in enumerate(values)]
    body, points = len(values) - 1, []
    for index in range(_MOST):
        start, end = body * index // _MOST, body * (index + 1) // _MOST
        known = all_finite(values[start:end])
        points.append(((start + end - 1) / 2, sum(each / len(known) for each in known) if known else None))
    return [*points, (body, finite(values[-1]))]
