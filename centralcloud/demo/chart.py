"""A chart of the success rate as lines of text, in Braille dots or ASCII. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from centralcloud.demo.progress import Point
from centralcloud.demo.story import clock
from centralcloud.runtime.wording import percent

#: The time axis has this length at first and doubles whenever the curve reaches its end.
_FIRST_SPAN_SECONDS: Final = 90.0
#: The rates of the axis: from a multiple of this below every point to 100%.
_RATE_STEP: Final = 0.05
_LOWEST_RATE: Final = 0.75
_LABEL_WIDTH: Final = 6
#: Seconds between two times of the axis: the first step with which at most so many times follow the first one.
_TIME_STEPS: Final = (30, 60, 120, 180, 300, 600, 1200, *(1800 * 2**power for power in range(30)))
_MOST_TIMES: Final = 4.8
_WIDE_COLUMNS: Final = 40
CURVE_STYLE: Final = "bold bright_cyan"
BEST_STYLE: Final = "bright_yellow"
_AXIS_STYLE: Final = "bright_black"
#: Dots of a Braille character: bits by row and column.
_BRAILLE: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def draw_chart(points: Sequence[Point], *, width: int, height: int, ascii_only: bool) -> list[Text]:
    """Draw the curve with the best possible rate as a dotted line, in `height` lines; the last one is the time axis.

    The best possible rate continues to the end of the axis: it is the target.
    """
    columns, rows = max(4, width - _LABEL_WIDTH - 1), max(2, height - 1)
    span = _FIRST_SPAN_SECONDS
    while points and points[-1].seconds > span:
        span *= 2
    lowest = _lowest_rate(points)
    draw = _draw_ascii if ascii_only else _draw_braille
    cells = draw(points, span, columns, rows, lowest)
    labels = _rate_labels(rows, lowest)
    border = "|" if ascii_only else "│"
    lines = [
        Text.assemble((f"{label:>{_LABEL_WIDTH - 1}} {border}", _AXIS_STYLE), *row)
        for label, row in zip(labels, cells, strict=True)
    ]
    return [*lines, _time_axis(span, columns)]


def _lowest_rate(points: Sequence[Point]) -> float:
    least = min((point.rate for point in points), default=_LOWEST_RATE)
    steps = int((least + 0.01) / _RATE_STEP)  # a point just below the axis is drawn on its lowest level
    return min(_LOWEST_RATE, max(0.0, round(steps * _RATE_STEP, 2)))


def _rate_labels(rows: int, lowest: float) -> list[str]:
    """Label the rows that contain a round rate; a row has one label at most."""
    step = 0.05 if (1 - lowest) / 0.05 <= rows else 0.1
    labels = [""] * rows
    rate = 1.0
    while rate > lowest - 0.001:
        row = min(rows - 1, int((1.0 - rate) / (1.0 - lowest) * rows + 1e-9))
        labels[row] = labels[row] or percent(rate, 0)
        rate -= step
    return labels


def _time_axis(span: float, columns: int) -> Text:
    """The round times of the axis, or only both ends of a short one."""
    step = next(step for step in _TIME_STEPS if span / step <= _MOST_TIMES) if columns >= _WIDE_COLUMNS else span
    line = [" "] * (_LABEL_WIDTH + 1 + columns)
    for number in range(int(span / step) + 1):
        label = clock(step * number)
        at = _LABEL_WIDTH + 1 + round(columns * step * number / span)
        at = min(max(_LABEL_WIDTH + 1, at - len(label) // 2), len(line) - len(label))
        line[at : at + len(label)] = label
    return Text.assemble(("".join(line), _AXIS_STYLE))


def _interpolate(points: Sequence[Point], seconds: float, value: Callable[[Point], float]) -> float | None:
    """The value at a moment, between the points around it; None after the last point."""
    if not points or seconds > points[-1].seconds:
        return None
    after = next(i for i, point in enumerate(points) if point.seconds >= seconds)
    if after == 0:
        return value(points[0])
    left, right = points[after - 1], points[after]
    share = (seconds - left.seconds) / max(right.seconds - left.seconds, 1e-9)
    return value(left) + share * (value(right) - value(left))


def _series(
    points: Sequence[Point], span: float, columns: int, levels: int, lowest: float
) -> tuple[list[int | None], list[int | None]]:
    """Level (0: the top) of curve and best possible rate for each column."""

    def level(rate: float | None) -> int | None:
        return None if rate is None else min(levels - 1, max(0, int((1.0 - rate) / (1.0 - lowest) * levels)))

    moments = [span * column / max(1, columns - 1) for column in range(columns)]
    curve = [level(_interpolate(points, moment, lambda point: point.rate)) for moment in moments]
    target = points[-1].best if points else None
    best = [level(_interpolate(points, moment, lambda point: point.best) or target) for moment in moments]
    return curve, best


def _draw_braille(
    points: Sequence[Point], span: float, columns: int, rows: int, lowest: float
) -> list[list[tuple[str, str]]]:
    curve, best = _series(points, span, 2 * columns, 4 * rows, lowest)
    bits = [[0] * columns for _ in range(rows)]
    styles = [[BEST_STYLE] * columns for _ in range(rows)]
    for x, y in enumerate(best):
        if y is not None and x % 2 == 0:
            bits[y // 4][x // 2] |= _BRAILLE[y % 4][0]
    previous = None
    for x, y in enumerate(curve):
        if y is None:
            continue
        start = y if previous is None else previous
        for dot in range(min(start, y), max(start, y) + 1):
            row, column = dot // 4, x // 2
            if styles[row][column] == BEST_STYLE:  # the curve covers the dots of the line
                styles[row][column], bits[row][column] = CURVE_STYLE, 0
            bits[row][column] |= _BRAILLE[dot % 4][x % 2]
        previous = y
    return [
        [(chr(0x2800 + each) if each else " ", style) for each, style in zip(row, row_styles, strict=True)]
        for row, row_styles in zip(bits, styles, strict=True)
    ]


def _draw_ascii(
    points: Sequence[Point], span: float, columns: int, rows: int, lowest: float
) -> list[list[tuple[str, str]]]:
    curve, best = _series(points, span, columns, rows, lowest)
    cells: list[list[tuple[str, str]]] = [[(" ", "")] * columns for _ in range(rows)]
    for x, y in enumerate(best):
        if y is not None:
            cells[y][x] = ("-", BEST_STYLE)
    previous = None
    for x, y in enumerate(curve):
        if y is None:
            continue
        start = y if previous is None else previous
        for row in range(min(start, y), max(start, y) + 1):
            cells[row][x] = ("*", CURVE_STYLE)
        previous = y
    return cells
