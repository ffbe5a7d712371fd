"""The plan for a model that the client named: its targets alone, unhealthy ones last. Pure."""

import random

from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from instance_agent.routing.constraints import firm_strike
from instance_agent.routing.eligible import CatalogState
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.refusals import forced_refusal, not_found
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import NO_SPEND, budget_strikes
from instance_agent.routing.task import resolve_task
from instance_agent.routing.treatments import NamedModel


def forced_plan(
    request: RoutingRequest,
    name: str,
    alias: str | None,
    state: CatalogState,
    health: HealthView,
    rules: RoutingRules,
    classifier: TrainedClassifier | None,
    rng: random.Random,
) -> Plan:
    """Return the plan for a model that the client named.

    Args:
        name: of the model; `alias`: the name that the client sent, when it stands for another.
        rng: draws among endpoints of the same type.

    Raises:
        PlanError: the model is not known, or cannot be used.
    """
    targets = state.configuration.targets_of(name)
    if not targets:
        raise PlanError("model_not_found", not_found(request.model, state.configuration))
    workspace = rules.workspaces.get(request.workspace) if request.workspace is not None else None
    spend = request.spend
    budget = budget_strikes(targets, spend, rules.price_of, None) if spend is not NO_SPEND else {}
    struck = tuple(
        found
        for target in targets
        if (
            found := (workspace.strike(target) if workspace is not None else None)
            or firm_strike(target, request.model_type, forced=True)
            or budget.get(target.key)
        )
        is not None
    )
    left_out = {each.key for each in struck}
    usable = [target for target in targets if target.key not in left_out]
    if not usable:
        raise forced_refusal(request.model, struck)
    task = resolve_task(request.headers, request.metadata, None, request.text, classifier)
    model = NamedModel(usable, task.level, state.snapshot, health, "forced")
    return Plan(
        task=task,
        kind="forced",
        targets=tuple(model.first(rng)),
        struck=struck,
        waived=model.waived,
        alias=alias,
        is_named=True,
        config_version=state.configuration.version,
    )
