"""Which models do better than the leader of a complexity, or as well for less. Pure.

The one comparison of pages, reports and recommendations. Models are compared at tasks of one complexity alone: over all of
them, a model that gets the simple tasks seems better.
"""

import math
from collections.abc import Sequence
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeVar

#: Models with fewer outcomes are not compared: their rate is known to ten percentage points or less.
FEW_OUTCOMES: Final = 100
#: A cheaper model must save this share of the cost of a success, at least.
_LEAST_SAVING: Final = 0.1
#: Its success rate must not be lower by more than this, also at the lower end of the 95% interval of the difference.
_EQUAL_SUCCESS: Final = 0.02
_NANO: Final = 1e9


class ModelUse(Protocol):
    """The use of a model for tasks of one complexity.

    Attributes:
        cost_nano_usd: the costs that are known, in 1e-9 USD.
        priced: share of the outcomes, 0 to 1, whose cost is known; None: no outcome.
    """

    @property
    def model(self) -> str: ...
    @property
    def decisions(self) -> int: ...
    @property
    def successes(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def cost_nano_usd(self) -> int: ...
    @property
    def priced(self) -> float | None: ...


Use = TypeVar("Use", bound=ModelUse)


def outcomes_of(use: ModelUse) -> int:
    """Return the outcomes that count."""
    return use.successes + use.failures


def success_rate(use: ModelUse) -> float | None:
    """Return successes / outcomes; None without an outcome."""
    return use.successes / outcomes_of(use) if outcomes_of(use) else None


def cost_of_success(use: ModelUse) -> float | None:
    """Return the US dollars for each success, failures paid for; None where no cost is known, or nothing succeeded.

    Where the costs of a part of the outcomes are known, the others are taken to cost as much.
    """
    priced = use.priced or 0.0
    return use.cost_nano_usd / _NANO / (use.successes * priced) if use.successes and priced else None


def cost_of_task(use: ModelUse) -> float | None:
    """Return the US dollars for each outcome; None where no cost is known."""
    priced = use.priced or 0.0
    return use.cost_nano_usd / _NANO / (outcomes_of(use) * priced) if outcomes_of(use) and priced else None


def leader_of(uses: Sequence[Use]) -> Use | None:
    """Return the model that got the most tasks; None where none got any."""
    return max((each for each in uses if each.decisions), key=lambda each: (each.decisions, each.model), default=None)


class Advice(NamedTuple, Generic[Use]):
    """A model to prefer to the leader of a complexity.

    Attributes:
        kind: ``cheaper``: it succeeds as often as far as the outcomes tell, and a success costs less; ``better``: it surely
            succeeds more often, and a success does not cost more.
    """

    kind: Literal["cheaper", "better"]
    leader: Use
    other: Use


def advise(uses: Sequence[Use]) -> list[Advice[Use]]:
    """Return the models to prefer to the leader; of those that are better and not cheaper the best one.

    A model that another one beats, at the success rate or the cost of a success and not worse in the other, is left out.
    Models that do not lead are not advised against: learning gives them few tasks already.

    Args:
        uses: of the tasks of one complexity.
    """
    leader = leader_of(uses)
    if leader is None or not outcomes_of(leader):
        return []
    enough = [each for each in uses if outcomes_of(each) >= FEW_OUTCOMES]
    others = sorted(
        (each for each in enough if each.model != leader.model and not any(_beats(other, each) for other in enough)),
        key=lambda each: each.model,
    )
    cheaper = [each for each in others if _costs_less(each, leader) and _is_as_good(each, leader)]
    if cheaper:
        return [Advice("cheaper", leader, each) for each in cheaper]
    better = [each for each in others if _is_surely_better(each, leader)]
    return [Advice("better", leader, max(better, key=lambda each: (success_rate(each), each.model)))] if better else []


def _is_surely_better(one: ModelUse, other: ModelUse) -> bool:
    """Whether the whole 95% interval of a success rate lies above that of another one, for not more a success."""
    costs = cost_of_success(one), cost_of_success(other)
    low, _ = wilson_interval(one.successes, outcomes_of(one))
    _, high = wilson_interval(other.successes, outcomes_of(other))
    return low > high and (costs[0] is None or costs[1] is None or costs[0] <= costs[1])


def _costs_less(use: ModelUse, leader: ModelUse) -> bool:
    price, cost = cost_of_success(use), cost_of_success(leader)
    return price is not None and cost is not None and price <= (1 - _LEAST_SAVING) * cost


def _is_as_good(use: ModelUse, leader: ModelUse) -> bool:
    rates = (use.successes, outcomes_of(use)), (leader.successes, outcomes_of(leader))
    return difference_interval(*rates)[0] >= -_EQUAL_SUCCESS


def _beats(one: ModelUse, other: ModelUse) -> bool:
    costs, rates = (cost_of_success(one), cost_of_success(other)), (success_rate(one), success_rate(other))
    if costs[0] is None or costs[1] is None or rates[0] is None or rates[1] is None:
        return False
    return costs[0] <= costs[1] and rates[0] >= rates[1] and (costs[0] < costs[1] or rates[0] > rates[1])


def wilson_interval(successes: float, outcomes: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a success rate (Wilson 1927); 95% at `z` 1.96. (0, 1) without outcomes."""
    if outcomes <= 0:
        return 0.0, 1.0
    rate = successes / outcomes
    spread = z * z / outcomes
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / outcomes + spread / (4 * outcomes)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_interval(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the 95% interval of the difference of two rates (Newcombe 1998, from Wilson's intervals).

    Args:
        first, second: successes and outcomes, the latter above 0.
    """
    p1, p2 = first[0] / first[1], second[0] / second[1]
    low1, high1 = wilson_interval(*first)
    low2, high2 = wilson_interval(*second)
    return p1 - p2 - math.hypot(p1 - low1, high2 - p2), p1 - p2 + math.hypot(high1 - p1, p2 - low2)
