"""Intervals of success rates that hold at any time: confidence sequences (Robbins 1970)."""

import math
from typing import Final

from centralcloud.runtime.arrays import Floats, np

#: The interval misses the rate, at any number of outcomes at all, with at most this probability.
_MISSED: Final = 0.1
#: The mixture over rates is Beta(1/2, 1/2): of all, the one that is never much worse than the best for any rate.
_MIXTURE: Final = 0.5
#: The scatter of graded outcomes is taken as that of successes and failures until it is known: that counts like so many.
_UNKNOWN_SCATTER_OUTCOMES: Final = 20.0
_LEAST_DISPERSION: Final = 0.05
_BISECTIONS: Final = 24
_SMALLEST: Final = 1e-12


def anytime_interval(outcomes: Floats, reward: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """Return the ends of an interval for the success rate of each pair, from its own outcomes alone.

    The probability that the interval of a pair ever misses the true rate, at whatever number of outcomes, is at most 10%. So
    it also holds for a pair that is not tried again because it was unlucky, which an interval for a fixed number of outcomes
    does not. It holds the rates p for which the outcomes are at least a tenth as likely as under a mixture of all rates:

        s ln p + (n - s) ln(1 - p) >= ln(B(s + 1/2, n - s + 1/2) / B(1/2, 1/2)) + ln 0.1

    `reward` and `squares` are the sum of the rewards and of their squares. Graded rewards scatter less than successes and
    failures of the same mean: n and s are divided by that ratio, as far as the pair's own outcomes show it.
    """
    scatter = _dispersion(outcomes, reward, squares)
    n, s = outcomes / scatter, np.clip(reward, 0.0, outcomes) / scatter
    least = np.array([_log_mixture(a, b) for a, b in zip(s.tolist(), (n - s).tolist(), strict=True)]) + math.log(
        _MISSED
    )
    rate = np.divide(s, n, out=np.full(len(n), 0.5), where=n > 0)
    low = _end(s, n, least, rate, np.zeros(len(n)))
    high = _end(s, n, least, rate, np.ones(len(n)))
    return np.where(s > 0, low, 0.0), np.where(n - s > 0, high, 1.0)


def _end(s: Floats, n: Floats, least: Floats, inside: Floats, outside: Floats) -> Floats:
    """Return where the log-likelihood falls to `least`, between a rate inside the interval and one outside."""
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        likely = (
            s * np.log(np.maximum(middle, _SMALLEST)) + (n - s) * np.log(np.maximum(1 - middle, _SMALLEST)) >= least
        )
        inside, outside = np.where(likely, middle, inside), np.where(likely, outside, middle)
    return outside


def _log_mixture(successes: float, failures: float) -> float:
    """Return ln(B(s + 1/2, f + 1/2) / B(1/2, 1/2)), the log-likelihood under the mixture."""
    return (
        math.lgamma(successes + _MIXTURE)
        + math.lgamma(failures + _MIXTURE)
        - math.lgamma(successes + failures + 2 * _MIXTURE)
        - math.log(math.pi)
    )


def _dispersion(outcomes: Floats, reward: Floats, squares: Floats) -> Floats:
    """Return the variance of each pair's rewards over that of 0/1 outcomes of the same mean, 1 until it is known."""
    n = np.maximum(outcomes, 1.0)
    as_bernoulli = reward * (1 - reward / n)
    own = np.divide(squares - reward * reward / n, as_bernoulli, out=np.ones(len(n)), where=as_bernoulli > _SMALLEST)
    shrunk = (n * np.minimum(own, 1.0) + _UNKNOWN_SCATTER_OUTCOMES) / (n + _UNKNOWN_SCATTER_OUTCOMES)
    return np.where(reward - squares > _SMALLEST * n, np.maximum(shrunk, _LEAST_DISPERSION), 1.0)
