"""Ticks of the axes: round numbers, ages, hours and days. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Final

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_AGES: Final = (
    1, 2, 5, 10, 15, 30,
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 20, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 5, 6, 10, 12)),
    *(days * _DAY for days in (1, 2, 3, 5, 7, 10, 14, 30, 60, 90, 180, 365)),
)  # fmt: skip
_UNITS: Final = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))
#: Outside of these, an axis ends at them: steps of a part or a multiple would leave the range of a float.
_SMALLEST_AMOUNT, _LARGEST_AMOUNT = 1e-12, 1e300
#: More days than the labels of any drawing.
_MOST_DAYS: Final = 400


def _exact(index: int, step: float) -> float:
    """Return `index` steps without the dust of binary fractions: 0.3, not 0.30000000000000004."""
    return float(f"{index * step:.12g}")


def amount_ticks(high: float) -> list[float]:
    """Return three to six round numbers from 0 to the first one that is not below `high`, a positive number."""
    high = min(max(high, _SMALLEST_AMOUNT), _LARGEST_AMOUNT)
    magnitude = 10.0 ** math.floor(math.log10(high))
    steps = [factor * part for part in (magnitude / 10, magnitude) for factor in (1, 2, 2.5, 3, 4, 5)]
    fitting = [(count * step, abs(count - 3), step, count) for step in steps for count in range(2, 6)]
    _, _, step, count = min(entry for entry in fitting if entry[0] >= high * (1 - 1e-9))
    return [_exact(index, step) for index in range(count + 1)]


def rate_ticks(rates: Sequence[float], most: int = 5) -> list[float]:
    """Return ticks for shares of 0 to 1 that end at 1, and begin at the round number below the smallest rate."""
    low = min((rate for rate in rates), default=0.0)
    low = min(max(low, 0.0), 0.98)
    step = next(
        step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if (1 - low) / step <= most - 0.999 or step == 0.25
    )
    count = min(math.ceil((1 - low) / step - 1e-9), round(1 / step))
    return [_exact(round(1 / step) - index, step) for index in range(count, -1, -1)]


def signed_ticks(values: Sequence[float], most: int = 5) -> list[float]:
    """Return round numbers from at or below the smallest value to at or above the largest one, with 0 among them.

    Args:
        values: differences, in parts of 1; without any the axis is from -1% to 1%.
        most: number of ticks at most, 3 or more.
    """
    low, high = min([*values, 0.0]), max([*values, 0.0])
    if low == high:
        low, high = -0.01, 0.01
    low, high = max(low, -_LARGEST_AMOUNT), min(high, _LARGEST_AMOUNT)
    magnitude = 10.0 ** math.floor(math.log10(max(high - low, _SMALLEST_AMOUNT)))
    steps = [factor * part for part in (magnitude / 10, magnitude) for factor in (1, 2, 2.5, 5)]
    for step in steps:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [_exact(index, step) for index in range(first, last + 1)]


def magnitude_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten from `low` to `high`, which are powers of ten: all of them, or each second, third and so on."""
    first, last = round(math.log10(low)), round(math.log10(high))
    stride = max(1, math.ceil((last - first + 1) / most))
    return [float(f"1e{power}") for power in range(first, last + 1, stride)]


def age_ticks(seconds: float, most: int) -> list[tuple[float, str]]:
    """Return ages within a stretch that ends now, the oldest first, with their words: (108000, "30 h ago"), (0, "now").

    Args:
        seconds: length of the stretch.
        most: number of ticks at most, 2 or more.
    """
    if seconds <= 0:
        return [(0, "now")]
    step = next((age for age in _AGES if seconds / age <= most - 1), math.ceil(seconds / (most - 1)))
    ages = [index * step for index in range(math.floor(seconds / step + 1e-9), -1, -1)]
    length, unit = next(each for each in _UNITS if step % each[0] == 0)
    return [(age, f"{age // length:.0f} {unit} ago" if age else "now") for age in ages]


def days(start: datetime, end: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Return the calendar days of `zone` that a stretch touches, each as its two midnights, cut to the stretch.

    A day of 23 or 25 hours is one day: midnights are those of the wall clock.
    """
    if not start < end:
        return []
    day = start.astimezone(zone).date()
    midnights = [start]
    while len(midnights) < _MOST_DAYS:
        day += timedelta(days=1)
        midnight = datetime.combine(day, time.min, tzinfo=zone)
        if midnight.timestamp() >= end.timestamp():
            break
        midnights.append(midnight)
    return list(pairwise([*midnights, end]))


def hours(start: datetime, end: datetime, zone: tzinfo, most: int) -> list[datetime]:
    """Return full hours of the wall clock within a stretch, at most `most`, at hours that 1, 2, 3, 6 or 12 divides."""
    first = start.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    span = end.timestamp() - start.timestamp()
    stride = next((hour for hour in (1, 2, 3, 6, 12) if span / _HOUR / hour <= most), 24)
    found = []
    for index in range(math.ceil(span / _HOUR) + 2):
        hour = datetime.fromtimestamp(first.timestamp() + index * _HOUR, zone)
        if hour.hour % stride == 0 and start.timestamp() <= hour.timestamp() <= end.timestamp():
            found.append(hour)
    return found
