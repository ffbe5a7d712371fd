"""Arguments that several commands take."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from centralcloud.contracts import SettingsError

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str, option: str) -> timedelta:
    """A length of time like 90s, 30m, 2h, 7d or 1w.

    Raises:
        SettingsError: it is none.
    """
    if not (match := re.fullmatch(r"(\d{1,6})([smhdw])", text)):
        raise SettingsError(f"{option}: found {text!r}, expected a length of time like 90s, 30m, 2h, 7d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def ago(text: str, option: str) -> datetime:
    """The moment that lies a length of time like 2h back.

    Raises:
        SettingsError: it is none, or longer than there have been dates.
    """
    try:
        return datetime.now(UTC) - age(text, option)
    except OverflowError:
        raise SettingsError(f"{option}: found {text!r}, expected a shorter time") from None


def moment(text: str, option: str) -> datetime:
    """A point in time: ISO 8601 (without a zone: local time), or so long ago: 30m, 2h, 7d.

    Raises:
        SettingsError: it is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return ago(text, option)
    except SettingsError:
        raise SettingsError(
            f"{option}: found {text!r}, expected a time like 2026-11-20T14:00 or an age like 30m, 2h, 7d"
        ) from None


def utf8(text: str | None, option: str) -> str | None:
    """`text`, which PostgreSQL can be asked for.

    Raises:
        SettingsError: it holds a byte that is no UTF-8.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{option}: found a byte that is no UTF-8, expected text") from None
    return text
