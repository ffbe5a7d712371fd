"""From a plan of routing to the calls that execute it."""

from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTargets
from instance_agent.providers.errors import ProviderError
from instance_agent.routing.plan import Plan


def plan_calls(plan: Plan, targets: CallTargets) -> tuple[PlannedCall, ...]:
    """Return the calls of a plan in its order; targets that cannot be called at all are left out.

    The first call has the plan's propensity. Where its target is left out, no call has one: the choice was another.

    Raises:
        ExecutionError: none of them can be called.
    """
    calls = []
    error: ProviderError | None = None
    for position, planned in enumerate(plan.targets):
        try:
            target = targets.ready(planned.target)
        except ProviderError as found:
            error = error or found
            continue
        ranked = planned.ranked
        calls.append(
            PlannedCall(
                target=target,
                reason=planned.code,
                score=ranked.score if ranked else None,
                score_version=planned.score_version,
                propensity=plan.propensity if position == 0 else None,
            )
        )
    if not calls:
        raise ExecutionError(
            error.message if error else "the plan has no target",
            status=503,
            attempts=0,
            retry_after_seconds=None,
            retry_is_safe=False,
            code="no_target_available",
            cause=error,
        )
    return tuple(calls)
