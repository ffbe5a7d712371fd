"""Numbers and moments in words, short enough for a drawing. Pure."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, Literal

from centralcloud.dashboard.charts.scale import finite
from centralcloud.runtime import wording

Unit = Literal["usd", "count", "percent"]

#: Stands where a number is missing.
NOTHING: Final = "–"
#: From here on a number is written with an exponent: its digits would fill the drawing.
_HUGE: Final = 1e15
_INVISIBLE: Final = 1e-9
_LARGE: Final = ((1e12, 1e12, "T"), (1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
#: Under this share of a dollar, cents are as hard to read as dollars.
_TINY_USD: Final = 1e-5
_CENTS_BELOW_USD: Final = 0.1


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share (0 to 1) in percent: "98.2%"; a share that rounds to nothing is "<0.1%"."""
    share = finite(share)
    if share is None:
        return NOTHING
    if abs(share) >= _HUGE:
        return f"{share:.1e}"
    smallest = 10.0 ** -(digits + 2)
    if 0 < share < smallest:
        return f"<{wording.percent(smallest, digits)}"
    return wording.percent(share + 0.0, digits)


def score(value: float | None) -> str:
    """Return a score (0 to 5) with two decimals."""
    return fixed(value, 2)


def fixed(value: float | None, digits: int) -> str:
    """Return a number with `digits` decimals, and commas between thousands."""
    value = finite(value)
    if value is None:
        return NOTHING
    return f"{value:.1e}" if abs(value) >= _HUGE else wording.decimals(value, digits)


def count(value: float | None) -> str:
    """Return an amount: "12,345", and "0.25" for one that is not whole."""
    value = finite(value)
    if value is None:
        return NOTHING
    return fixed(value, 0) if value == round(value) or abs(value) >= 100 else f"{value:.3g}"


def usd(value: float | Decimal | None) -> str:
    """Return US dollars: "$12,345,678", "$1.23", "0.4¢", "$0.0000004"."""
    amount = finite(value)
    if amount is None:
        return NOTHING
    size, sign = abs(amount), "−" if amount < 0 else ""
    if size == 0:
        return "$0"
    if size >= _HUGE:
        return f"{sign}${size:.1e}"
    if size >= _CENTS_BELOW_USD:
        return f"{sign}${size:,.0f}" if size >= 1000 else f"{sign}${size:.2f}"
    return f"{sign}{significant(size * 100)}¢" if size >= _TINY_USD else f"{sign}${significant(size)}"


def significant(value: float, digits: int = 2) -> str:
    """Return a positive number below a thousand with `digits` significant digits, without an exponent down to 1e-12."""
    if value < 1e-12:
        return f"{value:.0e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(value)))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


WORDS: Final[dict[Unit, Callable[[float | None], str]]] = {"usd": usd, "count": count, "percent": percent}


def axis(ticks: Sequence[float], unit: Unit) -> list[str]:
    """Return the words of an axis: one unit, and as many decimals as tell its ticks apart: "$0", "$6", "$12"."""
    top = max((abs(tick) for tick in ticks), default=0.0)
    sign = "$" if unit == "usd" else ""
    if top >= _HUGE or 0 < top < _INVISIBLE:
        return [f"{sign}{tick:.2g}" for tick in ticks]
    if unit == "percent":
        return _aligned([tick * 100 for tick in ticks], "", "%")
    for least, size, letter in _LARGE:
        if top >= least:
            return _aligned([tick / size for tick in ticks], sign, letter)
    if unit == "usd" and _TINY_USD <= top < _CENTS_BELOW_USD * 2:
        return _aligned([tick * 100 for tick in ticks], "", "¢")
    return _aligned(ticks, sign, "")


def _aligned(numbers: Sequence[float], before: str, after: str) -> list[str]:
    for digits in range(13):
        if all(math.isclose(round(number, digits), number, rel_tol=1e-6, abs_tol=1e-15) for number in numbers):
            break
    zero = f"{before}0{after if after in {'%', '¢'} else ''}"
    return [f"{before}{number:,.{digits}f}{after}" if number else zero for number in numbers]


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Return a moment in a zone: "28 Nov 14:05"."""
    local = at.astimezone(zone) if zone else at
    return f"{local.day} {local:%b %H:%M}"
