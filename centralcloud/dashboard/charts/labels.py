"""Places for labels that do not overlap. Pure."""

from collections.abc import Sequence
from typing import NamedTuple


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
