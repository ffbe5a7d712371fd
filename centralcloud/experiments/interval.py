"""The interval of a difference that an e-process leaves possible, at any time."""

import math
from typing import Final

from centralcloud.experiments.e_process import EProcess
from centralcloud.runtime.arrays import Floats, np

#: The end of an interval about which nothing is known yet.
UNKNOWN: Final = 1.0


def interval(process: EProcess, *, alpha: float = 0.05) -> Floats:
    """Return (R, 2) the lowest and the highest difference that the evidence does not exclude, as of now.

    It holds the differences against which neither side has wealth of 2 / alpha; between two nulls the logs are interpolated.
    An end beyond all nulls is -1 or 1: not known yet. The intersection of all intervals so far misses the true difference
    with a probability of at most `alpha`, however often it is looked at; see `intersect`.
    """
    needed = math.log(2 / alpha)
    nulls, above, below = process.nulls, process.log_above(), process.log_below()
    runs = len(above)
    ends = np.tile(np.array([-UNKNOWN, UNKNOWN]), (runs, 1))
    for number in range(len(nulls) - 1):
        width = nulls[number + 1] - nulls[number]
        first, second = above[:, number], above[:, number + 1]
        crosses = (first >= needed) & (needed > second)
        ends[crosses, 0] = nulls[number] + width * (first[crosses] - needed) / (first[crosses] - second[crosses])
        first, second = below[:, number], below[:, number + 1]
        crosses = (first < needed) & (needed <= second)
        ends[crosses, 1] = nulls[number + 1] - width * (second[crosses] - needed) / (second[crosses] - first[crosses])
    return ends


def intersect(so_far: Floats, now: Floats) -> Floats:
    """Return (R, 2) what is in both. Where the lower end is above the upper one the effect has changed over time."""
    return np.stack([np.maximum(so_far[:, 0], now[:, 0]), np.minimum(so_far[:, 1], now[:, 1])], axis=1)
