"""The worth of learning: outcomes as they were against those under the scores of before, estimated from the log. Pure.

The estimate is the self-normalized inverse-propensity one (Hajek): each outcome of the model that would have been chosen
counts with 1 / the probability with which the router chose it. Its interval is the normal one, 95%.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.charts.numbers import count
from centralcloud.runtime.wording import counted, percent

#: Outcomes that weigh equally, to which those of the earlier leader must be worth.
LEAST_EFFECTIVE: Final = 50.0
#: Share of the outcomes that must have a propensity: the others may differ from these.
LEAST_WEIGHED: Final = 0.9
_Z: Final = 1.96


class Weighed(NamedTuple):
    """Sums over outcomes of a pair. Those with `weight` in their names are over the `weighed` ones, with 1 / propensity."""

    complexity: str
    model: str
    outcomes: int
    successes: int
    weighed: int
    weight: float
    success_weight: float
    squared_weight: float
    squared_success_weight: float


class Worth(NamedTuple):
    """The worth of learning for one complexity.

    Attributes:
        leader: the model with the highest score at the start of the time.
        outcomes, rate: as they were.
        rate_before: the success rate if `leader` had got every task.
        gained: successes that came in addition; below 0: were lost.
        low, high: the 95% interval of `gained`.
        unknown: why the log cannot tell; the five numbers before are then None.
    """

    complexity: str
    leader: str | None
    outcomes: int
    rate: float | None = None
    rate_before: float | None = None
    gained: float | None = None
    low: float | None = None
    high: float | None = None
    unknown: str | None = None


def worth_of(complexity: str, rows: Sequence[Weighed], scores: Mapping[str, float]) -> Worth:
    """Return the worth for one complexity.

    Args:
        rows: of this complexity.
        scores: by model, at the start of the time.
    """
    outcomes = sum(each.outcomes for each in rows)
    leader = highest(scores)

    def unknown(reason: str) -> Worth:
        return Worth(complexity, leader, outcomes, unknown=reason)

    if not outcomes:
        return unknown("no outcome in this time")
    if not scores:
        return unknown("no score was published before this time")
    if leader is None:
        return unknown("several models shared the highest score at the start of this time")
    if len(rows) == 1:
        return unknown(f"one model only: {rows[0].model} got every task")
    weighed = sum(each.weighed for each in rows)
    if weighed < LEAST_WEIGHED * outcomes:
        known = percent(weighed / outcomes)
        return unknown(f"only {known} of the outcomes have a propensity, the probability of the router's choice")
    row = next((each for each in rows if each.model == leader), None)
    effective = row.weight**2 / row.squared_weight if row is not None and row.squared_weight else 0.0
    if row is None or effective < LEAST_EFFECTIVE:
        seen = counted(row.outcomes if row is not None else 0, "outcome")
        worth = f", worth {count(round(effective))} that weigh equally" if effective else ""
        return unknown(f"too few outcomes: {leader}, which led before, has {seen}{worth}")
    successes = sum(each.successes for each in rows)
    rate, before = successes / outcomes, row.success_weight / row.weight
    # The outcomes of the leader are among all outcomes: to take the two as independent makes the interval wider than it is.
    error = math.sqrt(rate * (1 - rate) / outcomes + _squared_error(row, before))
    low, high = (outcomes * (rate - before + side * _Z * error) for side in (-1, 1))
    return Worth(complexity, leader, outcomes, rate, before, outcomes * (rate - before), low, high)


def highest(scores: Mapping[str, float]) -> str | None:
    """Return the model with the highest score; None where several have it."""
    best = max(scores.values(), default=None)
    found = [model for model, score in scores.items() if score == best]
    return found[0] if len(found) == 1 else None


def _squared_error(row: Weighed, rate: float) -> float:
    """Return the squared standard error of a weighed rate: the sum of w²(r - rate)² by the squared sum of w."""
    squares = row.squared_success_weight * (1 - 2 * rate) + rate**2 * row.squared_weight
    return max(0.0, squares) / row.weight**2
