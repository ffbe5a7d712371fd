"""The probability that each of several uncertain quantities is the largest.

Thompson sampling (Thompson 1933) draws from every posterior and takes the largest draw. Here the probability that a quantity
has the largest draw is computed instead. It is known before a choice is made: a decision costs one random number, and the
propensity that is recorded with it is exact.

The integral. Let F_i be the distribution functions, and H_i = -log F_i the cumulative reversed hazards. The largest quantity
has the distribution function G = exp(-V), where V is the sum of all H_i. Quantity i is the largest with the probability

    integral of (f_i / F_i) G dx  =  integral of G d(-H_i)  =  integral of H_i(V) exp(-V) dV from 0 to infinity.

As functions of V, all H_i rise, with slopes from 0 to 1 that add up to 1. So they are interpolated linearly between nodes:
the probabilities are never negative, they add up to 1, and a bend in a cell costs at most (change of sqrt(G))^2 / 2. Nodes
are added until sqrt(G) changes little between any two.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from centralcloud.contracts.model_choice.posterior_table import BetaPosterior, PosteriorTable, table_of

__all__ = ["BetaPosterior", "FixedValue", "probability_best"]

#: Nodes of the first pass, taken from the points of the posteriors.
_FIRST_NODES: Final = 10
#: Nodes are added where the square root of G changes by more than this. With it, probabilities are accurate to 0.001 (see
#: the tests).
_STEP: Final = 0.05
_PASSES: Final = 4

#: A node: x, the sum of the hazards there, and the position of its hazards.
_Node = tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class FixedValue:
    """A quantity that is known exactly."""

    value: float


def probability_best(quantities: Sequence[FixedValue | BetaPosterior]) -> list[float]:
    """Return the probability that each quantity is the largest, when all are drawn independently. They add up to 1.

    Each is accurate to 0.001. Equal fixed values share their probability. A quantity that cannot be the largest gets
    exactly 0.
    """
    tables = {number: table_of(one) for number, one in enumerate(quantities) if isinstance(one, BetaPosterior)}
    fixed = [one.value for one in quantities if isinstance(one, FixedValue)]
    floor = max([*fixed, *[table.begin for table in tables.values()]])
    possible = {number: table for number, table in tables.items() if table.high > floor}
    floor = max([floor, *[table.low for table in possible.values()]])
    possible = {number: table for number, table in possible.items() if table.high > floor}
    probabilities = [0.0] * len(quantities)
    below = 1.0
    if possible:
        above, below = _integrate(list(possible.values()), floor)
        for number, probability in zip(possible, above, strict=True):
            probabilities[number] = probability
    largest = [number for number, one in enumerate(quantities) if isinstance(one, FixedValue) and one.value == floor]
    for number in largest:
        probabilities[number] = below / len(largest)
    total = math.fsum(probabilities)
    return [probability / total for probability in probabilities]


def _integrate(tables: Sequence[PosteriorTable], floor: float) -> tuple[list[float], float]:
    """Return the probability that each is the largest and above `floor`, and the probability that none is above it."""
    points = sorted([point for table in tables for point in table.points if point > floor])
    top = max([table.high for table in tables])
    every = max(1, len(points) // _FIRST_NODES)
    xs = sorted({floor, top, *points[every // 2 :: every], *(table.high for table in tables if table.has_kink)})
    columns = [table.hazards(xs) for table in tables]
    nodes = list(zip(xs, map(sum, zip(*columns, strict=True)), range(len(xs)), strict=True))
    for _ in range(_PASSES - 1):
        xs = _missing(nodes, points)
        if not xs:
            break
        more = [table.hazards(xs) for table in tables]
        places = range(len(nodes), len(nodes) + len(xs))
        nodes += zip(xs, map(sum, zip(*more, strict=True)), places, strict=True)
        nodes.sort()
        for column, added in zip(columns, more, strict=True):
            column += added
    weights, below = _weights(nodes)
    return [max(0.0, sum(map(mul, column, weights))) for column in columns], below


def _missing(nodes: Sequence[_Node], points: Sequence[float]) -> list[float]:
    """Return the x of nodes to add, ascending: points of the posteriors where there are some, else at equal distances."""
    found: set[float] = set()
    before, root = nodes[0][0], math.exp(-nodes[0][1] / 2)
    for x, total, _ in nodes:
        next_root = math.exp(-total / 2)
        number = int((next_root - root) / _STEP)
        if number:
            begin, end = bisect_right(points, before), bisect_left(points, x)
            if begin < end:
                number = min(number, end - begin)
                found.update([points[begin + (2 * k + 1) * (end - begin) // (2 * number)] for k in range(number)])
            else:
                width = (x - before) / (number + 1)
                found.update([each for k in range(number) if before < (each := before + (k + 1) * width) < x])
        before, root = x, next_root
    return sorted(found)


def _weights(nodes: Sequence[_Node]) -> tuple[list[float], float]:
    """Return the weight of the hazards at each position, and G at the first node.

    A cell adds (change of H_i) * (change of G) / (change of V): by parts, each node has one weight for every quantity.
    """
    weights = [0.0] * len(nodes)
    _, total, position = nodes[0]
    share = first_share = math.exp(-total)
    earlier = 0.0
    for _, next_total, next_position in nodes[1:]:
        next_share = math.exp(-next_total)
        fall = total - next_total
        slope = (next_share - share) / fall if fall > 1e-12 else share
        weights[position] = slope - earlier
        total, share, position, earlier = next_total, next_share, next_position, slope
    weights[position] = -earlier
    return weights, first_share
