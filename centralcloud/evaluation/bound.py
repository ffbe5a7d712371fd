"""A lower bound for the mean of values that are never negative, which may be looked at after every value. Pure.

Against "the mean is at most v" a bet is placed on each value x before it is seen: the wealth is multiplied with
1 + bet (x - v). If that hypothesis is true the wealth is a non-negative supermartingale: it ever reaches 1/alpha with a
probability of at most alpha (Ville's inequality; Waudby-Smith and Ramdas 2024). So the largest v against which it got there
is a lower bound. It needs no upper limit of the values: cutting large ones off only lowers it. That is why it suits
importance weights.

The bets are fixed: a mixture of 0.9 / v and its halves, quarters and so on, so that no value can take more than nine tenths
of the wealth. Bets in units of the variance of earlier values, as those of the experiments, are worse here: a few large
weights make them small for long (bound at 20,000 decisions, truth 0.9: 0.70 instead of 0.81). And with fixed bets the wealth
at the end is expected to be at most 1 also if the values drift, as long as their mean over the whole time is at most v: the
product of 1 + bet (mean - v) is largest when all means are equal.
"""

import math
from typing import Final

from centralcloud.experiments.e_process import MOST_RISKED, log_mean_exp
from centralcloud.runtime.arrays import Floats, np

#: The probability with which a bound may be wrong: two of them are an interval of 95%.
ALPHA: Final = 0.025
#: Sizes of the bets, in units of 1 / v.
BETS: Final = tuple(MOST_RISKED / 2**halvings for halvings in range(10))
#: A bound is a multiple of 1/1024 of the range.
_STEPS: Final = 10


def log_wealth(values: Floats, mean: float) -> Floats:
    """Return (T, ...) log of the wealth after each value, against "the mean is at most `mean`".

    Args:
        values: (T, ...) values of 0 or more in their order; every further axis holds runs side by side.
        mean: above 0.
    """
    gains = [np.cumsum(np.log1p(size / mean * (values - mean)), axis=0) for size in BETS]
    return log_mean_exp(np.stack(gains, axis=-1))


def lower_bound(values: Floats, *, most: float = 1.0, alpha: float = ALPHA) -> float:
    """Return a number that is above the mean with a probability of at most `alpha`.

    Args:
        values: (T,) values of 0 or more in their order.
        most: the largest mean that is possible.
        alpha: above 0 and below 1.
    """
    needed = math.log(1 / alpha)
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        gains = [np.log1p(size / middle * (values - middle)).sum() for size in BETS]
        if float(log_mean_exp(np.array(gains))) >= needed:
            low = middle
        else:
            high = middle
    return low
