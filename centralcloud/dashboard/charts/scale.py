"""Scales: numbers and moments to units of a drawing. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

#: Ratio of the largest to the smallest amount from which a linear scale would put the small ones on one spot.
_WIDE_RATIO: Final = 50
#: Amounts that a scale by magnitude tells apart, in powers of ten that a float holds.
_SMALLEST, _LARGEST = 1e-12, 1e300


def finite(value: float | Decimal | None) -> float | None:
    """Return a number as a float; None for None, NaN, an infinity, and a number that no sum would hold."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= _LARGEST else None


def all_finite(values: Iterable[float | Decimal | None]) -> list[float]:
    """Return the numbers among `values`, without None, NaN and infinities."""
    return [number for number in map(finite, values) if number is not None]


@dataclass(frozen=True)
class Linear:
    """A scale from `low` to `high` on `start` to `end`, in units of the drawing. Numbers outside land on its ends.

    A scale whose ends are equal puts each number in the middle.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        span = self.high / 2 - self.low / 2  # halves: the difference of two huge numbers may be infinite
        part = (value / 2 - self.low / 2) / span if span else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


@dataclass(frozen=True)
class Logarithmic:
    """A scale of positive numbers by their magnitude. Numbers outside, and 0, land on its ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        whole = Linear(math.log10(self.low), math.log10(self.high), self.start, self.end)
        return whole(math.log10(max(value, self.low)))


Scale = Linear | Logarithmic


def amount_scale(amounts: Iterable[float], high: float, start: float, end: float) -> Scale:
    """Return a scale of amounts: from 0, or by magnitude where the largest is more than 50 times the smallest.

    Args:
        high: the largest number of a linear scale, positive.
    """
    positive = [amount for amount in amounts if amount > 0]
    if positive and max(positive) / min(positive) > _WIDE_RATIO:
        low, top = max(min(positive), _SMALLEST), min(max(positive), _LARGEST)
        return Logarithmic(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(top)), start, end)
    return Linear(0, high, start, end)
