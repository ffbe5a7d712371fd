"""Priors of success rates: what the rates of similar cells predict, and how many outcomes such a prediction is worth.

A cell is a (model, complexity), or any finer division of it. While a cell has few outcomes of its own, its rate is shrunk to
what others predict for it (docs/explanation/learning.md, step 2). All arrays are by cell; rewards are sums of rewards from 0
to 1, each 0 or 1 if outcomes are not graded.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.learning.evidence import Pair
from centralcloud.runtime.arrays import Floats, Integers, np

#: A prediction is worth so many outcomes: at least, before any was put to the test, and at most.
LEAST_WORTH: Final = 2.0
FIRST_WORTH: Final = 4.0
MOST_WORTH: Final = 16.0
#: The worth to begin with counts like so many cells whose predictions were put to the test.
_CELLS_OF_FIRST_WORTH: Final = 6.0
#: A rate from few outcomes says little about its prediction: a cell with n outcomes counts as (n / (n + 1))^2 of a cell.
_TESTED_OUTCOMES: Final = 1.0
#: The log-odds of a rate with n outcomes weigh n / (n + 4) of those of a rate that is known well.
_KNOWN_OUTCOMES: Final = 4.0
#: Routers draw as if known pairs had up to three times as many outcomes: they then try what is clearly worse less often.
_DRAW_SHARPENING: Final = 2.0
_DRAW_OUTCOMES: Final = 50.0
#: A mean of the log-odds of models is shrunk to the one it refines, which weighs as much as one rate that is known well.
_SHRINKAGE: Final = 1.0
#: To begin with, the variances of distances within models and between them are equal: both are 1/2, as if from one model
#: that is known well at three complexities (six ordered pairs of them).
_FIRST_VARIANCE: Final = 6 * 0.5
#: No prediction is more extreme: the next version of a model may break what never failed.
LEAST_RATE: Final = 0.02
#: By whether the other complexities of the model have outcomes, and whether the other models have.
_SOURCES: Final = {
    (True, True): "its other complexities and the other models",
    (True, False): "its other complexities",
    (False, True): "the other models",
    (False, False): "",
}


class Shrunk(NamedTuple):
    """Estimates of success rates.

    Attributes:
        mean: 0 to 1.
        n_eff: how many outcomes each is worth, those of the prior included.
    """

    mean: Floats
    n_eff: Floats


def shrink(
    prior: Floats | float,
    worth: Floats | float,
    reward: Floats,
    outcomes: Floats,
    dispersion: Floats | float = 1.0,
) -> Shrunk:
    """Estimate the success rate of each cell from its outcomes and from a prior that counts like `worth` outcomes.

    `dispersion` is the variance of the rewards over that of 0/1 outcomes of the same mean: the outcomes of the cell are
    worth outcomes / dispersion of the latter.
    """
    return Shrunk((reward + worth * prior) / (outcomes + worth), outcomes / dispersion + worth)


def draw_outcomes(n_eff: float) -> float:
    """Return the number of outcomes from which routers draw an estimate that is worth `n_eff` outcomes."""
    return n_eff * (1 + _DRAW_SHARPENING * n_eff / (n_eff + _DRAW_OUTCOMES))


def prior_worth(prior: Floats, reward: Floats, outcomes: Floats, dispersion: Floats | float = 1.0) -> float:
    """Return how many outcomes predictions like these are worth: 2 to 16, and 4 before any was put to the test.

    `prior` must have been predicted without the cell's own outcomes. If the true rate of a cell is Beta-distributed around
    its prior m, and that is worth n0 outcomes, the square by which its observed rate misses m is expected to be m (1 - m)
    times 1 / (n0 + 1) + (1 - 1 / (n0 + 1)) * dispersion / n. The n0 for which that holds in the sum over all cells is the
    answer.
    """
    tried = outcomes > 0
    if not tried.any():
        return FIRST_WORTH
    n, m = outcomes[tried], prior[tried]
    by_chance = np.minimum((dispersion[tried] if isinstance(dispersion, np.ndarray) else dispersion) / n, 1.0)
    weight = (n / (n + _TESTED_OUTCOMES)) ** 2
    variance = m * (1 - m)
    first = _CELLS_OF_FIRST_WORTH * float(variance.mean())
    missed = float((weight * ((reward[tried] / n - m) ** 2 - variance * by_chance)).sum()) + first / (FIRST_WORTH + 1)
    possible = float((weight * variance * (1 - by_chance)).sum()) + first
    if missed * (MOST_WORTH + 1) <= possible:
        return MOST_WORTH
    return max(possible / missed - 1, LEAST_WORTH)


def predict_pairs(pairs: Sequence[Pair], reward: Floats, outcomes: Floats) -> Floats:
    """Predict the success rate of each pair from the other complexities of its model and the other models at its complexity.

    On the scale of log-odds, a prediction is the mean of the other models at this complexity, plus the mean distance of this
    model from the other models at its other complexities, shrunk as far as models differ from complexity to complexity. The
    pair's own outcomes have no part in it, except by that shrinkage, which all pairs share. Without any outcome of other
    pairs it is 0.5.
    """
    model, complexity = (_numbers([pair[part] for pair in pairs]) for part in range(2))
    log_odds = np.log((reward + 1) / (outcomes - reward + 1))
    weight = outcomes / (outcomes + _KNOWN_OUTCOMES)
    weighted = weight * log_odds
    weight_of_model = _sum_by(model, weight)
    overall = (weighted.sum() - _sum_by(model, weighted)) / (weight.sum() - weight_of_model + _SHRINKAGE)
    others = _sum_by(complexity, weighted) - weighted + _SHRINKAGE * overall
    level = others / (_sum_by(complexity, weight) - weight + _SHRINKAGE)
    distance = log_odds - level
    weighted = weight * distance
    of_model = _sum_by(model, weighted)
    shrinkage = _shrinkage_of_models(weight, distance, weight_of_model, of_model)
    effect = (of_model - weighted) / (weight_of_model - weight + shrinkage)
    rate: Floats = 1 / (1 + np.exp(-(level + effect)))
    return np.clip(rate, LEAST_RATE, 1 - LEAST_RATE)


def _shrinkage_of_models(weight: Floats, distance: Floats, weight_of_model: Floats, of_model: Floats) -> float:
    """Return how much "the models do not differ" weighs against the distances of one model; infinity if they do not.

    It is the variance of distances within models over that between models, both from every two complexities of a model: half
    of the mean squared difference of their distances, over the mean product. The last two arguments are sums over the model.
    """
    other_weight, other_distance = weight_of_model - weight, of_model - weight * distance
    square = float((weight * other_weight * distance**2).sum())
    product = float((weight * other_distance * distance).sum())
    within, between = square - product + _FIRST_VARIANCE, product + _FIRST_VARIANCE
    return within / between if between > 0 else math.inf


def sources_of(pairs: Sequence[Pair], outcomes: Floats) -> list[str]:
    """Return the words for the outcomes that each prediction follows from; "" without any."""
    of_model, of_all = _sum_by(_numbers([model for model, _ in pairs]), outcomes), outcomes.sum()
    own, other = of_model - outcomes > 0, of_all - of_model > 0
    return [_SOURCES[bool(by_own), bool(by_other)] for by_own, by_other in zip(own, other, strict=True)]


def _numbers(names: Sequence[str]) -> Integers:
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def _sum_by(group: Integers, values: Floats) -> Floats:
    """Return, for each cell, the sum of `values` over its group."""
    sums: Floats = np.bincount(group, weights=values).astype(np.float64)[group]
    return sums
