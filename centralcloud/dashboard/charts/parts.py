"""Parts of a number: which contributions add up to a score."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from centralcloud.dashboard.charts import numbers, words
from centralcloud.dashboard.charts.drawing import Drawing, Size
from centralcloud.dashboard.charts.figure import Table, figure, nothing
from centralcloud.dashboard.charts.labels import Box
from centralcloud.dashboard.charts.scale import Linear, finite


@dataclass(frozen=True)
class Part:
    """A contribution: its name, its value with its sign, and where it comes from in words."""

    name: str
    value: float | None
    text: str = ""


def parts(parts: Sequence[Part], *, total: float | None, label: str) -> Markup:
    """Return a waterfall: a bar for each part, where the one before ended, and the total below.

    Args:
        parts: in the order of their sum; a value of None, NaN or an infinity adds nothing.
        total: the sum as it was published; its bar begins at 0.
        label: the finding.
    """
    rows = [(part.name, _signed(part.value), part.text) for part in parts]
    table = Table(("Part", "Value", "Why"), [*rows, ("Total", numbers.score(total), "")] if rows else [], texts=3)
    return figure("parts", label, lambda size: _draw(parts, total, size), [table])


def _signed(value: float | None) -> str:
    value = finite(value)
    if value is None:
        return numbers.NOTHING
    return f"{'−' if value < 0 else '+'}{numbers.score(abs(value))}"


def _draw(parts: Sequence[Part], total: float | None, size: Size) -> tuple[Drawing, float]:
    if not parts:
        return nothing(size, "no parts known")
    drawing = Drawing(size)
    row = 30.0 if size is Size.WIDE else 2 * size.line + 14
    spans, reached = [], 0.0
    for part in parts:
        before, reached = reached, reached + (finite(part.value) or 0.0)
        spans.append((before, reached))
    end = finite(total)
    spans.append((0.0, end or 0.0))
    values = [_signed(part.value) for part in parts] + [numbers.score(total)]
    names = [part.name for part in parts] + ["Total"]
    texts = [part.text for part in parts] + [""]
    value_room = max(words.width(value, size.text, bold=True) for value in values) + 8
    left, right = (300.0, 840.0) if size is Size.WIDE else (2.0, size.width - value_room - 4)
    if size is Size.WIDE:  # the bars give way to a long text, which would be cut
        longest = max(words.width(text, size.text) for text in texts)
        right = min(right, max(right - 240.0, size.width - value_room - longest - 26))
    flat = [edge for span in spans for edge in span]
    across = Linear(min(flat), max(*flat, min(flat) + 1e-9), left, right)
    for index, (name, value, text, (low, high)) in enumerate(zip(names, values, texts, spans, strict=True)):
        is_total = index == len(parts)
        kind = "total" if is_total else "minus" if high < low else "plus"
        top = 4 + index * row
        bar_y = top + row / 2 if size is Size.WIDE else top + size.line + 10
        strong = "lead" if is_total else ""
        if size is Size.WIDE:
            drawing.text(0, bar_y, name, strong, room=left - 16, bold=is_total)
            if text:
                drawing.text(right + value_room + 16, bar_y, text, "tick", room=size.width - right - value_room - 18)
        else:
            own = drawing.text(0, top + size.line / 2, name, strong, room=size.width * 0.5, bold=is_total)
            if text:
                drawing.text(own.right + 8, top + size.line / 2, text, "tick", room=size.width - own.right - 10)
        if index == len(parts):
            drawing.horizontal("rule", 0, size.width, top)
        edges = sorted((across(low), across(high)))
        if not is_total or end is not None:
            drawing.rect(kind, Box(edges[0], bar_y - 7, max(edges[1], edges[0] + 1), bar_y + 7), f"{name} {value}")
        drawing.text(right + value_room, bar_y, value, f"e {strong}".strip(), bold=is_total)
    return drawing, 4 + len(names) * row
