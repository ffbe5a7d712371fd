"""The figure around a chart: its finding in words, two drawings, and its numbers as tables. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from centralcloud.dashboard.charts.drawing import Drawing, Size
from centralcloud.dashboard.charts.words import safe


@dataclass(frozen=True)
class Table:
    """The numbers of a chart.

    Args:
        head: names of the columns.
        rows: texts, as many in each row as in the head.
        texts: how many of the first columns are text; the others are numbers, on the right.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


#: Draws a chart in one size, and returns the drawing with its height.
Draw = Callable[[Size], tuple[Drawing, float]]


def figure(kind: str, label: str, draw: Draw, tables: Sequence[Table]) -> Markup:
    """Return a chart as a figure.

    A drawing with links is a group and not an image: the parts of an image cannot be reached by keyboard.

    Args:
        kind: class of the chart.
        label: the finding, which a screen reader says instead of the drawing.
        tables: those without rows are left out.
    """
    drawn = [draw(size) for size in Size]
    role = "group" if any(drawing.linked for drawing, _ in drawn) else "img"
    drawings = "".join(drawing.svg(height) for drawing, height in drawn)
    image = f'<div role="{role}" aria-label="{safe(label)}">{drawings}</div>'
    keys = "".join(_keys(drawing) for drawing, _ in drawn)
    return Markup(f'<figure class="chart {kind}">{image}{keys}{_details(tables)}</figure>')  # noqa: S704


def _keys(drawing: Drawing) -> str:
    """Return the names of the numbered marks; charts.css shows them with their drawing."""
    if not drawing.keys:
        return ""
    keys = "".join(
        f"<li><strong>{key.number}</strong> {safe(key.name)} <small>{safe(key.values)}</small></li>"
        for key in drawing.keys
    )
    return f'<ul class="keys {drawing.size.name.lower()}">{keys}</ul>'


def _details(tables: Sequence[Table]) -> str:
    shown = "".join(_table(table) for table in tables if table.rows)
    if not shown:
        return ""
    # A part of the page that scrolls must take the focus, or a keyboard cannot scroll it.
    scrolled = f'<div class="scroll" tabindex="0" role="group" aria-label="Table">{shown}</div>'
    return f"<details><summary>Show as a table</summary>{scrolled}</details>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{safe(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f'<table class="t{table.texts}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def nothing(size: Size, text: str) -> tuple[Drawing, float]:
    """Return a drawing that says that there is nothing to draw."""
    drawing = Drawing(size)
    height = 4 * size.line
    drawing.text(size.width / 2, height / 2, text, "m tick", room=size.width - 8)
    return drawing, height
