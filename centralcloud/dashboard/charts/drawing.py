"""Drawings: SVG elements with classes, in compact numbers. Pure."""

from enum import Enum
from typing import NamedTuple

from centralcloud.dashboard.charts import words
from centralcloud.dashboard.charts.labels import Box


class Size(Enum):
    """The two drawings of a chart: one for a wide card, one for a phone. charts.css shows one of them.

    charts.css enlarges the text where it shrinks the drawing, so that a label has 11 to 14 px on every screen: `text` is
    its largest size in units, and labels are placed for that.
    """

    WIDE = (1320, 14.5)
    NARROW = (336, 13.5)

    def __init__(self, width: int, text: float) -> None:
        self.width = width
        self.text = text

    @property
    def line(self) -> float:
        """Return the distance of two lines of text, in units."""
        return round(self.text * 1.3)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal, without zeros that mean nothing: "12", ".5", "-3.2"."""
    return _tenths(round(value * 10))


def _tenths(tenths: int) -> str:
    whole, rest = divmod(abs(tenths), 10)
    text = f"{whole or ''}.{rest}" if rest else str(whole)
    return f"-{text}" if tenths < 0 else text


class Path:
    """The data of a path, in relative steps: they are short, and compress well."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._command = ""
        self._x = self._y = 0

    def move(self, x: float, y: float) -> "Path":
        """Begin a line."""
        self._x, self._y = round(x * 10), round(y * 10)
        self._parts.append(f"M{_pair(self._x, self._y)}")
        self._command = "M"
        return self

    def line(self, x: float, y: float) -> "Path":
        """Draw to a point."""
        new_x, new_y = round(x * 10), round(y * 10)
        step_x, step_y = new_x - self._x, new_y - self._y
        self._x, self._y = new_x, new_y
        if step_x and step_y:
            self._add("l", _pair(step_x, step_y))
        elif step_x:
            self._add("h", _tenths(step_x))
        elif step_y:
            self._add("v", _tenths(step_y))
        return self

    def close(self) -> "Path":
        """Draw back to where the line began."""
        self._parts.append("z")
        self._command = "z"
        return self

    def _add(self, command: str, numbers: str) -> None:
        if command != self._command:
            self._parts.append(command + numbers)
        else:
            self._parts.append(numbers if numbers.startswith("-") else f" {numbers}")
        self._command = command

    def __str__(self) -> str:
        return "".join(self._parts)


def _pair(x: int, y: int) -> str:
    second = _tenths(y)
    return f"{_tenths(x)}{second}" if second.startswith("-") else f"{_tenths(x)} {second}"


class Key(NamedTuple):
    """The name of a mark that has a number in the drawing. `values`: its numbers in words."""

    number: int
    name: str
    values: str


class Drawing:
    """An SVG drawing that is written from the back to the front.

    Attributes:
        boxes: of its texts.
        keys: names that the figure lists below the drawing.
        linked: whether it has links.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.boxes: list[Box] = []
        self.keys: list[Key] = []
        self.linked = False
        self._parts: list[str] = []

    def path(self, kind: str, path: "Path | str", title: str = "") -> None:
        """Draw a path of the class `kind`; one without points is left out."""
        if str(path):
            self._add("path", kind, f' d="{path}"', title)

    def circle(self, kind: str, x: float, y: float, radius: float, title: str = "") -> None:
        """Draw a circle."""
        self._add("circle", kind, f' cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"', title)

    def rect(self, kind: str, box: Box, title: str = "") -> None:
        """Draw a rectangle."""
        place = f' x="{number(box.left)}" y="{number(box.top)}"'
        size = f' width="{number(box.right - box.left)}" height="{number(box.bottom - box.top)}"'
        self._add("rect", kind, place + size, title)

    def horizontal(self, kind: str, left: float, right: float, y: float) -> None:
        """Draw a horizontal line."""
        self.path(kind, Path().move(left, y).line(right, y))

    def vertical(self, kind: str, x: float, top: float, bottom: float) -> None:
        """Draw a vertical line."""
        self.path(kind, Path().move(x, top).line(x, bottom))

    def text(self, x: float, y: float, text: str, kind: str = "", *, room: float = 0, bold: bool = False) -> Box:
        """Write a text, its middle line at `y`. The whole text is its title where it had to be cut.

        Args:
            kind: classes; "e" ends the text at `x`, "m" centers it there, else it begins there.
            room: units that it may be wide; 0 is as wide as it is.
            bold: whether the class makes it bold, for its width.
        """
        whole = words.visible(text)
        shown = words.cut(text, room, self.size.text, bold=bold) if room else whole
        box = self.box(x, y, shown, kind, bold=bold)
        self.boxes.append(box)
        title = f"<title>{words.safe(text)}</title>" if shown != whole else ""
        name = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{name} x="{number(x)}" y="{number(y)}">{title}{words.safe(shown)}</text>')
        return box

    def box(self, x: float, y: float, text: str, kind: str = "", *, bold: bool = False) -> Box:
        """Return the box of a text, before it is written."""
        wide = words.width(text, self.size.text, bold=bold)
        anchors = kind.split()
        left = x - wide if "e" in anchors else x - wide / 2 if "m" in anchors else x
        half = self.size.text * 0.6
        return Box(left, y - half, left + wide, y + half)

    def is_free(self, box: Box) -> bool:
        """Return whether no text stands in a box."""
        return not any(box.overlaps(other) for other in self.boxes)

    def open_link(self, url: str, title: str = "") -> bool:
        """Begin a link, which `close_link` ends. Return whether there is one: only paths of this site are linked."""
        if not url.startswith("/") or url.startswith(("//", "/\\")):
            return False
        self.linked = True
        name = f' aria-label="{words.safe(title)}"' if title else ""
        self._parts.append(f'<a href="{words.safe(url)}"{name}>')
        return True

    def close_link(self) -> None:
        """End a link."""
        self._parts.append("</a>")

    def group(self, kind: str) -> None:
        """Begin a group whose class its elements share; `end_group` ends it."""
        self._parts.append(f'<g class="{kind}">')

    def end_group(self) -> None:
        """End a group."""
        self._parts.append("</g>")

    def svg(self, height: float) -> str:
        """Return the drawing.

        Args:
            height: in units; the width is that of its size.
        """
        kind = self.size.name.lower()
        return f'<svg class="{kind}" viewBox="0 0 {self.size.width} {number(height)}">{"".join(self._parts)}</svg>'

    def _add(self, element: str, kind: str, attributes: str, title: str) -> None:
        name = f' class="{kind}"' if kind else ""
        if title:
            self._parts.append(f"<{element}{name}{attributes}><title>{words.safe(title)}</title></{element}>")
        else:
            self._parts.append(f"<{element}{name}{attributes}/>")
