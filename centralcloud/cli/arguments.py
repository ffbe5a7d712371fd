"""Arguments that several commands take."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.commands.arguments import parse_age

#: An option of every command that changes something.
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the log that `centralcloud history` shows.")]


def moment_ago(text: str, option: str) -> datetime:
    """Return the moment that was `text` ago, a length of time like 2h.

    Raises:
        SettingsError: the text is not a length of time, or reaches back before the first year of the calendar.
    """
    try:
        return datetime.now(UTC) - parse_age(text, option)
    except OverflowError:
        raise SettingsError(f"{option}: found {text!r}, expected a shorter time") from None


def parse_moment(text: str, option: str) -> datetime:
    """Parse a point in time: ISO 8601 (without a zone: local time), or an age like 30m, 2h, 7d.

    Raises:
        SettingsError: the text is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return moment_ago(text, option)
    except SettingsError:
        raise SettingsError(
            f"{option}: found {text!r}, expected a time like 2026-11-20T14:00 or an age like 30m, 2h, 7d"
        ) from None


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of pairs by model, and for each model simple before medium before complex."""
    return sorted(rows, key=lambda row: (row["model"], COMPLEXITIES.index(row["complexity"])))


def refuse_empty(text: str | None, option: str, expected: str) -> None:
    """Check a text that may be left out: an empty one is usually an unset variable of a shell.

    Raises:
        SettingsError: it is empty.
    """
    if text is not None and not text.strip():
        raise SettingsError(f"{option} is empty: expected {expected}, or no {option}")
