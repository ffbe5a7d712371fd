"""Names as every program writes them: trimmed, in one Unicode form, without characters that a reader cannot see. Pure."""

import unicodedata
from typing import Any, Final

from centralcloud.contracts.limits import LARGEST_EXACT_FLOAT, MAX_NAME_BYTES

#: Unicode categories of characters that steer a terminal or a text instead of standing in it: control, format (which
#: includes the bidirectional ones), line and paragraph separators, and halves of a character.
_STEERING: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def has_steering(text: str) -> bool:
    """Return whether `text` has a control, bidirectional or other invisible character, such as ESC, newline or U+202E."""
    return not text.isprintable() and any(unicodedata.category(each) in _STEERING for each in text)


def escape_steering(text: str) -> str:
    """Return `text` with its control, bidirectional and other invisible characters as escapes, such as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode("ascii") if unicodedata.category(each) in _STEERING else each
        for each in text
    )


def remove_steering(text: str) -> str:
    """Return `text` without control, bidirectional and other invisible characters."""
    return "".join(each for each in text if unicodedata.category(each) not in _STEERING)


def normalize(text: str) -> str:
    """Return `text` without white space at its ends, in the Unicode form NFC."""
    return unicodedata.normalize("NFC", text.strip())


def is_plain_name(text: str) -> bool:
    """Return whether `normalize` and `read_name` return a text unchanged. May be False although they do, for a rare one."""
    if not text.isprintable() or text.strip() != text:
        return False
    return (text.isascii() or unicodedata.is_normalized("NFC", text)) and _fits(text)


def read_text(value: Any) -> str | None:
    """Return a string normalized, and a whole number as its decimal text; None for any other value."""
    if isinstance(value, str):
        return normalize(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_EXACT_FLOAT:
        return str(int(value))
    return None


def read_name(value: Any, max_length: int) -> str | None:
    """Return the name in a string or a whole number; None for one that is empty, too long or has a steering character."""
    if type(value) is str and 1 <= len(value) <= max_length and is_plain_name(value):
        return value
    name = read_text(value)
    if name is None or not 1 <= len(name) <= max_length or has_steering(name) or not _fits(name):
        return None
    return name


def _fits(name: str) -> bool:
    """Return whether an index of the database can hold `name` beside the other names of a row."""
    return len(name) * 4 <= MAX_NAME_BYTES or len(name.encode(errors="replace")) <= MAX_NAME_BYTES


def _digits(number: int) -> str | None:
    try:
        return str(number)
    except ValueError:  # Python converts no number of more than 4,300 digits
        return None
