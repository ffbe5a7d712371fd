"""Charts read back: their drawings, the boxes of their texts, the points of their shapes, and their tables."""

import re
from collections.abc import Iterator
from itertools import combinations
from xml.etree import ElementTree

from centralcloud.dashboard.charts.drawing import Size
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.words import width

Element = ElementTree.Element
_STEP = re.compile(r"([MlhvzZ])([^MlhvzZ]*)")
_NUMBER = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+)")
_BOLD = {"lead", "head", "in"}
_ATTRIBUTES = {
    "class", "viewBox", "role", "aria-label", "d", "x", "y", "cx", "cy", "r", "width", "height", "href", "tabindex", "scope",
}  # fmt: skip
#: Half a stroke, and a rounded tenth.
_TOLERANCE = 1.05


def parse(markup: str) -> Element:
    """Return the elements of a chart; an error, if it is not well-formed XML."""
    return ElementTree.fromstring(str(markup))


def drawing(markup: str, kind: str) -> Element:
    """Return the drawing of a size: "wide" or "narrow"."""
    return next(svg for svg in parse(markup).iter("svg") if svg.get("class") == kind)


def rows(markup: str, table: int = 0) -> list[list[str]]:
    """Return the cells of a table's body."""
    found = list(parse(markup).iter("tbody"))
    return [["".join(cell.itertext()) for cell in row] for row in found[table]] if found else []


def head(markup: str) -> list[str]:
    """Return the names of the first table's columns."""
    return ["".join(cell.itertext()) for cell in next(parse(markup).iter("thead")).iter("th")]


def shown(element: Element) -> str:
    """Return the text of an element that is seen, without its title."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def texts(svg: Element) -> list[str]:
    """Return the texts of a drawing as they are seen."""
    return [shown(text) for text in svg.iter("text")]


def titles(svg: Element) -> list[str]:
    """Return the titles of a drawing."""
    return [title.text or "" for title in svg.iter("title")]


def keys(markup: str, kind: str) -> dict[int, str]:
    """Return the names below the drawing of a size, by their numbers."""
    found = {}
    for listed in parse(markup).iter("ul"):
        if kind in listed.get("class", "").split():
            for entry in listed.iter("li"):
                found[int(entry[0].text or "")] = (entry[0].tail or "").strip()
    return found


def of_class(svg: Element, element: str, kind: str) -> list[Element]:
    """Return the elements that have a class."""
    return [each for each in svg.iter(element) if kind in each.get("class", "").split()]


def points(path: str) -> list[tuple[float, float]]:
    """Return the points of a path's data."""
    found, x, y = list[tuple[float, float]](), 0.0, 0.0
    for command, data in _STEP.findall(path):
        numbers = [float(number) for number in _NUMBER.findall(data)]
        if command == "M":
            x, y = numbers
            found.append((x, y))
        steps = {
            "l": zip(numbers[::2], numbers[1::2], strict=True),
            "h": ((n, 0.0) for n in numbers),
            "v": ((0.0, n) for n in numbers),
        }
        for step_x, step_y in steps.get(command, ()):
            x, y = x + step_x, y + step_y
            found.append((x, y))
    return found


def text_box(text: Element, size: Size) -> Box:
    """Return the estimated box of a text in its largest size."""
    kinds = set(text.get("class", "").split())
    wide = width(shown(text), size.text, bold=bool(kinds & _BOLD))
    x, y = float(text.get("x", "")), float(text.get("y", ""))
    left = x - wide if "e" in kinds else x - wide / 2 if "m" in kinds else x
    return Box(left, y - size.text * 0.55, left + wide, y + size.text * 0.55)


def _all_points(svg: Element) -> Iterator[tuple[float, float]]:
    for element in svg.iter():
        number = {
            name: float(value)
            for name, value in element.items()
            if name in {"x", "y", "cx", "cy", "r", "width", "height"}
        }
        match element.tag:
            case "path":
                yield from points(element.get("d", ""))
            case "circle":
                yield number["cx"] - number["r"], number["cy"] - number["r"]
                yield number["cx"] + number["r"], number["cy"] + number["r"]
            case "rect":
                yield number["x"], number["y"]
                yield number["x"] + number["width"], number["y"] + number["height"]
                assert number["width"] >= 0
                assert number["height"] >= 0


def check(markup: str) -> None:
    """Check that a chart keeps the rules of every chart."""
    root = parse(markup)
    for element in root.iter():
        assert element.tag != "script"
        assert set(element.keys()) <= _ATTRIBUTES, element.attrib
    svgs = list(root.iter("svg"))
    assert [svg.get("class") for svg in svgs] == ["wide", "narrow"]
    for svg, size in zip(svgs, Size, strict=True):
        left, top, right, bottom = map(float, svg.get("viewBox", "").split())
        assert (left, top, right) == (0, 0, size.width)
        for x, y in _all_points(svg):
            assert -_TOLERANCE <= x <= right + _TOLERANCE, x
            assert -_TOLERANCE <= y <= bottom + _TOLERANCE, y
        boxes = [(shown(text), text_box(text, size)) for text in svg.iter("text")]
        for text, box in boxes:
            assert box.left >= -_TOLERANCE, text
            assert box.right <= right + _TOLERANCE, text
            assert box.top >= -2 * _TOLERANCE, text
            assert box.bottom <= bottom + _TOLERANCE, text
        for (text, box), (other, place) in combinations(boxes, 2):
            assert not box.overlaps(place), (text, other, box, place)
