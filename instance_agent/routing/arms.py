"""The arm of one request: the experiment that has it, and whether every treatment that matters could serve it. Pure."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from centralcloud.contracts.fleet_configuration import RoutingPolicy, to_nano_usd
from instance_agent.routing.constraints import Shape
from instance_agent.routing.eligible import CatalogState, Scope
from instance_agent.routing.experiments import Arm, CompiledExperiment, Treatment
from instance_agent.routing.refusals import reasons
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.restrictions import WorkspaceRules
from instance_agent.routing.routes import Route
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import NO_SPEND, budget_strikes, cost_strikes, expected_output, is_open, limits_of
from instance_agent.routing.struck import Struck
from instance_agent.routing.treatments import ModelFirst

#: A request, as far as the targets that it can use depend on it: its shape, its workspace and its agent type with their
#: restrictions and requirements; None: none.
Conditions: TypeAlias = tuple[Shape, WorkspaceRules | None, str | None]


class Placed(NamedTuple):
    """The place of a request in an experiment.

    Attributes:
        arm: None: it is in none.
        reason: why the experiment that has it leaves it out; None: it does not.
        model: of the treatment, where that is a model.
    """

    arm: Arm | None = None
    reason: str | None = None
    model: ModelFirst | None = None

    @property
    def is_compared(self) -> bool:
        """Whether its outcome counts in the experiment."""
        return self.arm is not None and self.arm.share is not None


NO_PLACE = Placed()


def placed(
    experiment: CompiledExperiment,
    arm: Arm,
    request: RoutingRequest,
    conditions: Conditions,
    route: Route | None,
    state: CatalogState,
    rules: RoutingRules,
    *,
    by_score: bool,
    why_not: Callable[[Route], str | None],
) -> Placed:
    """Return the place of a request: its arm, unless a treatment could not serve it.

    Args:
        route: that control follows.
        by_score: whether control's first model is selected by its score.
        why_not: returns why a route cannot serve the request; None: it can.
    """
    if arm.share is None and arm.treatment is None:
        return Placed(arm)
    concerned = (arm.treatment,) if arm.share is None and arm.treatment is not None else experiment.treatments
    model: ModelFirst | None = None
    for each in concerned:
        found: ModelFirst | None = None
        reason = each.problem
        if reason is not None:
            pass
        elif each.targets:
            found, reason = _model(each, request, conditions, route, state, rules)
        elif each.route is not None:
            reason = why_not(each.route)
        elif not by_score:
            reason = "its model is not selected by learned scores"
        if reason is not None:
            return Placed(
                reason=f"experiment {experiment.id}: the treatment {each.name} cannot serve this request: {reason}"
            )
        if each is arm.treatment:
            model = found
    return Placed(arm, None, model)


def _model(
    treatment: Treatment,
    request: RoutingRequest,
    conditions: Conditions,
    route: Route | None,
    state: CatalogState,
    rules: RoutingRules,
) -> tuple[ModelFirst, str | None]:
    """Return the model of a treatment, and why it cannot serve a request."""
    settings = route.settings if route is not None else None
    dear = {} if settings is None else _too_dear(treatment, request, settings, state, rules)
    if request.spend is not NO_SPEND:
        policy = route.policy if route is not None else None
        dear |= budget_strikes(treatment.targets, request.spend, rules.price_of, policy)
    shape, workspace, agent = conditions
    found = state.model_first(treatment, shape, Scope(None, workspace, agent, frozenset(dear)))
    if found.obstacle is None:
        return found, None
    return found, reasons((*dear.values(), *found.struck)) if dear else found.obstacle


def _too_dear(
    treatment: Treatment, request: RoutingRequest, settings: RoutingPolicy, state: CatalogState, rules: RoutingRules
) -> dict[str, Struck]:
    """Return the targets of a treatment's model that cost more than the policy of control allows."""
    if settings.max_cost_per_task is None:
        return {}
    targets, most_tokens, policy = treatment.targets, settings.max_tokens, settings.name
    most_nano_usd = to_nano_usd(settings.max_cost_per_task)
    limits = limits_of({each.key: most_nano_usd for each in targets}, targets, rules.price_of)
    output = expected_output(request.output_tokens, most_tokens, request.model_type)
    measured = state.health.output_tokens if is_open(request.output_tokens, most_tokens, request.model_type) else {}
    return cost_strikes(
        targets, limits, rules.price_of, request.input_tokens, output, policy, request.choices, measured
    )
