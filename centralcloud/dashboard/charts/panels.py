"""Small multiples: where the panels of a chart stand."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.charts.drawing import Size

_GUTTER: Final = 44
_ABREAST: Final = 3


class Place(NamedTuple):
    """The stretch of a panel: its left and right ends, and the index of its row."""

    left: float
    right: float
    row: int


def place(count: int, size: Size) -> Sequence[Place]:
    """Return places for `count` panels: up to three abreast in the wide drawing, one below another in the narrow one."""
    abreast = max(1, min(count, _ABREAST)) if size is Size.WIDE else 1
    wide = (size.width - (abreast - 1) * _GUTTER) / abreast
    return [
        Place(column * (wide + _GUTTER), column * (wide + _GUTTER) + wide, row)
        for row, column in (divmod(index, abreast) for index in range(count))
    ]
