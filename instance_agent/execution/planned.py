"""The calls of a plan: its targets in their order, ready to be made."""

from typing import Literal, TypeAlias

from msgspec import Struct

from instance_agent.execution.targets import CallTarget

#: Why the first model of a plan is not called first: its provider asked for a wait, its breaker or another replica's hint
#: passes it over, or the request has no equivalent there.
Skipped: TypeAlias = Literal["waits", "unavailable", "untranslatable"]


class PlannedCall(Struct, frozen=True, kw_only=True):
    """One target of a plan.

    Attributes:
        target: ready to be called.
        reason: the plan's code for its place, such as ``learned`` or ``forced``.
        score, score_version: that the plan used; None for a target without one.
        propensity: probability with which the plan chose it first; None when it was not drawn (forced, or not the first).
    """

    target: CallTarget
    reason: str = ""
    score: float | None = None
    score_version: int | None = None
    propensity: float | None = None
