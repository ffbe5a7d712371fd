"""From a plan of routing to the calls that execute it."""

from collections.abc import Iterator, Sequence
from typing import overload

from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTargets
from instance_agent.providers.errors import ProviderError
from instance_agent.routing.plan import Plan, PlannedTarget


class PlanCalls(Sequence[PlannedCall]):
    """The calls of a plan in its order, each made when it is first used: most requests use one.

    Targets that cannot be called at all are left out. The first call has the plan's propensity. Where its target is left
    out, no call has one: the choice was another.
    """

    def __init__(self, plan: Plan, targets: CallTargets) -> None:
        """Make the first call.

        Raises:
            ExecutionError: none of them can be called.
        """
        self._plan = plan
        self._targets = targets
        self._made: list[PlannedCall] = []
        self._next = 0
        self._error: ProviderError | None = None
        if not self._make(1):
            raise ExecutionError(
                self._error.message if self._error else "the plan has no target",
                status=503,
                attempts=0,
                retry_after_seconds=None,
                retry_is_safe=False,
                code="no_target_available",
                cause=self._error,
            )

    def __iter__(self) -> Iterator[PlannedCall]:
        """Iterate over the calls, and make those that are reached."""
        number = 0
        while self._make(number + 1):
            yield self._made[number]
            number += 1

    @overload
    def __getitem__(self, index: int) -> PlannedCall: ...

    @overload
    def __getitem__(self, index: slice) -> list[PlannedCall]: ...

    def __getitem__(self, index: int | slice) -> PlannedCall | list[PlannedCall]:
        """Return a call; raise IndexError where the plan has none."""
        if isinstance(index, slice) or index < 0:
            self._make(len(self._plan.targets))
        else:
            self._make(index + 1)
        return self._made[index]

    def __len__(self) -> int:
        """Return how many there are, which makes all of them."""
        self._make(len(self._plan.targets))
        return len(self._made)

    def _make(self, number: int) -> bool:
        """Make calls until there are `number` of them; return whether there are."""
        planned = self._plan.targets
        while len(self._made) < number and self._next < len(planned):
            position, self._next = self._next, self._next + 1
            try:
                self._made.append(self._call(planned[position], self._plan.propensity if position == 0 else None))
            except ProviderError as error:
                self._error = self._error or error
        return len(self._made) >= number

    def _call(self, planned: PlannedTarget, propensity: float | None) -> PlannedCall:
        ranked = planned.ranked
        return PlannedCall(
            target=self._targets.ready(planned.target),
            reason=planned.code,
            score=ranked.score if ranked else None,
            score_version=planned.score_version,
            propensity=propensity,
        )


def plan_calls(plan: Plan, targets: CallTargets) -> Sequence[PlannedCall]:
    """Return the calls of a plan in its order; targets that cannot be called at all are left out.

    Raises:
        ExecutionError: none of them can be called.
    """
    return PlanCalls(plan, targets)
