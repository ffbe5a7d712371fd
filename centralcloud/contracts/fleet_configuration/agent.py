"""Preferences of an agent type: its models, and what they must fulfil."""

from typing import Annotated, Any

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.condition import check_labels
from centralcloud.contracts.fleet_configuration.model import check_model_names
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    check_name,
    check_size,
    convert,
    plain,
)

Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=86_400_000)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]


class QualityRequirements(Entry, frozen=True, kw_only=True):
    """Requirements that are compared with what the fleet has learned; a model without learned numbers fulfils them.

    Attributes:
        max_latency: milliseconds of a whole answer; None: any.
        min_success_rate: 0 to 1; None: any.
    """

    max_latency: Milliseconds | None = None
    min_success_rate: Rate | None = None


class PerformanceRequirements(QualityRequirements, frozen=True, kw_only=True):
    """Requirements of an agent.

    Attributes:
        max_cost_per_token: USD for a token of an answer, by the model's price; None: any.
    """

    max_cost_per_token: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class AgentPreferences(Entry, frozen=True):
    """Preferences of an agent type.

    Attributes:
        id: the agent type.
        preferred_models: tried in this order.
        fallback_models: tried after those, in this order.
        required_capabilities: of a model.
        performance_requirements: of a model.
    """

    id: Label
    preferred_models: tuple[Name, ...] = ()
    fallback_models: tuple[Name, ...] = ()
    required_capabilities: tuple[Label, ...] = ()
    performance_requirements: PerformanceRequirements = PerformanceRequirements()


def parse_agent(value: Any, field: str = "agent", *, agent_type: str | None = None) -> AgentPreferences:
    """Parse the JSON form of an agent's preferences.

    Args:
        agent_type: for JSON that does not name it.

    Raises:
        ContractError: a field is invalid, unknown or missing, or a model is listed twice.
    """
    if isinstance(value, dict):
        value = plain(value, "id")
        if agent_type is not None:
            value.setdefault("id", agent_type)
    agent = convert(value, AgentPreferences, field)
    check_name(agent.id, f"{field}.id", MAX_LABEL_LENGTH)
    check_model_names(agent.preferred_models, f"{field}.preferredModels")
    check_model_names(agent.fallback_models, f"{field}.fallbackModels")
    check_labels(agent.required_capabilities, f"{field}.requiredCapabilities")
    for position, name in enumerate(agent.fallback_models):
        if name in agent.preferred_models:
            found = f"{quote(name)}, which preferredModels has too"
            raise ContractError(f"{field}.fallbackModels[{position}]", found, "each model once")
    check_size(agent, field)
    return agent
