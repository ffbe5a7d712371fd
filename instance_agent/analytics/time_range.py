"""Time ranges such as 24h: a number and a unit, in whole quarter-hours up to now. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from centralcloud.contracts.errors import ContractError, quote

_FORM: Final = re.compile(r"([1-9][0-9]{0,5})(m|h|d|w)")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
#: The sums are kept for 400 days by default.
LONGEST: Final = timedelta(days=400)
_WINDOW: Final = timedelta(minutes=15)
_ORIGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)


def parse_time_range(text: str, field: str = "timeRange") -> timedelta:
    """Return a time range.

    Raises:
        ContractError: it is not one, or longer than 400 days.
    """
    found = _FORM.fullmatch(text)
    length = int(found[1]) * _UNITS[found[2]] if found else None
    if length is None or length > LONGEST:
        raise ContractError(field, quote(text), "a number with m, h, d or w, such as 24h or 7d, and at most 400d")
    return length


def window_of(length: timedelta, now: datetime) -> tuple[datetime, datetime]:
    """Return the begin and the end of the last `length` in whole quarter-hours: the one of now is in it."""
    until = _ORIGIN + ((now - _ORIGIN) // _WINDOW + 1) * _WINDOW
    return _ORIGIN + ((now - length - _ORIGIN) // _WINDOW) * _WINDOW, until
