"""Names of the dots of a scatter chart: beside the dot, or a number whose name stands below the chart. Pure.

A name that exists as a title alone cannot be read in print, on a phone, or without a mouse: so each dot has one of the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from centralcloud.dashboard.charts import words
from centralcloud.dashboard.charts.drawing import Drawing, Key, Path
from centralcloud.dashboard.charts.labels import Box, Grid

#: With more dots, only the most important get their names beside them, so that the others have room for numbers.
_CROWD: Final = 24
_NAMES_IN_CROWD: Final = 6
_NAME_ROOM: Final = 240
#: Dots so close together, in units, share a label: "3–5". The next is tried where labels find no place.
_TOGETHER: Final = (9, 24, 48)
_TOGETHER_IN_CROWD: Final = (24, 36, 48, 72)
#: A number stands at most this far from its dot, in units, on a line that leads to it.
_FURTHEST: Final = 108
#: A name, which is wider, stands nearer.
_FURTHEST_NAME: Final = 40
_STEP: Final = 6
#: Offsets of a number from its dot, the nearest first; twice as coarse from half of the way on.
_AROUND: Final = sorted(
    (
        (x, y)
        for x in range(-_FURTHEST, _FURTHEST + 1, _STEP)
        for y in range(-_FURTHEST, _FURTHEST + 1, _STEP)
        if 0 < math.hypot(x, y) <= _FURTHEST / 2 or (math.hypot(x, y) <= _FURTHEST and x % 12 == y % 12 == 0)
    ),
    key=lambda offset: (math.hypot(*offset), offset),
)


@dataclass(frozen=True)
class Dot:
    """A dot that is to be named. `values`: its two numbers in words; `leads`: its name is bold."""

    name: str
    values: str
    x: float
    y: float
    radius: float
    leads: bool = False

    @property
    def box(self) -> Box:
        """Return the square around the dot."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


class _Place(NamedTuple):
    """The middle and the box of a number."""

    label: str
    x: float
    y: float
    box: Box


def name_dots(drawing: Drawing, dots: Sequence[Dot], dashes: Sequence[Box], room: Box) -> None:
    """Write the name of each dot on a free side of it, or a number, with the name among the keys of the drawing.

    Args:
        dots: the most important first.
        dashes: boxes along lines, which a name crosses only if it must.
        room: no name leaves it.
    """
    taken = [dot.box for dot in dots]
    is_crowd = len(dots) > _CROWD
    named = dots[:_NAMES_IN_CROWD] if is_crowd else dots
    unnamed = [dot for dot in named if not _name(drawing, dot, taken, dashes, room)] + list(dots[len(named) :])
    if not unnamed:
        return
    texts = Grid(room)
    for box in drawing.boxes:
        texts.mark(box)
    everything = texts.copy()
    for box in taken:
        everything.mark(box)
    if not is_crowd:
        unnamed = [dot for dot in unnamed if not _name_apart(drawing, dot, texts, everything)]
    for together in _TOGETHER_IN_CROWD if is_crowd else _TOGETHER:
        groups = _groups(unnamed, together)
        places = _places(drawing, groups, everything.copy())
        if all(places):
            break
    else:
        # So crowded that some dots have no number near them: their values in the key tell which they are.
        places = _places(drawing, groups, texts)
    for group, place in zip(groups, places, strict=True):
        drawing.keys += [
            Key(len(drawing.keys) + index, dot.name, dot.values) for index, dot in enumerate(group, start=1)
        ]
        if place is not None:
            _write(drawing, group[0], place)


def _groups(dots: Sequence[Dot], together: float) -> list[list[Dot]]:
    """Return the dots from left to right, those that stand on almost the same spot together."""
    groups: list[list[Dot]] = []
    for dot in sorted(dots, key=lambda each: (each.x, each.y, each.name)):
        for group in reversed(groups):
            if abs(group[0].x - dot.x) <= together and abs(group[0].y - dot.y) <= together:
                group.append(dot)
                break
        else:
            groups.append([dot])
    return groups


