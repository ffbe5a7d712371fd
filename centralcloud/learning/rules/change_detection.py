"""Detect changes of the success rate of a pair."""

from dataclasses import dataclass
from typing import Final

from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rules.likelihood import log_likelihood
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

# docs/explanation/learning.md, step 1.
_FALSE_ALARM_RATE: Final = 0.1
_LEAST_OUTCOMES: Final = 10
_LEAST_OUTCOMES_OF_MODEL: Final = 3
_PER_COMPLEXITY: Final = 1.5
#: Boundaries become coarser with age: at worst a change is dated 1/32 of its age too early or too late.
FINEST_BOUNDARIES: Final = 32


@dataclass(frozen=True, slots=True)
class Split:
    """The most likely split of each pair's window; every array has shape (pairs,).

    Attributes:
        position: the position of the split; -1 if the window is too short for one.
        statistic: G there: [n1 kl(p1, p) + n2 kl(p2, p)] / phi.
        before, after: mean reward on both sides.
        threshold: a change has a G above this, ln(4 N^1.5 / 0.1) for N outcomes in the window.
        changed: whether the split is a change.
        whole_model: whether only all complexities of the model together show the change.
    """

    position: Integers
    statistic: Floats
    before: Floats
    after: Floats
    threshold: Floats
    changed: Booleans
    whole_model: Booleans


def find_changes(evidence: Evidence, starts: Integers, dispersion: float | Floats) -> Split:
    """Find the best split of every pair's window, which begins at its position in `starts`; shape (pairs,).

    `dispersion` (phi) is the variance of the rewards over that of 0/1 outcomes of the same mean, for each pair or for all.
    """
    positions = evidence.boundaries(FINEST_BOUNDARIES)
    columns = np.arange(len(starts))
    if not len(positions) or not len(starts):
        return _nothing(evidence, starts)
    n_before, s_before = (
        evidence.total(name, positions) - (evidence.total(name) - evidence.since(name, starts))
        for name in ("outcomes", "reward")
    )
    n, s = evidence.since("outcomes", starts), evidence.since("reward", starts)
    n_after, s_after = n - n_before, s - s_before
    inside = positions[:, None] > starts
    statistic = (
        log_likelihood(s_before, n_before) + log_likelihood(s_after, n_after) - log_likelihood(s, n)
    ) / dispersion
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_before, mean_after = s_before / n_before, s_after / n_after
    fewer = np.minimum(n_before, n_after)
    by_pair = np.where(inside & (fewer >= _LEAST_OUTCOMES), statistic, -np.inf)
    best = np.argmax(by_pair, axis=0)
    threshold = change_threshold(n)
    largest = by_pair[best, columns]
    changed = largest > threshold
    by_model = np.where(inside & (fewer >= _LEAST_OUTCOMES_OF_MODEL), statistic, -np.inf)
    whole_model = np.zeros_like(changed)
    for model_columns in columns_of_models(evidence):
        row = _change_of_model(by_model[:, model_columns], n[model_columns])
        if row is None:
            continue
        resets = model_columns[(by_model[row, model_columns] > _PER_COMPLEXITY) & ~changed[model_columns]]
        best[resets] = row
        whole_model[resets] = True
    changed |= whole_model
    chosen = np.where(whole_model, by_model[best, columns], largest)
    splittable = np.isfinite(chosen)
    return Split(
        position=np.where(splittable, positions[best], -1),
        statistic=np.where(splittable, chosen, 0.0),
        before=np.where(splittable, mean_before[best, columns], 0.0),
        after=np.where(splittable, mean_after[best, columns], 0.0),
        threshold=threshold,
        changed=changed,
        whole_model=whole_model,
    )


def change_threshold(outcomes: Floats) -> Floats:
    """Return the threshold of G for a window of N outcomes: ln(4 N^1.5 / 0.1)."""
    return np.log(4 * np.maximum(outcomes, 1.0) ** 1.5 / _FALSE_ALARM_RATE)


def _change_of_model(statistic: Floats, outcomes: Floats) -> int | None:
    """Return the row at which the whole model changed: the sum of G, less 1.5 a pair but one, is over the threshold."""
    seen = np.isfinite(statistic)
    pairs = seen.sum(axis=1)
    together = np.where(seen, statistic, 0.0).sum(axis=1) - _PER_COMPLEXITY * (pairs - 1)
    threshold = change_threshold(np.where(seen, outcomes, 0.0).sum(axis=1))
    excess = np.where(pairs > 1, together - threshold, -np.inf)
    row = int(np.argmax(excess))
    return row if excess[row] > 0 else None


def columns_of_models(evidence: Evidence) -> list[Integers]:
    """Return the columns of each model that has several."""
    columns: dict[str, list[int]] = {}
    for column, (model, _) in enumerate(evidence.pairs):
        columns.setdefault(model, []).append(column)
    return [np.array(model_columns) for model_columns in columns.values() if len(model_columns) > 1]


def _nothing(evidence: Evidence, starts: Integers) -> Split:
    none = np.zeros(len(starts))
    never = np.zeros(len(starts), dtype=bool)
    threshold = change_threshold(evidence.since("outcomes", starts))
    return Split(np.full(len(starts), -1), none, none, none, threshold, never, never)
