"""Moments as microseconds since 1970: whole numbers, so that minutes and windows begin at the same moments everywhere."""

from datetime import UTC, datetime, timedelta
from typing import Final

_BEGIN: Final = datetime.fromtimestamp(0, UTC)


def to_microseconds(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return (moment - _BEGIN) // timedelta(microseconds=1)


def to_time(microseconds: int) -> datetime:
    """Return the moment."""
    return _BEGIN + timedelta(microseconds=microseconds)