def _name(drawing: Drawing, dot: Dot, taken: Sequence[Box], dashes: Sequence[Box], room: Box) -> bool:
    """Write a name on the first free side of its dot: right, left, below, above; return whether one was free."""
    size, gap = drawing.size, dot.radius + 5
    strong = "lead" if dot.leads else ""
    text = words.visible(dot.name)
    if not _fits(drawing, dot, room):
        return False
    below, above = dot.y + size.line * 0.62 + dot.radius + 1, dot.y - size.line * 0.62 - dot.radius - 1
    sides = [(dot.x + gap, dot.y, ""), (dot.x - gap, dot.y, "e")]
    for y in (below, above):
        sides += [(dot.x, y, "m"), (dot.x - dot.radius, y, ""), (dot.x + dot.radius, y, "e")]
    places: list[tuple[bool, int, float, float, str]] = []
    for x, y, anchor in sides:
        kind = " ".join(filter(None, (anchor, strong, "halo")))
        box = drawing.box(x, y, text, kind, bold=dot.leads)
        others = [other for other in taken if other != dot.box]
        if box.inside(room) and drawing.is_free(box) and not any(box.overlaps(other) for other in others):
            crossed = any(box.overlaps(dash) for dash in dashes)
            places.append((crossed, len(places), x, y, kind))
    if places:
        _, _, x, y, kind = min(places)
        drawing.text(x, y, dot.name, kind, bold=dot.leads)
    return bool(places)


def _fits(drawing: Drawing, dot: Dot, room: Box) -> bool:
    """Return whether a name is short enough to stand in the drawing."""
    text = words.visible(dot.name)
    widest = min(_NAME_ROOM, (room.right - room.left) * 0.6)
    return bool(text.strip()) and words.width(text, drawing.size.text, bold=dot.leads) <= widest


def _name_apart(drawing: Drawing, dot: Dot, texts: Grid, everything: Grid) -> bool:
    """Write a name near its dot, with a line that leads to it and crosses no text; return whether there was a place."""
    if not _fits(drawing, dot, everything.room):
        return False
    middle = drawing.box(0, 0, words.visible(dot.name), "m", bold=dot.leads)
    for step_x, step_y in _AROUND:
        x, y = dot.x + step_x, dot.y + step_y
        box = Box(middle.left + x, middle.top + y, middle.right + x, middle.bottom + y)
        place = _Place(dot.name, x, y, box)
        begin, end = _line(dot, box)
        if math.dist(begin, end) > _FURTHEST_NAME or not everything.is_free(box):
            continue
        if all(texts.is_free(dash) for dash in dashes_of(*begin, *end)):
            _write(drawing, dot, place)
            texts.mark(box)
            everything.mark(box)
            return True
    return False


def _places(drawing: Drawing, groups: Sequence[Sequence[Dot]], free: Grid) -> list[_Place | None]:
    """Return the place of the number of each group: the nearest free one; None where none is free."""
    places: list[_Place | None] = []
    first = len(drawing.keys) + 1
    for group in groups:
        dot = group[0]
        label = str(first) if len(group) == 1 else f"{first}–{first + len(group) - 1}"
        first += len(group)
        around = drawing.box(0, 0, label, "m", bold=dot.leads)
        for step_x, step_y in _AROUND:
            x, y = dot.x + step_x, dot.y + step_y
            box = Box(around.left + x, around.top + y, around.right + x, around.bottom + y)
            if free.is_free(box):
                free.mark(box)
                places.append(_Place(label, x, y, box))
                break
        else:
            places.append(None)
    return places


def _write(drawing: Drawing, dot: Dot, place: _Place) -> None:
    """Write a name or a number, with a line from its dot where it stands apart."""
    begin, end = _line(dot, place.box)
    if math.dist(begin, end) > 3:
        drawing.path("leader", Path().move(*begin).line(*end))
    drawing.text(place.x, place.y, place.label, "m lead halo" if dot.leads else "m halo", bold=dot.leads)


def _line(dot: Dot, box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return a line from the edge of a dot to the nearest point of a box, so that it does not run through the box."""
    end = min(max(dot.x, box.left), box.right), min(max(dot.y, box.top), box.bottom)
    away = math.dist(end, (dot.x, dot.y))
    part = min(1.0, dot.radius / away) if away else 1.0
    return (dot.x + (end[0] - dot.x) * part, dot.y + (end[1] - dot.y) * part), end


def dashes_of(x: float, y: float, to_x: float, to_y: float) -> list[Box]:
    """Return small boxes along a line."""
    count = max(1, round(max(abs(to_x - x), abs(to_y - y)) / 4))
    places = [(x + (to_x - x) * index / count, y + (to_y - y) * index / count) for index in range(count + 1)]
    return [Box(at_x - 1, at_y - 1, at_x + 1, at_y + 1) for at_x, at_y in places]
