"""A Beta posterior as a table of its cumulative reversed hazard, the negative logarithm of its distribution function."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

#: Parameters of a Beta distribution are clipped to this range: below it, nearly all of the mass is at 0 and 1; above it, the
#: distribution is as good as a fixed value.
SMALLEST_PARAMETER: Final = 0.01
LARGEST_PARAMETER: Final = 1e9
#: Distributions are cut off where the density (of the logit) is e^-12 of its peak; less than 1e-5 of the mass is beyond.
_DEPTH: Final = 12.0
#: Cells of a table on each side of the peak: interpolation alone changes no probability by more than 0.0004.
_CELLS: Final = 16
#: The hazard at the lower end of a quantity, where its distribution function is 5e-5; tables begin a little below.
_LARGEST_HAZARD: Final = 10.0
_BEFORE_LOW: Final = 2.0
#: Hazards whose places are good nodes of an integration: from a lone quantity to the largest of hundreds.
_LEVELS: Final = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.04, 0.015, 0.005, 0.001)
#: The largest logit that a double below 1 has, approximately.
_LARGEST_LOGIT: Final = 36.7
#: Posteriors whose tables are cached, about 4 kB each: from one state of the scores to the next, most do not change.
_CACHED_POSTERIORS: Final = 1024

#: The hazard between two nodes, a cubic of the position in the cell, 0 to 1: end and start of the cell, one over its width,
#: and the coefficients.
_Cell = tuple[float, float, float, float, float, float, float]


class BetaPosterior(NamedTuple):
    """The quantity theta + shift, where theta is Beta(alpha, beta)."""

    alpha: float
    beta: float
    shift: float = 0.0


class _Logit:
    """A posterior in logit space, y = log(theta / (1 - theta)), where every Beta density is smooth and log-concave."""

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta
        self.peak = math.log(alpha / beta)
        self._log_height = self._log_density(self.peak)
        self.begin, self.end = self._limit(-1), self._limit(1)

    def density(self, y: float) -> tuple[float, float]:
        """Return the density of y, relative to its peak, and the derivative."""
        density = math.exp(self._log_density(y) - self._log_height)
        return density, density * (self.alpha - (self.alpha + self.beta) * _sigmoid(y))

    def nodes(self) -> list[float]:
        """Return values of y from begin to end: `_CELLS` steps on each side of the peak, wider with the distance from it.

        A density with a parameter well below 1 curves within a few units of its peak and then falls over hundreds of units.
        """
        left = [self.peak + (self.begin - self.peak) * (k / _CELLS) ** 2 for k in range(_CELLS, 0, -1)]
        right = [self.peak + (self.end - self.peak) * (k / _CELLS) ** 2 for k in range(_CELLS + 1)]
        return left + right

    def _log_density(self, y: float) -> float:
        softplus = y + math.log1p(math.exp(-y)) if y > 0 else math.log1p(math.exp(y))
        return self.alpha * y - (self.alpha + self.beta) * softplus

    def _limit(self, side: int) -> float:
        """Return where the log density has fallen by `_DEPTH`, or a little farther out."""
        distance = math.sqrt(2 * _DEPTH * (1 / self.alpha + 1 / self.beta))
        while self._log_density(self.peak + side * distance) > self._log_height - _DEPTH:
            distance *= 1.25
        return self.peak + side * distance


class PosteriorTable:
    """The cumulative reversed hazard of a posterior, -log F(x), tabulated over the logit.

    It is tabulated when it is first needed: most posteriors with much evidence cannot be the largest.

    Attributes:
        begin, high: where the quantity practically always is.
        has_kink: whether the hazard ends with a bend or a step at `high`, because the density grows up to there.
    """

    def __init__(self, posterior: BetaPosterior) -> None:
        self._shift = posterior.shift
        self._logit = _Logit(
            min(max(posterior.alpha, SMALLEST_PARAMETER), LARGEST_PARAMETER),
            min(max(posterior.beta, SMALLEST_PARAMETER), LARGEST_PARAMETER),
        )
        self.begin, self.high = self._value(self._logit.begin), self._value(self._logit.end)
        self.has_kink = self._logit.beta < 1

    @cached_property
    def low(self) -> float:
        """The quantity is below it with a probability of 5e-5."""
        return self._levels[0]

    @cached_property
    def points(self) -> list[float]:
        """Places above `low`, near together where the hazard changes fast, ascending."""
        last = math.nextafter(self.high, -math.inf)
        return [min(point, last) for point in self._levels[1:]]

    @cached_property
    def _tabulated(self) -> tuple[list[float], list[float], list[float]]:
        """The nodes, and the hazard and its derivative at each, from a little below `low` on."""
        nodes = self._logit.nodes()
        hazards, slopes = _hazards(nodes, [self._logit.density(y) for y in nodes])
        first = next(k for k, hazard in enumerate(hazards) if hazard < _LARGEST_HAZARD + _BEFORE_LOW)
        return nodes[first:], hazards[first:], slopes[first:]

    @cached_property
    def _levels(self) -> list[float]:
        nodes, hazards, _ = self._tabulated
        return [self._value(y) for y in _levels(nodes, hazards)]

    @cached_property
    def _cells(self) -> list[_Cell]:
        nodes = zip(*self._tabulated, strict=True)
        cells = [_cell(*start, *end) for start, end in pairwise(nodes)]
        cells[-1] = (math.inf, *cells[-1][1:])
        return cells

    def hazards(self, xs: Sequence[float]) -> list[float]:
        """Return -log F(x), 10 to 0, for each x of an ascending sequence from `low` on.

        Cubic interpolation between the nodes, over the logit.
        """
        shift, log = self._shift, math.log
        begin = bisect_right(xs, shift)  # `low` is `shift` where a double does not tell them apart
        last = bisect_left(xs, self.high)
        cells = iter(self._cells)
        end, start, per_width, value, slope, bend, twist = next(cells)
        found = [value] * begin
        for x in xs[begin:last]:
            theta = x - shift
            y = log(theta / (1 - theta)) if theta < 1 else _LARGEST_LOGIT
            while y >= end:
                end, start, per_width, value, slope, bend, twist = next(cells)
            position = (y - start) * per_width
            found.append(value + position * (slope + position * (bend + position * twist)))
        found += [0.0] * (len(xs) - len(found))
        return found

    def _value(self, y: float) -> float:
        return _sigmoid(y) + self._shift


@lru_cache(_CACHED_POSTERIORS)
def table_of(posterior: BetaPosterior) -> PosteriorTable:
    """Return the table of a posterior."""
    return PosteriorTable(posterior)


def _hazards(nodes: Sequence[float], density: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return -log F at each node, and its derivative.

    F is integrated by the trapezoidal rule with a correction by the derivatives at the ends: the error is of order width^4.
    In a cell that holds less than 1e-6 the correction may be the larger part.
    """
    masses = [
        max(0.0, (b - a) * (at_a + at_b) / 2 + (b - a) ** 2 * (slope_a - slope_b) / 12)
        for (a, (at_a, slope_a)), (b, (at_b, slope_b)) in pairwise(zip(nodes, density, strict=True))
    ]
    below = list(accumulate(masses, initial=0.0))
    above = list(accumulate(reversed(masses), initial=0.0))[::-1]
    total = below[-1]
    hazards, slopes = [], []
    for under, over, (at, _) in zip(below, above, density, strict=True):
        # From the mass above where that is the smaller one: small hazards are exact, too.
        hazards.append(
            -math.log1p(-over / total) if over < under else -math.log(under / total) if under > 0 else math.inf
        )
        slopes.append(-at / under if under > 0 else 0.0)
    return hazards, slopes


