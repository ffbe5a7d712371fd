"""Find the instances whose outcomes differ from those of the fleet."""

from typing import Final

from centralcloud.learning.evidence import RecentOutcomes
from centralcloud.learning.rule import Quarantine
from centralcloud.learning.rules.likelihood import log_likelihood
from centralcloud.runtime.arrays import np

# The constants are those of docs/explanation/learning.md, step 0.
_LEAST_OUTCOMES: Final = 5
_LEAST_OUTCOMES_OF_REST: Final = 10
_TOLERATED: Final = 12.0
_LEAST_INSTANCES: Final = 4
_MOST_EXCLUDED: Final = 1 / 3
#: Only so many instances, those with the most outcomes, are compared: the cost grows with the square of their number, and
#: one login may send for any number. The outcomes of the others count in the fleet's.
_MOST_COMPARED: Final = 1000


def differing_instances(recent: RecentOutcomes) -> list[Quarantine]:
    """Return the instances whose outcomes the rest of the fleet does not explain, the most different one first.

    For instance i, L_i sums n_i kl(p_i, p) + n_rest kl(p_rest, p) over the k pairs on which both sides have enough outcomes,
    where p is the pooled rate and kl the Bernoulli Kullback-Leibler divergence. While the largest L_i - 12 - k is above 0
    and less than a third of the instances is excluded, that instance is excluded and the others are compared again.
    """
    counted = np.ones(len(recent.instances), dtype=bool)
    outcomes = recent.outcomes.sum(axis=1)
    reporting = int((outcomes > 0).sum())
    found: list[Quarantine] = []
    if reporting < _LEAST_INSTANCES:
        return found
    compared_rows = np.sort(np.argsort(-outcomes, kind="stable")[:_MOST_COMPARED])
    n, s = recent.outcomes[compared_rows], recent.reward[compared_rows]
    while len(found) < _MOST_EXCLUDED * reporting:
        n_all, s_all = recent.outcomes[counted].sum(axis=0), recent.reward[counted].sum(axis=0)
        n_rest, s_rest = n_all - n, s_all - s
        candidates = counted[compared_rows]
        compared = (n >= _LEAST_OUTCOMES) & (n_rest >= _LEAST_OUTCOMES_OF_REST) & candidates[:, None]
        ratio = log_likelihood(s, n) + log_likelihood(s_rest, n_rest) - log_likelihood(s_all, n_all)
        pairs = compared.sum(axis=1)
        excess = np.where(compared, ratio, 0.0).sum(axis=1) - _TOLERATED - pairs
        excess[~candidates] = -np.inf
        most = int(np.argmax(excess))
        if excess[most] <= 0:
            break
        row = int(compared_rows[most])
        counted[row] = False
        found.append(Quarantine(instance_id=recent.instances[row], excess=float(excess[most]), pairs=int(pairs[most])))
    return found
