"""The probability that each of several uncertain quantities is the largest.

Thompson sampling (Thompson 1933) draws from every posterior and takes the largest draw. Here the probability that a quantity
has the largest draw is computed instead. It is known before a choice is made: a decision costs one random number, and the
propensity that is recorded with it is exact.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import sub
from typing import Final, NamedTuple

#: Parameters of a Beta distribution are clipped to this range: below it, nearly all of the mass is at 0 and 1; above it, the
#: distribution is as good as a fixed value.
_SMALLEST_PARAMETER: Final = 0.01
_LARGEST_PARAMETER: Final = 1e9
#: Distributions are cut off where the density (of the logit) is e^-12 of its peak; less than 1e-5 of the mass is beyond.
_DEPTH: Final = 12.0
#: Cells of a table on each side of the peak. With the next four constants, probabilities are accurate to 0.001, and to
#: 0.0015 among many posteriors without evidence (see the tests).
_CELLS: Final = 32
#: Cells of the common grid on each side of a peak: divided among the posteriors, each has at least `_MIN_GRID_CELLS`.
_GRID_CELLS: Final = 80
_MIN_GRID_CELLS: Final = 16
#: A point of the common grid that is nearer to the one before it than this share of its own cell adds nothing.
_NEAREST: Final = 0.5
#: The grid begins where the largest quantity is with this probability: what is below decides nothing.
_BELOW_GRID: Final = 5e-5
#: The grid is searched for its beginning in steps of so many points.
_STRIDE: Final = 6
#: Posteriors whose tables are cached, about 6 kB each.
_CACHED_POSTERIORS: Final = 512
#: Gauss-Legendre with two points on (0, 1): exact for a product of four distribution functions that are linear in a cell.
_GAUSS: Final = (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12))


@dataclass(frozen=True, slots=True)
class FixedValue:
    """A quantity that is known exactly."""

    value: float


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """The quantity theta + shift, where theta is Beta(alpha, beta)."""

    alpha: float
    beta: float
    shift: float = 0.0


def probability_best(quantities: Sequence[FixedValue | BetaPosterior]) -> list[float]:
    """Return the probability that each quantity is the largest, when all are drawn independently. They add up to 1.

    Equal fixed values share their probability. The probability of posterior i is the integral of f_i(x) times the product
    of F_j(x) over the others, on the union of the posteriors' own grids, which suits narrow and wide ones. A quantity
    that cannot be the largest gets exactly 0.
    """
    shapes = {number: _shape(one) for number, one in enumerate(quantities) if isinstance(one, BetaPosterior)}
    lows = [shape.low for shape in shapes.values()]
    floor = max([*lows, *(one.value for one in quantities if isinstance(one, FixedValue))])
    possible = {number: shape for number, shape in shapes.items() if shape.high > floor}
    above, below = _integrate(list(possible.values()), floor)
    probabilities = [0.0] * len(quantities)
    for number, probability in zip(possible, above, strict=True):
        probabilities[number] = probability
    largest = [number for number, one in enumerate(quantities) if isinstance(one, FixedValue) and one.value == floor]
    for number in largest:
        probabilities[number] = below / len(largest)
    total = math.fsum(probabilities)
    return [probability / total for probability in probabilities]


def _integrate(shapes: Sequence["_Shape"], floor: float) -> tuple[list[float], float]:
    """Return the probability that each is the largest and above `floor`, and the probability that none is above it."""
    tables = [_table(shape) for shape in shapes]
    grid, below = _common_grid(shapes, tables, floor)
    columns = [table.cumulative(grid) for table in tables]
    steps = [list(map(sub, column[1:], column)) for column in columns]
    largest = [0.0] * len(shapes)
    for position in _GAUSS:
        values = [
            [old + position * step for old, step in zip(column, rises, strict=False)]
            for column, rises in zip(columns, steps, strict=True)
        ]
        products = list(map(math.prod, zip(*values, strict=True)))
        for number, rises in enumerate(steps):
            terms = zip(rises, products, values[number], strict=True)
            largest[number] += sum([step * product / value for step, product, value in terms if step and product])
    return [each / len(_GAUSS) for each in largest], below


def _common_grid(shapes: Sequence["_Shape"], tables: Sequence["_Table"], floor: float) -> tuple[list[float], float]:
    """Return the points for the integration, ascending, and the probability that no quantity is above `floor`.

    They are the points of the posteriors' own grids, without those that are close to others, and without those below which
    the largest quantity is hardly ever.
    """
    cells = max(_MIN_GRID_CELLS, _GRID_CELLS // max(1, len(shapes)))
    points = sorted(point for shape in shapes for point in _grid(shape, cells) if point[0] > floor)
    grid = [floor]
    for x, width in points:
        if x - grid[-1] >= _NEAREST * width and x > grid[-1]:
            grid.append(x)
    if points and points[-1][0] > grid[-1]:
        grid.append(points[-1][0])
    sampled = zip(*(table.cumulative(grid[::_STRIDE]) for table in tables), strict=True)
    products: list[float] = [math.prod(each) for each in sampled] or [1.0]
    first = next((number for number, product in enumerate(products) if product >= _BELOW_GRID), len(products))
    return grid[max(0, first - 1) * _STRIDE :], products[0]


class _Shape:
    """A posterior in logit space, y = log(theta / (1 - theta)), where every Beta density is smooth and log-concave."""

    def __init__(self, posterior: BetaPosterior) -> None:
        self.alpha = min(max(posterior.alpha, _SMALLEST_PARAMETER), _LARGEST_PARAMETER)
        self.beta = min(max(posterior.beta, _SMALLEST_PARAMETER), _LARGEST_PARAMETER)
        self.shift = posterior.shift
        self.peak = math.log(self.alpha / self.beta)
        self._log_height = self._log_density(self.peak)
        self.begin, self.end = self._limit(-1), self._limit(1)
        self.low, self.high = self.value(self.begin), self.value(self.end)

    def value(self, y: float) -> float:
        """Return the quantity at `y`."""
        return _sigmoid(y) + self.shift

    def density(self, y: float) -> tuple[float, float]:
        """Return the density of y, relative to its peak, and the derivative."""
        density = math.exp(self._log_density(y) - self._log_height)
        return density, density * (self.alpha - (self.alpha + self.beta) * _sigmoid(y))

    def spread(self, cells: int) -> list[float]:
        """Return values of y from begin to end: `cells` steps on each side of the peak, wider with the distance from it.

        A density with a parameter well below 1 curves within a few units of its peak and then falls over hundreds of units.
        """
        left = [self.peak + (self.begin - self.peak) * (k / cells) ** 2 for k in range(cells, 0, -1)]
        right = [self.peak + (self.end - self.peak) * (k / cells) ** 2 for k in range(cells + 1)]
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


class _Cell(NamedTuple):
    """The distribution function between two nodes: a cubic of the position in the cell, 0 to 1."""

    end: float
    start: float
    per_width: float
    low: float
    slope: float
    bend: float
    twist: float
    next_low: float


class _Table:
    """The distribution function of a posterior, tabulated over y."""

    def __init__(self, shape: _Shape) -> None:
        self._low, self._high, self._shift = shape.low, shape.high, shape.shift
        nodes = shape.spread(_CELLS)
        density = [shape.density(y) for y in nodes]
        # The trapezoidal rule with a correction by the derivatives at the ends: the error is of order width^4. In a cell
        # that holds less than 1e-6 the correction may be the larger part.
        masses = (
            max(0.0, (b - a) * (at_a + at_b) / 2 + (b - a) ** 2 * (slope_a - slope_b) / 12)
            for (a, (at_a, slope_a)), (b, (at_b, slope_b)) in pairwise(zip(nodes, density, strict=True))
        )
        cumulative = list(accumulate(masses, initial=0.0))
        total = cumulative[-1]
        points = zip(nodes, cumulative, density, strict=True)
        self._cells = [
            _cell(start, end, low / total, next_low / total, at_start / total, at_end / total)
            for (start, low, (at_start, _)), (end, next_low, (at_end, _)) in pairwise(points)
        ]
        self._cells[-1] = self._cells[-1]._replace(end=math.inf)

    def cumulative(self, grid: Sequence[float]) -> list[float]:
        """Return the probability that the quantity is at most x, for each x of an ascending grid.

        Cubic interpolation between the nodes, with the density as slope.
        """
        shift, log = self._shift, math.log
        first, last = bisect_left(grid, self._low), bisect_left(grid, self._high)
        found = [0.0] * first
        cells = iter(self._cells)
        end, start, per_width, low, slope, bend, twist, next_low = next(cells)
        for x in grid[first:last]:
            theta = x - shift
            if theta <= 0:
                found.append(0.0)
                continue
            if theta >= 1:
                found.append(1.0)
                continue
            y = log(theta / (1 - theta))
            while y >= end:
                end, start, per_width, low, slope, bend, twist, next_low = next(cells)
            position = (y - start) * per_width
            value = low + position * (slope + position * (bend + position * twist))
            if value < low:
                value = low
            elif value > next_low:
                value = next_low
            found.append(value)
        found += [1.0] * (len(grid) - last)
        return found


def _cell(start: float, end: float, low: float, next_low: float, at_start: float, at_end: float) -> _Cell:
    """Return the cell between two nodes; `at_start` and `at_end` are the densities there."""
    width, rise = end - start, next_low - low
    slope, next_slope = at_start * width, at_end * width
    return _Cell(
        end, start, 1 / width, low, slope, 3 * rise - 2 * slope - next_slope, slope + next_slope - 2 * rise, next_low
    )


# Caches: from one state of the scores to the next, most posteriors do not change.


@lru_cache(_CACHED_POSTERIORS)
def _shape(posterior: BetaPosterior) -> _Shape:
    return _Shape(posterior)


@lru_cache(_CACHED_POSTERIORS)
def _table(shape: _Shape) -> _Table:
    return _Table(shape)


@lru_cache(_CACHED_POSTERIORS)
def _grid(shape: _Shape, cells: int) -> list[tuple[float, float]]:
    """Return points of a posterior, ascending, each with the width of the narrower one of the cells beside it."""
    points = [shape.value(y) for y in shape.spread(cells)]
    widths = [after - x for x, after in pairwise(points)]
    narrower = [widths[0], *map(min, widths, widths[1:]), widths[-1]]
    return list(zip(points, narrower, strict=True))


def _sigmoid(y: float) -> float:
    if y >= 0:
        return 1 / (1 + math.exp(-y))
    return math.exp(y) / (1 + math.exp(y))
