"""The traffic that a canary needs: whether it can be decided within its horizon. Pure.

It is an estimate for equal arms: sessions that are long or alike need more. A canary that is started and not decided all the
same ends at its horizon.
"""

from itertools import pairwise
from typing import Final

from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.contracts.new_experiment import Traffic
from centralcloud.runtime.wording import age

#: Outcomes at equal shares that show a difference of d where the variance of an outcome is v: this times v / d^2.
_POWER: Final = 80.0
#: The success rate where none is known, and the nearest to 0 or 1 that is believed.
_SUCCESS: Final = 0.95
_LEAST_CHANCE: Final = 0.01
_MINUTE_SECONDS: Final = 60.0


def outcomes_to_decide(plan: ExperimentPlan, success: float | None) -> float:
    """Return how many outcomes, of both arms, a canary of equal arms takes until its promotion.

    Args:
        success: the success rate of its scope, 0 to 1; None: not known.
    """
    chance = min(max(_SUCCESS if success is None else success, _LEAST_CHANCE), 1 - _LEAST_CHANCE)
    variance = chance * (1 - chance)
    losses = [plan.harm_budget / share for _, share in pairwise(plan.steps)] + [plan.margin]
    return sum(
        max(plan.least_treated / share, _POWER * variance / loss**2 / (4 * share * (1 - share)))
        for share, loss in zip(plan.steps, losses, strict=True)
    )


def too_little_traffic(plan: ExperimentPlan, traffic: Traffic | None) -> str | None:
    """Return why a canary cannot be decided within its horizon at the traffic of the last day; None: it can, or may.

    Args:
        traffic: in its scope; None: not known.
    """
    if traffic is None:
        return None
    needed = outcomes_to_decide(plan, traffic.success)
    expected = traffic.per_minute * plan.horizon_seconds / _MINUTE_SECONDS
    if expected >= needed:
        return None
    return (
        f"a canary needs about {needed:,.0f} outcomes, and {age(plan.horizon_seconds)} have {expected:,.0f} at the traffic "
        "of the last day"
    )
