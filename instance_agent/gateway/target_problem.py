"""Why a target gets no request now, in words for clients or for operators."""

from centralcloud.contracts.fleet_configuration import ModelHealth
from instance_agent.catalog.configuration import Target
from instance_agent.routing.request import HealthView


def problem_of(target: Target, view: HealthView, posted: ModelHealth | None, *, in_full: bool) -> str | None:
    """Return the problem of a target; None: it can be used.

    Args:
        view: of this replica.
        posted: the posted health of its model, while it counts.
        in_full: with names of settings and files, and addresses of providers.
    """
    problem = target.problem if in_full else target.reason or target.problem
    if problem is not None:
        return problem
    if target.model.status == "inactive":
        return "the model is inactive"
    if target.key in view.breaker_open:
        return "its circuit breaker is open"
    if posted is not None and posted.report.status == "unhealthy":
        return "the model was reported as unhealthy"
    return None
