"""Emphasis on a terminal, in our own lines and in those of rich."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from centralcloud.runtime.styles import shows_styles

if TYPE_CHECKING:
    from rich.console import Console


class Style(StrEnum):
    """The parameters of a terminal's control sequence (ECMA-48, SGR)."""

    TITLE = "1"
    GOOD = "32"
    WARNING = "1;33"
    ERROR = "1;31"


def emphasize(text: str, style: Style) -> str:
    """Return `text` as standard output should show it: in the style, or unchanged."""
    return f"\x1b[{style}m{text}\x1b[0m" if text and shows_styles(sys.stdout) else text


def rich_console(*, stderr: bool = False) -> "Console":
    """Return a console of rich that follows the same rule, and takes nothing but a terminal for one."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    on_terminal = stream.isatty()
    colors: Literal["auto", "standard"] = "auto" if on_terminal else "standard"
    return Console(stderr=stderr, force_terminal=on_terminal, color_system=colors if shows_styles(stream) else None)
