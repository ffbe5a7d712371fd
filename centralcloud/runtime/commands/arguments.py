"""Arguments that commands of both programs take, and the user who runs them."""

import os
import pwd
import re
from datetime import timedelta
from typing import Final

from centralcloud.contracts import SettingsError
from centralcloud.runtime.wording import printable

_LONGEST_LOGGED_TEXT: Final = 1000
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str, option: str) -> timedelta:
    """Parse a length of time like 90s, 30m, 2h, 7d or 1w.

    Raises:
        SettingsError: the text is not one.
    """
    if not (match := re.fullmatch(r"(\d{1,6})([smhdw])", text)):
        raise SettingsError(f"{option}: found {text!r}, expected a length of time like 90s, 30m, 2h, 7d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


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


def this_user() -> str:
    """Return the user of the operating system, or the one who used sudo."""
    if sudo_user := os.environ.get("SUDO_USER"):
        return logged_text(sudo_user, "SUDO_USER") or ""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run with an id that has no name
        return f"uid {os.getuid()}"
