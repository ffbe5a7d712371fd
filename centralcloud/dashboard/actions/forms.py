"""Values of forms, checked: one line for each wrong one, which says what was found and what is expected. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.text import has_steering

_T = TypeVar("_T")

#: The values of a form, or of the address of its page.
Form: TypeAlias = Mapping[str, str]

LONGEST_REASON: Final = 1000
_LONGEST_SCORE: Final = 32
_COMMA: Final = re.compile(r"\d+,\d+")
#: The forms in which browsers send a time without a zone.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?")


class InvalidFormError(CentralCloudError):
    """Values of a form that cannot be used. `problems`: one line for each wrong field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


class Problems:
    """Collects the problems of a form: the first one of each field."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def read(self, name: str, read: Callable[[], _T]) -> _T | None:
        """Return the value of a field; None, and a problem noted, where `read` raises ValueError."""
        try:
            return read()
        except ValueError as error:
            self._found.setdefault(name, str(error))
            return None

    def check(self) -> None:
        """Refuse the form if it has a problem.

        Raises:
            InvalidFormError: it has.
        """
        if self._found:
            raise InvalidFormError(self._found)


def read_reason(form: Form) -> str:
    """Return the reason.

    Raises:
        ValueError: it is empty, too long, or cannot be kept in the log.
    """
    reason = form.get("reason", "").strip()
    if not reason:
        raise ValueError("The reason is empty: say why, for anyone who reads the log.")
    if len(reason) > LONGEST_REASON:
        raise ValueError(f"Found {len(reason):,} characters, expected at most {LONGEST_REASON:,}.")
    if has_steering(reason):
        raise ValueError("Found a control character or a character that cannot be seen, expected text on one line.")
    return reason


def read_score(text: str) -> Decimal:
    """Return a score.

    Raises:
        ValueError: it is not a number from 0 to 5 with at most three decimal places.
    """
    text = text.strip()
    if not text:
        raise ValueError("The score is empty: expected a number from 0 to 5.")
    if _COMMA.fullmatch(text):
        raise ValueError(f"Found {quote(text)}, expected a point instead of the comma: {text.replace(',', '.')}.")
    try:
        score = Decimal(text) if len(text) <= _LONGEST_SCORE and text.isascii() else Decimal("NaN")
    except InvalidOperation:
        score = Decimal("NaN")
    if not score.is_finite() or not 0 <= score <= 5 or score != round(score, 3):
        raise ValueError(f"Found {quote(text)}, expected a number from 0 to 5 with at most three decimal places.")
    return abs(score.quantize(Decimal("0.001")))


def read_end(text: str, hours: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return when something ends: at a time in the viewer's zone, else after some hours; None: at no time.

    Args:
        text: the time; empty: none was given.
        hours: a whole number as text; empty: without an end.

    Raises:
        ValueError: it is not a time in the future.
    """
    text = text.strip()
    if not text:
        if not hours:
            return None
        if not hours.isdecimal() or not 1 <= int(hours[:6]) <= 24 * 366:
            raise ValueError(f"Found {quote(hours)}, expected one of the choices.")
        return now + timedelta(hours=int(hours))
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        end = datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"Found {quote(text)}, expected a time such as {_example(zone, now)}.") from None
    if end <= now:
        raise ValueError(
            f"Found {quote(text)}, expected a time in the future; it is {now.astimezone(zone):%H:%M %Z} now."
        )
    return end


def read_version(seen: str) -> int:
    """Return the version that a form carries; one that no score has, where it carries none."""
    return int(seen) if seen.isascii() and seen.isdecimal() and len(seen) <= 18 else -1


def _example(zone: ZoneInfo, now: datetime) -> str:
    return f"{(now + timedelta(days=1)).astimezone(zone):%Y-%m-%dT%H:00}"
