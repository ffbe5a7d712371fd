"""Suspect pairs that do not lead their complexity of having become as good as the leader (step 3)."""

from dataclasses import dataclass
from typing import Final

from centralcloud.learning.arrays import Booleans, Floats, Integers, np
from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rules.change_detection import FINEST_BOUNDARIES, columns_of_models

# docs/explanation/learning.md, step 3.
_LEAST_OUTCOMES_BEFORE: Final = 10
_SHRINKAGE_OUTCOMES: Final = 20
_LEAST_GAP: Final = 0.1
#: Logarithm of the ratio from which on a pair is suspected.
_SUSPECTED: Final = 2.0
#: Beyond this the ratio makes no difference, and its exponential would overflow.
_LARGEST_LOG_RATIO: Final = 50.0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The case for each pair that it has become as good as the leader; every array has shape (pairs,).

    Attributes:
        ratio: the largest likelihood ratio of "since t it is as good as the leader" against "as it was", over all t and, if
            larger, that of the whole model; 0 where the question does not arise.
        suspected: whether the ratio is above e^2.
        position: the position of that t.
        whole_model: whether the ratio is that of all complexities of the model together.
    """

    ratio: Floats
    suspected: Booleans
    position: Integers
    whole_model: Booleans


def suspect_rises(evidence: Evidence, starts: Integers, dispersion: Floats, goal: Floats) -> Suspicion:
    """Compare, at every boundary t of each pair's window, two rates for the outcomes since t; all arrays are by pair.

    `goal` is the mean with which the pair would be as good as the leader: at least 1, or NaN, if there is none. The rate as
    it was is that before t, shrunk to the mean of the window, which counts like 20 outcomes: an unlucky start alone is not
    a reason to suspect a rise. The pair needs 10 outcomes before t, one after it, and a gap of at least 0.1 between the two.
    """
    positions = evidence.boundaries(FINEST_BOUNDARIES)
    pairs = len(starts)
    none = Suspicion(np.zeros(pairs), np.zeros(pairs, bool), np.full(pairs, -1), np.zeros(pairs, bool))
    attainable = goal < 1
    if not len(positions) or not attainable.any():
        return none
    n_before, s_before = (
        evidence.total(name, positions) - (evidence.total(name) - evidence.since(name, starts))
        for name in ("outcomes", "reward")
    )
    n, s = evidence.since("outcomes", starts), evidence.since("reward", starts)
    n_after, s_after = n - n_before, s - s_before
    window_mean = (s + 1) / (n + 2)
    shrunk = (s_before + _SHRINKAGE_OUTCOMES * window_mean) / (np.maximum(n_before, 0.0) + _SHRINKAGE_OUTCOMES)
    known = attainable & (n_before >= _LEAST_OUTCOMES_BEFORE) & (n_after > 0)
    known &= goal - shrunk >= _LEAST_GAP
    was, would_be = np.where(known, shrunk, 0.5), np.where(known, goal, 0.5)
    log_ratio = s_after * np.log(would_be / was) + (n_after - s_after) * np.log((1 - would_be) / (1 - was))
    log_ratio = np.where(known, log_ratio / dispersion, -np.inf)
    best = np.argmax(log_ratio, axis=0)
    largest = log_ratio[best, np.arange(pairs)]
    whole_model = np.zeros(pairs, dtype=bool)
    for columns in columns_of_models(evidence):
        together = np.where(known[:, columns], log_ratio[:, columns], 0.0).sum(axis=1)
        row = int(np.argmax(together))
        concerned = columns[known[row, columns] & (together[row] > largest[columns])]
        best[concerned], largest[concerned], whole_model[concerned] = row, together[row], True
    return Suspicion(
        ratio=np.exp(np.minimum(largest, _LARGEST_LOG_RATIO)),
        suspected=largest > _SUSPECTED,
        position=np.where(np.isfinite(largest), positions[best], -1),
        whole_model=whole_model,
    )
