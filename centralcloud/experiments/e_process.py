"""The e-process of an experiment: evidence that may be looked at after every session.

Two arms are compared, treatment and control. A session is drawn into treatment with a probability that is known, and all of
its outcomes stay together. Against each null hypothesis ("treatment is not better than control by more than d") a bet is
placed before the session is looked at, whose expected gain under the hypothesis is at most zero. Its wealth E is a
non-negative supermartingale, so that the probability that it ever reaches 1/alpha is at most alpha (Ville's inequality):
no number of looks can make it wrong, neither do a drift of the traffic or a ramp of the shares, as each session is weighed
by the probability it was drawn with.

The bet is on the randomisation score (A - p)(x - m). For outcomes of 0 and 1 that is the two-sample e-process of Turner and
Gruenwald, with a mixture over eight fixed sizes of the bet in place of plug-in estimates.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.runtime.arrays import Booleans, Floats, np

#: Sizes of the bet, in units of the inverse variance of an outcome. The wealth is the mean over them.
BETS: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
#: No bet risks more than this share of the wealth.
MOST_RISKED: Final = 0.9
#: A session of n outcomes weighs as n / (1 + 0.2 (n - 1)) outcomes: its outcomes are alike.
_LIKENESS: Final = 0.2
#: An unknown mean is 1/2, and counts like one outcome.
_FIRST_SUM: Final = 0.5
_FIRST_COUNT: Final = 1.0
_LEAST_MEAN: Final = 0.02
_FIRST_SQUARES: Final = 0.05
_LEAST_VARIANCE: Final = 0.005
_LEAST_LOSS: Final = 1e-9
_STEPS: Final = (
    *(0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05),
    *(0.06, 0.08, 0.10, 0.12, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50),
)
#: Differences that are tested, for the interval; as ratios: 0.1 is "1.1 times".
NULLS: Final = tuple(sorted({0.0, *_STEPS, *(-each for each in _STEPS)}))


class Metric(NamedTuple):
    """The meaning of outcomes. Each is a number from 0 to 1.

    Attributes:
        binary: each outcome is 0 or 1.
        ratio: the means are compared as a ratio: a null of 0.25 is "1.25 times that of control". For times and costs, which
            are divided by their cap.
    """

    binary: bool = True
    ratio: bool = False


class Sessions(NamedTuple):
    """T sessions in their order, for each of R comparisons side by side; S strata, such as complexity levels.

    A session without outcomes says nothing: comparisons with fewer sessions are filled up with such.

    Attributes:
        treated: (T, R) whether the session is in treatment.
        share: (T, R) the probability of treatment among the two arms at its first decision, above 0 and below 1.
        counts: (T, R, S) its outcomes.
        sums: (T, R, S) of its outcomes.
        squares: (T, R) sum of the squares of its outcomes.
    """

    treated: Booleans
    share: Floats
    counts: Floats
    sums: Floats
    squares: Floats


class EProcess:
    """The evidence of R comparisons side by side, of one metric each: the metrics of an experiment, or runs of a simulation.

    They are independent of each other. The same sessions in the same order give the same bits, however they are divided into
    calls. Its size does not depend on the number of sessions.

    Attributes:
        nulls: (N,) differences, or ratios less 1.
        above: (R, N, 8) log of the wealth of each bet that the difference is above the null.
        below: (R, N, 8) that it is below.
        means: (R, S, 2) sum and number of the outcomes of each stratum, over both arms.
        totals: (R, 3) sum, sum of squares and number of all outcomes.
    """

    def __init__(self, metrics: Sequence[Metric], *, strata: int = 3, nulls: Sequence[float] = NULLS) -> None:
        runs = len(metrics)
        self._binary: Booleans = np.array([each.binary for each in metrics])
        self._ratio: Booleans = np.array([each.ratio for each in metrics])[:, None]
        self.nulls: Floats = np.array(nulls, dtype=np.float64)
        self.above: Floats = np.zeros((runs, len(nulls), len(BETS)))
        self.below: Floats = np.zeros((runs, len(nulls), len(BETS)))
        self.means: Floats = np.zeros((runs, strata, 2))
        self.totals: Floats = np.zeros((runs, 3))

    def fold(self, sessions: Sessions) -> None:
        """Bet on each session by what the ones before it have taught."""
        means = running(self.means, np.stack([sessions.sums, sessions.counts], axis=-1))
        of_all = [sessions.sums.sum(axis=-1), sessions.squares, sessions.counts.sum(axis=-1)]
        totals = running(self.totals, np.stack(of_all, axis=-1))
        above, below = self._gains(sessions, means[:-1], totals[:-1])
        self.above, self.below = added(self.above, above), added(self.below, below)
        self.means, self.totals = means[-1], totals[-1]

    def parts(self) -> list[Floats]:
        """Return all that it has learned: arrays that may be filled with that of another one of the same shape."""
        return [self.above, self.below, self.means, self.totals]

    def expect_rewards(self, row: int) -> None:
        """Let the outcomes of a comparison be any number from 0 to 1 from now on: a success may have a reward."""
        self._binary[row] = False

    def log_above(self) -> Floats:
        """Return (R, N) log E, the evidence that treatment exceeds control by more than each null."""
        return log_mean_exp(self.above)

    def log_below(self) -> Floats:
        """Return (R, N) log E, the evidence that treatment exceeds control by less than each null."""
        return log_mean_exp(self.below)

    def _gains(self, sessions: Sessions, means: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """Return (T, R, N, 8) what each session adds to the logs of the wealth, from what was known before it."""
        mean = _mean(means[..., 0], means[..., 1])
        seen = (means[..., 1] > 0) | (sessions.counts > 0)
        least = np.where(seen, mean, 1.0).min(axis=-1)[..., None]
        most = np.where(seen, mean, 0.0).max(axis=-1)[..., None]
        expected = (sessions.counts * mean).sum(axis=-1)[..., None]
        x = sessions.sums.sum(axis=-1)[..., None]
        n = sessions.counts.sum(axis=-1)[..., None]
        a, p = sessions.treated[..., None].astype(np.float64), sessions.share[..., None]
        weight = 1.0 / (1.0 + _LIKENESS * np.maximum(n - 1.0, 0.0))
        k = np.where(self._ratio, 1.0 + self.nulls, 1.0)
        shift = np.where(self._ratio, 0.0, weight * p * (1 - p) * n * self.nulls)
        score = weight * (a * (1 - p) * (x - k * expected) - k * (1 - a) * p * (x - expected)) - shift
        lowest = weight * n * np.minimum(-(1 - p) * k * most, -k * p * (1 - least)) - shift
        highest = weight * n * np.maximum((1 - p) * (1 - k * least), k * p * most) - shift
        bets = np.array(BETS) / self._variance(totals)[..., None, None]
        up = np.minimum(bets, (MOST_RISKED / np.maximum(-lowest, _LEAST_LOSS))[..., None])
        down = np.minimum(bets, (MOST_RISKED / np.maximum(highest, _LEAST_LOSS))[..., None])
        return np.log1p(up * score[..., None]), np.log1p(-down * score[..., None])

    def _variance(self, totals: Floats) -> Floats:
        """Return the variance of an outcome: one over all strata, or the bets would be on a difference weighted by it."""
        mean = _mean(totals[..., 0], totals[..., 2])
        squares = (totals[..., 1] + _FIRST_SQUARES) / (totals[..., 2] + _FIRST_COUNT)
        scattered = np.maximum(squares - mean * mean, _LEAST_VARIANCE)
        variance: Floats = np.where(self._binary, mean * (1 - mean), scattered)
        return variance


def log_mean_exp(logs: Floats) -> Floats:
    """Return log E of a mixture, from the logs of the wealth of its bets along the last axis."""
    most = logs.max(axis=-1)
    mean: Floats = most + np.log(np.exp(logs - most[..., None]).mean(axis=-1))
    return mean


def running(start: Floats, steps: Floats) -> Floats:
    """Return (T + 1, ...) the sums after each step, added in their order: the bits do not depend on how it is divided."""
    sums: Floats = np.add.accumulate(np.concatenate([start[None], steps]), axis=0)
    return sums


def added(start: Floats, steps: Floats) -> Floats:
    """Return the last of these sums: the same bits, without the others."""
    total: Floats = np.add.reduce(np.concatenate([start[None], steps]), axis=0)
    return total


def _mean(total: Floats, count: Floats) -> Floats:
    mean: Floats = np.clip((total + _FIRST_SUM) / (count + _FIRST_COUNT), _LEAST_MEAN, 1 - _LEAST_MEAN)
    return mean
