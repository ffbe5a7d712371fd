"""Text in a drawing: its width, cut to a width, and made safe. Pure."""

import unicodedata
from typing import Final

from markupsafe import escape

from centralcloud.contracts.text import escape_steering

ELLIPSIS: Final = "…"
#: Widths in parts of the font size, rounded up from Inter and the system fonts that stand in for it.
_NARROW, _DEFAULT, _CAPITAL, _BROAD, _SQUARE = 0.34, 0.6, 0.72, 0.92, 1.05
_WIDTHS: Final = {
    **dict.fromkeys("iljI.,:;|'!", _NARROW),
    **dict.fromkeys('ftr()[]/ -"`', 0.42),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", _CAPITAL),
    **dict.fromkeys("mwMW@%…▲◆●✓→", _BROAD),
}
_BOLD: Final = 1.07


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in units of a drawing, estimated on the large side.

    Args:
        size: the font size in units.
    """
    return sum(_character(each) for each in text) * size * (_BOLD if bold else 1)


def _character(each: str) -> float:
    known = _WIDTHS.get(each)
    if known is not None:
        return known
    if each.isascii():
        return _DEFAULT
    if unicodedata.combining(each):
        return 0.0
    return _SQUARE if unicodedata.east_asian_width(each) in "WF" else 0.8


def cut(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return a text of at most `room` units: whole, or its beginning and an ellipsis."""
    text = visible(text)
    if width(text, size, bold=bold) <= room:
        return text
    room -= width(ELLIPSIS, size, bold=bold)
    kept = 0
    for each in text:
        room -= width(each, size, bold=bold)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + ELLIPSIS


def visible(text: str) -> str:
    """Return a text with its control, bidirectional and other invisible characters as escapes."""
    # U+FFFE and U+FFFF are not steering, but no XML document may hold them.
    return escape_steering(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def safe(text: str) -> str:
    """Return a text of others as markup: escaped for HTML and XML, invisible characters as escapes."""
    return str(escape(visible(text)))
