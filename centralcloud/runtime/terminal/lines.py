"""Lines of text on standard output: wrapped to the width of a terminal, in styles; elsewhere each on one line, plain."""

import os
import sys
from collections.abc import Iterable
from typing import NamedTuple

from centralcloud.runtime.styles import is_dumb_terminal
from centralcloud.runtime.terminal.emphasis import Style, emphasize
from centralcloud.runtime.terminal.streams import as_printed
from centralcloud.runtime.terminal.table_layout import wrap
from centralcloud.runtime.wording import printable


class Line(NamedTuple):
    """A line of text. On a terminal its first `styled` characters are in `style`; all of them if that is None."""

    text: str
    style: Style | None = None
    styled: int | None = None

    def wrapped(self, width: int, *, indent: str = "") -> "list[Line]":
        """Break the line between words into lines of at most `width` columns; all but the first begin with `indent`."""
        first, *rest = wrap(self.text, width, indent=indent)
        style_of_rest = self.style if self.styled is None else None
        return [Line(first, self.style, self.styled), *(Line(text, style_of_rest) for text in rest)]

    def rendered(self) -> str:
        """Return the text with its control sequences, as far as standard output shows any."""
        if self.style is None:
            return self.text
        end = len(self.text) if self.styled is None else self.styled
        return emphasize(self.text[:end], self.style) + self.text[end:]


def print_lines(lines: Iterable[Line], *, indent: str = "") -> None:
    """Print lines, at once: on a terminal wrapped to its width, with `indent` before the rest of each.

    Characters that standard output cannot encode, and those that steer a terminal, are printed as escapes.
    """
    on_terminal = sys.stdout.isatty()
    for line in lines:
        printed = line._replace(text=as_printed(printable(line.text)))
        # A terminal narrower than two indentations has lines that it breaks itself.
        parts = printed.wrapped(max(terminal_width(), 2 * len(indent), 1), indent=indent) if on_terminal else [printed]
        for part in parts:
            print(part.rendered(), flush=True)  # noqa: T201


def terminal_width() -> int:
    """Return the columns of the terminal that standard output is; COLUMNS takes precedence, as in other programs."""
    return _chosen_size("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns or 80


def terminal_height() -> int:
    """Return the lines of the terminal that standard output is; LINES takes precedence."""
    return _chosen_size("LINES") or os.get_terminal_size(sys.stdout.fileno()).lines or 24


def clear_terminal() -> None:
    """Clear the screen, where standard output is a terminal that can do this."""
    if sys.stdout.isatty() and not is_dumb_terminal():
        print("\x1b[2J\x1b[H", end="", flush=True)  # noqa: T201


def _chosen_size(variable: str) -> int:
    chosen = os.environ.get(variable, "")
    return int(chosen) if chosen.isdecimal() else 0
