"""Places for labels that do not overlap. Pure."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple


class Box(NamedTuple):
    """A rectangle in units of a drawing."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Return whether two rectangles share an area; those that touch do not."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, other: "Box") -> bool:
        """Return whether this rectangle lies within another."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the wanted ones, in their order, `gap` apart and within `low` to `high`.

    Where the stretch is too short for all, they stand at equal distances over it.

    Args:
        wanted: places, the smallest first.
    """
    if not wanted:
        return []
    if (len(wanted) - 1) * gap > high - low:
        gap = (high - low) / (len(wanted) - 1)
    places: list[float] = []
    for index, place in enumerate(wanted):
        places.append(max(place, low + index * gap, places[-1] + gap if places else low))
    limit = high
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places


class Grid:
    """The free places of a room, in small squares: fast where hundreds of places are tried. It is exact to one square."""

    _CELL: Final = 3.0

    def __init__(self, room: Box) -> None:
        self.room = room
        self._columns = max(0, math.ceil((room.right - room.left) / self._CELL))
        self._rows = [bytearray(self._columns) for _ in range(max(0, math.ceil((room.bottom - room.top) / self._CELL)))]

    def copy(self) -> "Grid":
        """Return a grid with the same places taken."""
        other = Grid(self.room)
        other._rows = [row[:] for row in self._rows]
        return other

    def mark(self, box: Box) -> None:
        """Take the part of a box that lies in the room."""
        left, right, rows = self._squares(box)
        if right > left:
            for row in rows:
                row[left:right] = b"\1" * (right - left)

    def is_free(self, box: Box) -> bool:
        """Return whether a box lies within the room, and nothing was marked in it."""
        if not box.inside(self.room):
            return False
        left, right, rows = self._squares(box)
        return not any(row.find(1, left, right) >= 0 for row in rows)

    def _squares(self, box: Box) -> tuple[int, int, Sequence[bytearray]]:
        left = max(0, math.floor((box.left - self.room.left) / self._CELL))
        right = min(self._columns, math.ceil((box.right - self.room.left) / self._CELL))
        top = max(0, math.floor((box.top - self.room.top) / self._CELL))
        return left, right, self._rows[top : max(top, math.ceil((box.bottom - self.room.top) / self._CELL))]
