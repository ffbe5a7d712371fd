"""The one rule that decides whether output has styles (colors and bold): tables, lines, logs and the demonstration."""

import os
from typing import TextIO


def shows_styles(stream: TextIO) -> bool:
    """Return whether a stream shows styles: on a terminal, unless NO_COLOR is set or TERM is dumb.

    FORCE_COLOR switches them on for a pipe or a file, too. An empty variable counts as not set. See https://no-color.org and
    https://force-color.org.
    """
    if os.environ.get("NO_COLOR") or is_dumb_terminal():
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def is_dumb_terminal() -> bool:
    """Return whether TERM names a terminal that knows no control sequences."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")
