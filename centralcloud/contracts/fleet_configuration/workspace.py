"""The configuration of a workspace: a tenant, with the models it may use, its budgets and its requirements."""

from typing import Any, Final

from msgspec.structs import asdict

from centralcloud.contracts.fleet_configuration.agent import QualityRequirements
from centralcloud.contracts.fleet_configuration.budget import (
    Budget,
    LimitBehaviour,
    Period,
    budget_id,
    check_limit_behaviour,
)
from centralcloud.contracts.fleet_configuration.condition import check_labels
from centralcloud.contracts.fleet_configuration.model import check_model_names
from centralcloud.contracts.fleet_configuration.money import Amount
from centralcloud.contracts.fleet_configuration.policy import PolicyName, Seconds
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

_PERIODS: Final[tuple[Period, ...]] = ("daily", "weekly", "monthly", "task")


class BudgetLimits(Entry, frozen=True):
    """Limits in USD; None: no limit. A limit of ``task`` is for each request."""

    daily: Amount | None = None
    weekly: Amount | None = None
    monthly: Amount | None = None
    task: Amount | None = None


class Workspace(LimitBehaviour, frozen=True, kw_only=True):
    """A workspace.

    Attributes:
        id: its name in keys and requests.
        model_restrictions: the only models that it may use, by the names that a client could send; empty: all. No fallback
            crosses it.
        denied_models: models that it may not use.
        budget_limits: each is a budget, with the behaviour at a limit that the workspace sets.
        quality_requirements: of a model.
        compliance_requirements: tags that a model must have, each of them.
        policy: of its requests, where no rule, agent or task type says another one; None: none.
        cache_seconds: how long the answer to the same request is kept; 0: not at all; None: as the gateway is set.
    """

    id: Label
    model_restrictions: tuple[Name, ...] = ()
    denied_models: tuple[Name, ...] = ()
    budget_limits: BudgetLimits = BudgetLimits()
    quality_requirements: QualityRequirements = QualityRequirements()
    compliance_requirements: tuple[Label, ...] = ()
    policy: PolicyName | None = None
    cache_seconds: Seconds | None = None

    def budgets(self) -> tuple[Budget, ...]:
        """Return its limits as budgets."""
        behaviour = {name: getattr(self, name) for name in LimitBehaviour.__struct_fields__}
        limits = asdict(self.budget_limits)
        return tuple(
            Budget(
                id=budget_id("workspace", self.id, period),
                scope="workspace",
                of=self.id,
                period=period,
                limit=limit,
                **behaviour,
            )
            for period in _PERIODS
            if (limit := limits[period]) is not None
        )


def parse_workspace(value: Any, field: str = "workspace", *, workspace: str | None = None) -> Workspace:
    """Parse the JSON form of a workspace.

    Args:
        workspace: its id, for JSON that does not name it.

    Raises:
        ContractError: a field is invalid, unknown or missing.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "policy")
        if workspace is not None:
            value.setdefault("id", workspace)
    found = convert(value, Workspace, field)
    check_name(found.id, f"{field}.id", MAX_LABEL_LENGTH)
    check_model_names(found.model_restrictions, f"{field}.modelRestrictions")
    check_model_names(found.denied_models, f"{field}.deniedModels")
    check_labels(found.compliance_requirements, f"{field}.complianceRequirements")
    check_limit_behaviour(found, field)
    check_size(found, field)
    return found
