"""An independent calculation of the result that the adaptive rule should have for slices of evidence.

Written for clarity from its description, pair by pair and slice by slice, with no code of the product except the sums.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from centralcloud.learning.evidence import Evidence, Pair, Sums

Slice = dict[Pair, Sums]
OPENED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def of(
    outcomes: float,
    reward: float,
    squares: float | None = None,
    *,
    latency: float | None = None,
    cost: float | None = None,
) -> Sums:
    """Return the sums of a pair in a slice; `latency` and `cost` are means of all outcomes, as shares of the references."""
    return Sums(
        outcomes=outcomes,
        reward=reward,
        reward_squares=reward if squares is None else squares,
        timed=0 if latency is None else outcomes,
        latency=0 if latency is None else latency * outcomes,
        response_time_ms=0 if latency is None else latency * outcomes * 10_000,
        priced=0 if cost is None else outcomes,
        cost=0 if cost is None else cost * outcomes,
    )


def evidence_of(slices: Sequence[Slice], *, first: int = 1, excluded: Sequence[str] = ()) -> Evidence:
    """Return the slices as the rule gets them: numbered from `first`, opened a minute apart."""
    evidence = Evidence(excluded=excluded)
    for number, sums in enumerate(slices):
        evidence.append(first + number, OPENED + timedelta(minutes=number), sums)
    return evidence


def kl(p: float, q: float) -> float:
    """Return the Bernoulli Kullback-Leibler divergence."""
    terms = ((p, q), (1 - p, 1 - q))
    return sum(a * math.log(a / b) for a, b in terms if a > 0)


def differ(n1: float, s1: float, n2: float, s2: float) -> float:
    """Return n1 kl(p1, p) + n2 kl(p2, p), p pooled."""
    p = (s1 + s2) / (n1 + n2)
    return n1 * kl(s1 / n1, p) + n2 * kl(s2 / n2, p)


def threshold(outcomes: float) -> float:
    return math.log(4 * outcomes**1.5 / 0.1)


def boundaries(slices: Sequence[Slice]) -> list[int]:
    """Return positions at least 50 outcomes of the fleet apart; all of them, so for a short history only."""
    found, since = [], 0.0
    for position, of_slice in enumerate(slices, 1):
        since += sum(sums.outcomes for sums in of_slice.values())
        if since >= 50:
            found.append(position)
            since = 0.0
    assert len(found) < 64, "older ones become coarser"
    return found


def total(slices: Sequence[Slice], pair: Pair, name: str) -> float:
    return math.fsum(getattr(of_slice[pair], name) for of_slice in slices if pair in of_slice)


def dispersion(slices: Sequence[Slice], pair: Pair) -> float:
    """Return phi of a graded pair; the windows of all pairs are the whole history, and all are graded."""
    above, below, count = {}, {}, {}
    for each in {each for of_slice in slices for each in of_slice}:
        n, s, ss = (total(slices, each, name) for name in ("outcomes", "reward", "reward_squares"))
        above[each], below[each], count[each] = ss - s * s / n, s * (1 - s / n), n
    shared = sum(above.values()) / sum(below.values())
    weight = count[pair] / (count[pair] + 50)
    return max(0.05, weight * above[pair] / below[pair] + (1 - weight) * shared)


@dataclass
class BestSplit:
    position: int
    statistic: float
    before: float
    after: float
    threshold: float


def best_split(slices: Sequence[Slice], pair: Pair, phi: float = 1.0) -> BestSplit | None:
    """Return the split of a pair's history with the largest G; None if the history is too short."""
    best = None
    for position in boundaries(slices):
        n1, s1 = (total(slices[:position], pair, name) for name in ("outcomes", "reward"))
        n2, s2 = (total(slices[position:], pair, name) for name in ("outcomes", "reward"))
        if min(n1, n2) < 10:
            continue
        statistic = differ(n1, s1, n2, s2) / phi
        if best is None or statistic > best.statistic:
            best = BestSplit(position, statistic, s1 / n1, s2 / n2, threshold(n1 + n2))
    return best


def rise_log_ratio(slices: Sequence[Slice], pair: Pair, goal: float, position: int, phi: float = 1.0) -> float | None:
    """Return the log-likelihood ratio of `goal` against the rate before `position`, for the outcomes after it.

    None where the pair cannot be suspected: fewer than 10 outcomes before, none after, or a gap below 0.1.
    """
    n1, s1 = (total(slices[:position], pair, name) for name in ("outcomes", "reward"))
    n2, s2 = (total(slices[position:], pair, name) for name in ("outcomes", "reward"))
    was = (s1 + 20 * (s1 + s2 + 1) / (n1 + n2 + 2)) / (n1 + 20)
    if goal >= 1 or n1 < 10 or n2 <= 0 or goal - was < 0.1:
        return None
    return (s2 * math.log(goal / was) + (n2 - s2) * math.log((1 - goal) / (1 - was))) / phi


def decayed_mean(slices: Sequence[Slice], pair: Pair, name: str, count: str, half_life: float = 1000) -> float:
    """Return the mean in which a slice weighs half of one that is `half_life` fleet outcomes newer, in one pass."""
    above = below = 0.0
    for of_slice in slices:
        keep = 0.5 ** (sum(sums.outcomes for sums in of_slice.values()) / half_life)
        sums = of_slice.get(pair, Sums())
        above = keep * above + getattr(sums, name)
        below = keep * below + getattr(sums, count)
    return above / below if below else 0.0
