"""Suspect pairs that do not lead their complexity of having become as good as the leader (step 3)."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rules.change_detection import FINEST_BOUNDARIES, columns_of_models
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

# docs/explanation/learning.md, step 3.
_LEAST_OUTCOMES_BEFORE: Final = 10
_SHRINKAGE_OUTCOMES: Final = 20
_LEAST_GAP: Final = 0.1
#: Logarithm of the ratio from which on a pair is suspected.
_SUSPECTED: Final = 2.0
#: The odds against a rise before there is a reason to suspect one. If the model rose in another complexity, they are even.
ODDS_AGAINST_RISE: Final = 50.0
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
        followed: whether the suspicion is that the pair rose when the model did in another complexity, where that is known.
        told: whether the suspicion is that the pair rose when answers began to name another version of its model.
    """

    ratio: Floats
    suspected: Booleans
    position: Integers
    whole_model: Booleans
    followed: Booleans
    told: Booleans


class Told(NamedTuple):
    """Where the answers of each pair began to name another version of its model; arrays of shape (pairs,).

    Attributes:
        since: the position; -1 where nothing was told.
        former: the mean before it if the window of the pair begins there; NaN if the window says what was before.
    """

    since: Integers
    former: Floats


def suspect_rises(
    evidence: Evidence,
    starts: Integers,
    dispersion: Floats,
    goal: Floats,
    rose: Booleans | None = None,
    told: Told | None = None,
) -> Suspicion:
    """Compare, at every boundary t of each pair's window, two rates for the outcomes since t; all arrays are by pair.

    `goal` is the mean with which the pair would be as good as the leader: at least 1, or NaN, if there is none. The rate as
    it was is that before t, shrunk to the mean of the window, which counts like 20 outcomes: an unlucky start alone is not
    a reason to suspect a rise. The pair needs 10 outcomes before t, one after it, and a gap of at least 0.1 between the two.

    `rose`: the window of the pair began with a rise. Then at that t the other complexities of its model need no outcome
    after it, and their odds are even instead of 50 to 1 against a rise. The same holds where a new version was told. Once it
    counts, that ends with the 10 outcomes from which the pair is judged by itself.
    """
    positions = evidence.boundaries(FINEST_BOUNDARIES)
    pairs = len(starts)
    no = np.zeros(pairs, dtype=bool)
    none = Suspicion(np.zeros(pairs), no, np.full(pairs, -1), no, no, no)
    attainable = goal < 1
    if not len(positions) or not attainable.any():
        return none
    log_ratio, known = _log_ratios(evidence, positions, starts, dispersion, goal)
    log_ratio = np.where(known, log_ratio, -np.inf)
    best = np.argmax(log_ratio, axis=0)
    largest = log_ratio[best, np.arange(pairs)]
    whole_model = np.zeros(pairs, dtype=bool)
    for columns in columns_of_models(evidence):
        together = np.where(known[:, columns], log_ratio[:, columns], 0.0).sum(axis=1)
        row = int(np.argmax(together))
        concerned = columns[known[row, columns] & (together[row] > largest[columns])]
        best[concerned], largest[concerned], whole_model[concerned] = row, together[row], True
    position = np.where(np.isfinite(largest), positions[best], -1)
    followed, by_told = np.zeros(pairs, dtype=bool), np.zeros(pairs, dtype=bool)
    if rose is not None and rose.any():
        rises = _newest_rises(evidence, starts, rose)
        log_ratio, known = _log_ratios(evidence, rises[None, :], starts, dispersion, goal, least_after=0)
        even = log_ratio[0] + math.log(ODDS_AGAINST_RISE)
        followed = known[0] & (rises > starts) & (even > largest)
        largest, position = np.where(followed, even, largest), np.where(followed, rises, position)
    if told is not None and (told.since >= 0).any():
        even = _even_log_ratio(evidence, told, starts, dispersion, goal)
        by_told = even > largest
        largest, position = np.where(by_told, even, largest), np.where(by_told, told.since, position)
    return Suspicion(
        ratio=np.exp(np.minimum(largest, _LARGEST_LOG_RATIO)),
        suspected=largest > _SUSPECTED,
        position=position,
        whole_model=whole_model & ~followed & ~by_told,
        followed=followed & ~by_told,
        told=by_told,
    )


def _even_log_ratio(evidence: Evidence, told: Told, starts: Integers, dispersion: Floats, goal: Floats) -> Floats:
    """Return the logarithm of the ratio since a new version was told, with even odds; -inf where it does not matter."""
    since = np.maximum(told.since, 0)
    log_ratio, known = _log_ratios(
        evidence, since[None, :], starts, dispersion, goal, least_after=0, former=told.former
    )
    young = evidence.since("outcomes", starts) < _LEAST_OUTCOMES_BEFORE
    matters = known[0] & (told.since >= 0) & np.where(np.isnan(told.former), since > starts, young)
    return np.where(matters, log_ratio[0] + math.log(ODDS_AGAINST_RISE), -np.inf)


def _log_ratios(
    evidence: Evidence,
    positions: Integers,
    starts: Integers,
    dispersion: Floats,
    goal: Floats,
    *,
    least_after: int = 1,
    former: Floats | None = None,
) -> tuple[Floats, Booleans]:
    """Return the logarithm of the ratio at each position and pair, and whether there is one.

    Args:
        positions: of shape (positions,) for all pairs alike, or (1, pairs) for one position of each.
        former: the rate as it was, where it is not NaN.
    """
    columns = np.arange(len(starts))
    n_before, s_before = (
        (
            evidence.total(name, positions)
            if positions.ndim == 1
            else evidence.total(name, positions[0])[columns, columns]
        )
        - (evidence.total(name) - evidence.since(name, starts))
        for name in ("outcomes", "reward")
    )
    n_before, s_before = np.atleast_2d(n_before), np.atleast_2d(s_before)
    n, s = evidence.since("outcomes", starts), evidence.since("reward", starts)
    n_after, s_after = n - n_before, s - s_before
    window_mean = (s + 1) / (n + 2)
    shrunk = (s_before + _SHRINKAGE_OUTCOMES * window_mean) / (np.maximum(n_before, 0.0) + _SHRINKAGE_OUTCOMES)
    known = (goal < 1) & (n_before >= _LEAST_OUTCOMES_BEFORE) & (n_after >= least_after)
    if former is not None:
        shrunk = np.where(np.isnan(former), shrunk, former)
        known |= ~np.isnan(former) & (goal < 1)
    known &= goal - shrunk >= _LEAST_GAP
    was, would_be = np.where(known, shrunk, 0.5), np.where(known, goal, 0.5)
    log_ratio = s_after * np.log(would_be / was) + (n_after - s_after) * np.log((1 - would_be) / (1 - was))
    return log_ratio / dispersion, known


def _newest_rises(evidence: Evidence, starts: Integers, rose: Booleans) -> Integers:
    """Return the position of the newest rise of another complexity of each pair's model; 0 without one."""
    rises = np.zeros(len(starts), dtype=np.int64)
    for columns in columns_of_models(evidence):
        risen = columns[rose[columns]]
        for column in columns:
            others = risen[risen != column]
            if len(others):
                rises[column] = starts[others].max()
    return rises
