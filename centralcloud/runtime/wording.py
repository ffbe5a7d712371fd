"""Numbers and ages as people say them, and texts of others made safe to print. Pure."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from centralcloud.contracts.text import escape_steering, has_steering

_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
#: A share is a double: further digits are those of its binary form.
_MOST_DIGITS: Final = 13


def age(seconds: float) -> str:
    """Return a duration in words: "45 seconds", "90 minutes", "2 hours". Negative durations count as 0.

    A larger unit is used from two of it on, so that rounding to a whole number changes the duration by a quarter at most.
    """
    whole = max(0, round(seconds))
    for noun, length in _UNITS:
        if whole >= 2 * length:
            return counted(round(whole / length), noun)
    return counted(whole, "second")


def ago(seconds: float) -> str:
    """Return how long ago something happened: "2 minutes ago"."""
    return f"{age(seconds)} ago"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 event", "2,500 events"; with an irregular plural, "3 replies"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], most: int) -> str:
    """Return the first `most` names with commas, and how many more there are."""
    more = f", {and_more(len(names) - most)}" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def and_more(count: int) -> str:
    """Return how many there are besides those that are shown: "and 1,250 more"."""
    return f"and {count:,} more"


def percent(share: float | Decimal, digits: int = 1) -> str:
    """Return a share (0 to 1) in percent, rounded to `digits` decimals: "87.5%"."""
    return f"{share:.{digits}%}"


def usd(nano: int) -> str:
    """Return nano-USD (1e-9 USD, not negative) in USD, exactly: 15,000 is "0.000015 USD", 2,000,000,000 is "2.00 USD"."""
    whole, fraction = divmod(nano, 1_000_000_000)
    return f"{whole:,}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')} USD"


def decimals(number: float | Decimal, digits: int = 0) -> str:
    """Return a number, rounded to `digits` decimals, with commas between thousands: "5,000.4"."""
    return f"{number:,.{digits}f}"


def apart(*numbers: Any, text: Callable[[Any, int], str] = percent, digits: int = 1) -> list[str]:
    """Return the texts of numbers that a sentence compares: all with as many decimals as tell different ones apart.

    "84.95%" and "85.00%", not "85.0% is less than 85.0%".

    Args:
        numbers: values that `text` takes, usually the number that was found and its limit.
        text: returns the text of a number with so many decimals, as `percent` and `decimals` do.
        digits: decimals to begin with, 0 or more.
    """
    for more in range(digits, _MOST_DIGITS):
        texts = [text(number, more) for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            return texts
    return [text(number, _MOST_DIGITS) for number in numbers]


def printable_json(text: str) -> str:
    """Return the same JSON document with control and format characters as escapes of JSON. Its line breaks stay."""
    if text.isprintable():
        return text
    return "".join(each if each == "\n" or not has_steering(each) else _json_escape(each) for each in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def printable(text: str) -> str:
    """Return `text` with control and format characters as escapes: on a terminal they clear the screen or forge a line."""
    return escape_steering(text)
