"""Times in the forms in which programs write them. Pure.

A time before 2020 is an error: the zero values of other languages (year 1, 1970) are times like any other. This also makes
the unit of a number of seconds, milliseconds, microseconds or nanoseconds since 1970 unambiguous.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.limits import EARLIEST_TIME
from centralcloud.contracts.numbers import read_number
from centralcloud.contracts.validators import to_utc

#: Units of a second in each unit of an epoch.
EPOCH_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
#: Numbers below the first one are seconds (up to the year 5138), below the second milliseconds, and so on: 2020 in one unit
#: is a larger number than 5138 in the unit before.
_LIMITS: Final = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (10**20, "ns"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?", re.ASCII)
#: Characters of a date without separators, which is not a number of seconds: those of 2020 and later have ten digits.
_DATE_LENGTH: Final = 8
#: A zone in letters, after the offset that Go prints before it.
_NAMED_UTC: Final = re.compile(r" ?(?:[+-]00:?00 ?)?(?:UTC|GMT|Z)$", re.ASCII | re.IGNORECASE)
#: Longer texts are not a time in any form.
_LONGEST: Final = 80
_EXPECTED: Final = "an ISO 8601 date and time, or seconds, ms, us or ns since 1970"


def parse_timestamp(value: Any, field: str) -> datetime:
    """Parse an ISO 8601 string, in UTC without a zone; or a number, also as a string, of seconds, ms, us or ns since 1970.

    Raises:
        ContractError: it is neither, or a time before 2020; names `field`.
    """
    try:
        timestamp = to_utc(_read(value))
    except (TypeError, ValueError, OverflowError):
        raise ContractError(field, quote(value), _EXPECTED) from None
    if timestamp < EARLIEST_TIME:
        raise ContractError(field, quote(value), f"a time from {EARLIEST_TIME.date()} on")
    return timestamp


def from_epoch(number: float, unit: str) -> datetime:
    """Return the time that is `number` units (``s``, ``ms``, ``us`` or ``ns``) after 1970, to the microsecond.

    Raises:
        OverflowError: it is after the year 9999 or before the year 1.
        ValueError: `number` is not finite.
    """
    # Exact: a double has no room for the microseconds of a time in nanoseconds.
    exact = Decimal(str(number)) * 1_000_000 / EPOCH_UNITS[unit]
    if not exact.is_finite():
        raise ValueError
    return _EPOCH + timedelta(microseconds=int(exact))


def _read(value: Any) -> datetime:
    text = value.strip() if isinstance(value, str) else None
    if text is None or (":" not in text and len(text) != _DATE_LENGTH and _DIGITS.fullmatch(text)):
        number = read_number(value)
        if number is None:
            raise TypeError
        return from_epoch(number, next(unit for limit, unit in _LIMITS if abs(number) < limit or unit == "ns"))
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        # Python accepts more forms.
        if len(text) > _LONGEST:
            raise ValueError from None
        return datetime.fromisoformat(_NAMED_UTC.sub("+00:00", text))
