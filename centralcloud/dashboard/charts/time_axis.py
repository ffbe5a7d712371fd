"""A time axis that ends now: "30 h ago" to "now"."""

from datetime import datetime

from centralcloud.dashboard.charts import ticks
from centralcloud.dashboard.charts.drawing import Drawing, Size
from centralcloud.dashboard.charts.scale import Linear


def draw_ages(drawing: Drawing, start: datetime, end: datetime, left: float, right: float, y: float) -> None:
    """Write ages below a drawing, as many as fit.

    Args:
        left: place of `start`.
        right: place of `end`.
        y: middle line of the words.
    """
    seconds = end.timestamp() - start.timestamp()
    across = Linear(seconds, 0, left, right)
    taken = right + drawing.size.width
    # From the right: "now" is the one to keep.
    for age, text in reversed(ticks.age_ticks(seconds, 7 if drawing.size is Size.WIDE else 4)):
        x = across(age) if seconds > 0 else right
        kind = "e tick" if age == 0 else "m tick"
        box = drawing.box(x, y, text, kind)
        if box.left < left:
            kind, x = "tick", left
            box = drawing.box(x, y, text, kind)
        if box.right <= taken - drawing.size.text * 0.3:
            drawing.text(x, y, text, kind)
            taken = box.left