def _cell(start: float, value: float, slope: float, end: float, next_value: float, next_slope: float) -> _Cell:
    """Return the cell between two nodes, from the hazards and their derivatives there.

    The derivatives are limited so that the cubic never rises (Fritsch and Carlson 1980).
    """
    width, fall = end - start, next_value - value
    slope, next_slope = max(slope * width, 3 * fall), max(next_slope * width, 3 * fall)
    return end, start, 1 / width, value, slope, 3 * fall - 2 * slope - next_slope, slope + next_slope - 2 * fall


def _levels(nodes: Sequence[float], hazards: Sequence[float]) -> Iterable[float]:
    """Return where the falling hazards reach 10 and each of `_LEVELS`, approximately."""
    number = 0
    for level in (_LARGEST_HAZARD, *_LEVELS):
        while number < len(nodes) - 2 and hazards[number + 1] > level:
            number += 1
        upper, lower = hazards[number], max(hazards[number + 1], _LEVELS[-1] / 100)
        share = math.log(upper / level) / math.log(upper / lower) if upper > lower else 0.0
        yield nodes[number] + min(max(share, 0.0), 1.0) * (nodes[number + 1] - nodes[number])


def _sigmoid(y: float) -> float:
    if y >= 0:
        return 1 / (1 + math.exp(-y))
    return math.exp(y) / (1 + math.exp(y))
