"""Requirements of agents and workspaces, compared with what is known of a target; what is not known is fulfilled. Pure.

Success rates are the fleet's: the mean of the estimate behind the learned score for the task's complexity. Latency is not a
part of the scores: it is what 95% of the answers took that this replica has measured. Prices are the catalog's.
"""

from typing import Final

from centralcloud.contracts.fleet_configuration import QualityRequirements
from centralcloud.contracts.fleet_configuration.agent import PerformanceRequirements
from instance_agent.catalog.configuration import Target
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.routing.request import HealthView
from instance_agent.routing.spend import PriceOf

#: Nano-USD per million tokens in a USD per token.
_NANO_PER_TOKEN: Final = 1e15


def is_empty(requirements: QualityRequirements) -> bool:
    """Whether nothing is required."""
    cost = requirements.max_cost_per_token if isinstance(requirements, PerformanceRequirements) else None
    return requirements.max_latency is None and requirements.min_success_rate is None and cost is None


def shortfall(
    requirements: QualityRequirements,
    target: Target,
    level: str,
    learned: LearnedScores,
    health: HealthView,
    price_of: PriceOf,
) -> str | None:
    """Return why a target does not fulfil requirements, with the numbers; None: it does, as far as is known."""
    most = requirements.max_latency
    taken = health.latency_ms.get(target.key)
    if most is not None and taken is not None and taken > most:
        return f"its answers take {taken:,.0f} ms here, expected at most {most:,.0f}"
    least = requirements.min_success_rate
    if least is not None and (score := learned.of(target.model.name, level)) is not None:
        mean = score.estimate.mean
        if mean is not None and mean < least:
            return f"it succeeds in {mean:.1%} of {level} tasks, expected at least {least:.1%}"
    if isinstance(requirements, PerformanceRequirements) and (dearest := requirements.max_cost_per_token) is not None:
        prices = price_of(target)
        if prices is not None and prices[1] > dearest * _NANO_PER_TOKEN:
            return f"a token of an answer costs {prices[1] / _NANO_PER_TOKEN:.3g} USD, expected at most {dearest:.3g}"
    return None
