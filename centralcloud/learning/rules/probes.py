"""The share of the tasks that each pair receives in order to be judged again (step 3)."""

from collections.abc import Sequence
from typing import Final

from centralcloud.contracts import COMPLEXITIES
from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.rules.suspicion import ODDS_AGAINST_RISE, Suspicion
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

_SMALLEST_GAP: Final = 0.025
#: Mean reward per task that probing may cost at most: for all pairs that do not lead, and for those that may lead again.
_PROBE_BUDGET: Final = 0.002
_RETURN_BUDGET: Final = 0.01
_MOST_PROBES: Final = 0.01
_MOST_RETURN_PROBES: Final = 0.20
#: Share of a model's budget that goes to its cheapest complexity, if that is not its share anyway.
_CHEAPEST_SHARE: Final = 0.5


def leaders_of(pairs: Sequence[Pair], utility: Floats) -> Integers:
    """Return, for each pair, the column of the pair with the highest utility in its complexity; shape (pairs,)."""
    best: dict[str, int] = {}
    for column, (_, complexity) in enumerate(pairs):
        if complexity not in best or utility[column] > utility[best[complexity]]:
            best[complexity] = column
    return np.array([best[complexity] for _, complexity in pairs], dtype=np.int64)


def probe_shares(evidence: Evidence, gap: Floats, fallen: Booleans, suspicion: Suspicion) -> Floats:
    """Return the probe share of each pair, from a budget of lost utility; every array has shape (pairs,).

    `gap` is the distance from the leader in utility, NaN for the leader itself. `fallen`: the pair was better than the
    leader once.
    """
    others = np.flatnonzero(~np.isnan(gap))
    shares = np.zeros(len(gap))
    if not len(others):
        return shares
    gap = np.maximum(gap, _SMALLEST_GAP)
    complexities = np.array([complexity for _, complexity in evidence.pairs])
    shares[others] = np.minimum(_budgets(evidence, complexities, others) / gap[others], _MOST_PROBES)
    expected_loss = gap / (1 + suspicion.ratio / ODDS_AGAINST_RISE)
    may_return = fallen | suspicion.suspected
    may_return[np.isnan(gap)] = False
    for complexity in np.unique(complexities[may_return]):
        columns = np.flatnonzero(may_return & (complexities == complexity))
        number = len(columns)
        shares[columns] += np.minimum(_RETURN_BUDGET / number / expected_loss[columns], _MOST_RETURN_PROBES / number)
    return shares


def _budgets(evidence: Evidence, complexities: Integers, others: Integers) -> Floats:
    """Return the utility per task that base probes may cost in each pair that does not lead.

    The budget of a complexity is the same for all its pairs. Then half of the budget of a model, over all complexities in
    which it does not lead, is spent in the cheapest of them.
    """
    names, of_pair = np.unique(complexities[others], return_inverse=True)
    budgets = _PROBE_BUDGET / np.bincount(of_pair)[of_pair]
    tasks = np.array([evidence.total("outcomes")[complexities == name].sum() for name in names])[of_pair]
    by_model: dict[str, list[int]] = {}
    for number, column in enumerate(others):
        by_model.setdefault(evidence.pairs[column][0], []).append(number)
    cost, priced = evidence.total("cost"), evidence.total("priced")
    mean_cost = np.divide(cost, priced, out=np.full(len(cost), np.inf), where=priced > 0)
    for numbers in by_model.values():
        cheapest, *dearer = sorted(numbers, key=lambda number: _expense(evidence, mean_cost, int(others[number])))
        spent, elsewhere = budgets[cheapest] * tasks[cheapest], float((budgets[dearer] * tasks[dearer]).sum())
        if 0 < spent < _CHEAPEST_SHARE * (spent + elsewhere):
            budgets[cheapest] *= _CHEAPEST_SHARE * (spent + elsewhere) / spent
            budgets[dearer] *= (1 - _CHEAPEST_SHARE) * (spent + elsewhere) / elsewhere
    return budgets


def _expense(evidence: Evidence, mean_cost: Floats, column: int) -> tuple[float, int]:
    return float(mean_cost[column]), COMPLEXITIES.index(evidence.pairs[column][1])
