"""Arguments that several commands take."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.wording import printable

_LONGEST_LOGGED_TEXT: Final = 1000
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

#: An option of every command that changes something.
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the log that `centralcloud history` shows.")]


def parse_age(text: str, option: str) -> timedelta:
    """Parse a length of time like 90s, 30m, 2h, 7d or 1w.

    Raises:
        SettingsError: the text is not one.
    """
    if not (match := re.fullmatch(r"(\d{1,6})([smhdw])", text)):
        raise SettingsError(f"{option}: found {text!r}, expected a length of time like 90s, 30m, 2h, 7d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


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


def logged_text(text: str | None, option: str) -> str | None:
    """Return `text` if it may be kept in the log of operators' actions for ever, and printed on a terminal.

    Raises:
        SettingsError: it is not text, has control characters, or more than 1,000 characters.
    """
    if text is not None:
        if len(text) > _LONGEST_LOGGED_TEXT:
            raise SettingsError(f"{option}: found {len(text):,} characters, expected at most {_LONGEST_LOGGED_TEXT:,}")
        if printable(text) != text:
            raise SettingsError(f"{option}: found a control character, expected text on one line")
    return utf8(text, option)


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


def utf8(text: str | None, option: str) -> str | None:
    """Return `text` if PostgreSQL can store it.

    Raises:
        SettingsError: it contains a byte that is not UTF-8, or a zero byte.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{option}: found a byte that is not UTF-8, expected text") from None
    if "\0" in (text or ""):
        raise SettingsError(f"{option}: found a zero byte, expected text")
    return text
