"""The commands that do the same as an action. Pure."""

import shlex
from collections.abc import Sequence

#: Stands for a reason that was not given yet.
WHY = "why"


def command(*words: str, options: Sequence[tuple[str, str]] = (), arguments: Sequence[str] = ()) -> str:
    """Return a command of `centralcloud` for a shell, each word quoted where it must be.

    A name that begins with a dash stands after ``--``, so that it is not read as an option.
    """
    line = ["centralcloud", *words]
    for option, value in options:
        line += [f"{option}={value}"] if value.startswith("-") else [option, value]
    if any(each.startswith("-") for each in arguments):
        line.append("--")
    return shlex.join([*line, *arguments])


def why(reason: str, option: str = "--reason") -> tuple[str, str]:
    """Return the option with the reason, or with a word in its place."""
    return option, reason.strip() or WHY
