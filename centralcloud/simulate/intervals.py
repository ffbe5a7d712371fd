"""Means over runs, with intervals."""

import math
from collections.abc import Iterable
from typing import Any, Final

from centralcloud.simulate.scenario import Weights

#: 97.5% quantiles of Student's t with 1 to 30 degrees of freedom; beyond, the next terms of its expansion are below 0.1%.
_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL: Final = 1.96
#: The least and the greatest value that a measure can have.
Limits = tuple[float, float]
_UNLIMITED: Final = (-math.inf, math.inf)
_REGRETS: Final = ("regret_percent", "success_regret_percent")
_REWARDS: Final = ("reward", "oracle_reward", "typed_oracle_reward", "reward_at_least", "reward_at_most")
_SHARES: Final = (
    "success_rate",
    "oracle_success_rate",
    "busiest_share",
    "pairs_ordered_right",
    "saturated_share",
    "tied_share",
    "probe_share",
    "estimated_share",
)


def limits_of(measure: str, weights: Weights) -> Limits:
    """Return the limits of a measure."""
    if measure in _SHARES:
        return 0.0, 1.0
    if measure in _REWARDS:
        return -weights.latency - weights.cost, 1.0
    return (-math.inf, 100.0) if measure in _REGRETS else (0.0, math.inf)


def estimate(values: Iterable[float | None], limits: Limits = _UNLIMITED) -> dict[str, Any]:
    """Return mean and 95% interval of the values that are not None, and their number.

    The interval is Student's t. Between two limits it is Wilson's with Student's quantile: its half-width follows from the
    variance that the mean would have at the end of the interval. So it stays within the limits also with few values, and
    is Student's where it is narrow.
    """
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    low = high = None
    if mean is not None and len(known) > 1:
        variance = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
        quantile = _T[len(known) - 2] if len(known) - 2 < len(_T) else _NORMAL
        low, high = _interval(mean, quantile**2 * variance / len(known), limits)
    return {"mean": _rounded(mean), "low": _rounded(low), "high": _rounded(high), "runs": len(known)}


def _interval(mean: float, square: float, limits: Limits) -> Limits:
    """Return the interval around a mean whose half-width has this square where the limits are far."""
    least, most = limits
    if math.isfinite(least) and math.isfinite(most) and least < mean < most:
        width = most - least
        share = (mean - least) / width
        spread = square / width**2 / (share * (1 - share))
        centre = (share + spread / 2) / (1 + spread)
        half = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
        low, high = centre - half, centre + half
        return max(least, least + width * low), min(most, least + width * high)
    half = math.sqrt(square)
    return max(least, mean - half), min(most, mean + half)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
