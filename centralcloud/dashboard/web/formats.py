"""Numbers on pages: few digits, the unit small beside the number. Pure."""

import math
from decimal import Decimal
from typing import Final

NANO: Final = 1_000_000_000
_NONE: Final = "–"
_LARGE: Final[tuple[tuple[float, str], ...]] = ((1e9, "G"), (1e6, "M"), (1e4, "k"))


def number(value: float | Decimal | None, digits: int = 0) -> str:
    """Return a number with commas between thousands; from 10,000 on with three digits and a letter: "12.3k"."""
    if value is None or not math.isfinite(value):
        return _NONE
    for size, letter in _LARGE:
        if abs(float(value)) >= size:
            scaled = float(value) / (1e3 if letter == "k" else size)
            return f"{scaled:.0f}{letter}" if abs(scaled) >= 100 else f"{scaled:.1f}{letter}"
    return f"{value:,.{digits}f}"


def percent(share: float | Decimal | None, digits: int = 1) -> str:
    """Return a share, 0 to 1, in percent. Never rounded to 100% or 0% unless it is all or nothing."""
    if share is None or not math.isfinite(share):
        return _NONE
    least = 10.0 ** -(digits + 2)
    if 0 < share < least / 2:
        return f"under {least:.{digits}%}"
    if 1 - least / 2 < share < 1:
        return f"over {1 - least:.{digits}%}"
    return f"{share:.{digits}%}"


def usd(amount: float | Decimal | None) -> str:
    """Return an amount in USD as people write it: "$1,234", "$1.23", "0.4¢"; two significant digits below a cent."""
    if amount is None or not math.isfinite(amount):
        return _NONE
    sign, size = ("−" if amount < 0 else ""), abs(float(amount))
    if size == 0:
        return "$0"
    if size >= 999.5:
        return f"{sign}${size:,.0f}"
    if size >= 0.995:
        return f"{sign}${size:.2f}"
    cents = 100 * size
    if cents >= 9.95:
        return f"{sign}{cents:.0f}¢"
    return f"{sign}{_significant(cents)}¢"


def usd_of_nano(nano: int | None) -> str:
    """Return an amount of nano-USD (1e-9 USD) as `usd` does."""
    return _NONE if nano is None else usd(nano / NANO)


def score(value: float | Decimal | None) -> str:
    """Return a score, 0 to 5, with two decimals."""
    return _NONE if value is None else f"{value:.2f}"


def milliseconds(value: float | None) -> str:
    """Return a time in ms as people say it: "850 ms", "1.2 s", "95 s"."""
    if value is None or not math.isfinite(value):
        return _NONE
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:,.1f} s" if value < 10_000 else f"{value / 1000:,.0f} s"


def signed_percent(change: float | None) -> str:
    """Return a relative change with its sign: "+2%", "−13%"; from ten times on as a factor: "12 × as much"."""
    if change is None or not math.isfinite(change):
        return _NONE
    if change >= 9:
        return f"{change + 1:.0f} × as much"
    rounded = round(100 * change)
    return "no change" if rounded == 0 else f"{'+' if rounded > 0 else '−'}{abs(rounded)}%"


def _significant(value: float) -> str:
    digits = max(0, 1 - math.floor(math.log10(value)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
