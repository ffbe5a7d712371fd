"""A lower bound for the mean of values that are never negative, which may be looked at after every value. Pure.

Against "the mean is at most v" a bet is placed on each value x before it is seen: the wealth is multiplied with
1 + bet (x - v). If that hypothesis is true the wealth is a non-negative supermartingale: it ever reaches 1/alpha with a
probability of at most alpha (Ville's inequality; Waudby-Smith and Ramdas 2024). So the largest v against which it got there
is a lower bound. It needs no upper limit of the values: cutting large ones off only lowers it. That is why it suits
importance weights.

The bets are those of the experiments: a mixture over eight sizes, in units of the inverse variance of the values before, and
at most 0.9 / v, so that no value can take more than nine tenths of the wealth.
"""

import math
from typing import Final

from centralcloud.experiments.e_process import BETS, MOST_RISKED, log_mean_exp
from centralcloud.runtime.arrays import Floats, np

#: The probability with which a bound may be wrong: two of them are an interval of 95%.
ALPHA: Final = 0.025
_FIRST_SUM, _FIRST_SQUARES, _FIRST_COUNT = 0.5, 0.05, 1.0
_LEAST_VARIANCE: Final = 0.005
#: A bound is a multiple of 1/1024 of the range.
_STEPS: Final = 10


def log_wealth(values: Floats, mean: float) -> Floats:
    """Return (T, ...) log of the wealth after each value, against "the mean is at most `mean`".

    Args:
        values: (T, ...) values of 0 or more in their order; every further axis holds runs side by side.
        mean: above 0.
    """
    gains = [np.cumsum(np.log1p(bet * (values - mean)), axis=0) for bet in _bets(values, mean)]
    return log_mean_exp(np.stack(gains, axis=-1))


def lower_bound(values: Floats, *, most: float = 1.0, alpha: float = ALPHA) -> float:
    """Return a number that is above the mean with a probability of at most `alpha`, however often it is looked at.

    Args:
        values: (T,) values of 0 or more in their order. Given those before, each has an expectation of at most the mean.
        most: the largest mean that is possible.
        alpha: above 0 and below 1.
    """
    if not len(values):
        return 0.0
    needed = math.log(1 / alpha)
    scale = _inverse_variance(values)
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        gains = [np.log1p(np.minimum(size * scale, MOST_RISKED / middle) * (values - middle)).sum() for size in BETS]
        if float(log_mean_exp(np.array(gains))) >= needed:
            low = middle
        else:
            high = middle
    return low


def _bets(values: Floats, mean: float) -> list[Floats]:
    scale = _inverse_variance(values)
    return [np.minimum(size * scale, MOST_RISKED / mean) for size in BETS]


def _inverse_variance(values: Floats) -> Floats:
    """Return (T, ...) 1 / the variance of the values before each."""
    count = _FIRST_COUNT + np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    mean = (_FIRST_SUM + _sums_before(values)) / count
    squares = (_FIRST_SQUARES + _sums_before(values**2)) / count
    inverse: Floats = 1.0 / np.maximum(squares - mean**2, _LEAST_VARIANCE)
    return inverse


def _sums_before(values: Floats) -> Floats:
    sums: Floats = np.cumsum(values, axis=0) - values
    return sums
