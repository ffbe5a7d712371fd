"""Checks of single JSON values, shared by the messages: pure predicates that never raise."""

from datetime import UTC, datetime
from typing import Any, TypeGuard

from centralcloud.contracts.limits import SCORE_MAX, SCORE_MIN


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is an integer or a float; a boolean is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether `value` is an integer; a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_score(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is a number from 0.0 to 5.0. NaN and infinity are out of range."""
    return is_number(value) and SCORE_MIN <= value <= SCORE_MAX


def is_share(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is a number from 0.0 to 1.0. NaN is out of range."""
    return is_number(value) and 0 <= value <= 1


def string_or_none(value: Any) -> str | None:
    """Return `value` if it is a string."""
    return value if isinstance(value, str) else None


def timestamp_or_none(value: Any) -> datetime | None:
    """Return the time in an ISO 8601 string, in UTC; a time without a zone is UTC. None for any other value."""
    try:
        return to_utc(datetime.fromisoformat(value))
    except (TypeError, ValueError, OverflowError):
        return None


def to_utc(timestamp: datetime) -> datetime:
    """Convert `timestamp` to UTC; without a zone it is UTC already.

    Raises:
        OverflowError: the time in UTC is before year 1 or after year 9999.
    """
    return timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
