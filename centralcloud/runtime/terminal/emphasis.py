"""Emphasis on a terminal. A pipe, a terminal without styles and a person who set NO_COLOR get plain text."""

import os
import sys
from enum import StrEnum


class Style(StrEnum):
    """The parameters of a terminal's control sequence (ECMA-48, SGR)."""

    GOOD = "32"
    WARNING = "1;33"
    ERROR = "1;31"


def emphasize(text: str, style: Style) -> str:
    """Return `text` as standard output should show it: in the style, or unchanged."""
    return f"\x1b[{style}m{text}\x1b[0m" if _shows_styles() else text


def _shows_styles() -> bool:
    """See https://no-color.org: any text in NO_COLOR switches styles off."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
