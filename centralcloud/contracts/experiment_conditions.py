"""What an experiment waits for: the conditions of its next stage, from the code that decides it. Pure.

The daemon decides by them, and commands, pages and gateways show them.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from centralcloud.contracts.canary import CanaryPlan, Condition, Facts, Stage, Status, guards, upward
from centralcloud.contracts.fleet_configuration.experiment import Experiment, ExperimentStage, Treatment

#: An e-value beyond has no meaning for a reader, and JSON no room.
_LARGEST_LOG = 700.0


class Conditions(NamedTuple):
    """The conditions of the changes of a stage.

    Attributes:
        upward: all must be met for the next step, the promotion, or the end of a pause; none: the daemon does not bring it
            further.
        guards: of each treatment; one is enough for a pause or a roll back.
    """

    upward: tuple[Condition, ...] = ()
    guards: tuple[tuple[Condition, ...], ...] = ()

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """The conditions that it waits for."""
        return tuple(each for each in self.upward if not each.is_met)


def conditions_of(
    experiment: Experiment, evidence: Mapping[int, Mapping[str, Any] | None], now: datetime
) -> Conditions:
    """Return what an experiment waits for.

    Args:
        evidence: by treatment, as the results of an experiment have it (`evidence`); none where nothing is folded.
    """
    stage = experiment.stage
    if not experiment.is_open or (stage.status == "paused" and stage.by_hand):
        return Conditions()
    plan, begun = canary_plan(experiment), canary_stage(stage)
    each_facts = [facts_of(plan, evidence.get(number)) for number in range(len(experiment.treatments))]
    found = (
        ()
        if experiment.kind == "ab" and stage.status == "running"
        else upward(plan, begun, each_facts[0], now.timestamp())
    )
    if stage.status == "paused":
        return Conditions((*found, _settled()))
    if stage.before is not None:
        # The time of a step counts once its sessions are treated.
        found = (_settled(), *(each._replace(now=0.0) if each.unit == "seconds" else each for each in found))
    return Conditions(found, tuple(guards(plan, each) for each in each_facts))


def canary_plan(experiment: Experiment) -> CanaryPlan:
    """Return the plan of an experiment as that of a canary. Nothing promotes an A/B test, so that it has no hold."""
    plan = experiment.plan
    return CanaryPlan(
        steps=plan.steps,
        dwell_seconds=plan.dwell_seconds,
        margin=plan.margin,
        harm_budget=plan.harm_budget,
        ratio_limit=plan.ratio_limit,
        alpha=plan.alpha,
        rollback_alpha=plan.rollback_alpha,
        win_needed=plan.require_better,
        least_treated=plan.least_treated,
        retries=plan.retries,
        retry_pause_seconds=plan.retry_pause_seconds,
        horizon_seconds=plan.horizon_seconds,
        horizon_outcomes=plan.horizon_outcomes,
        hold_seconds=plan.hold_seconds if experiment.kind == "canary" else 0.0,
    )


def canary_stage(stage: ExperimentStage) -> Stage:
    """Return the stage of an experiment that is open as that of a canary."""
    status: Status = "paused" if stage.status == "paused" else "ramping"
    return Stage(status, stage.step, stage.since.timestamp(), stage.began.timestamp(), stage.retries, stage.reason)


def no_facts(plan: CanaryPlan) -> Facts:
    """Return the facts of a canary of which nothing is folded."""
    return Facts(0, 0, 0, 0, 0, 0, (0.0,) * len(plan.steps), 0, None, None, (0.0,))


def facts_of(plan: CanaryPlan, evidence: Mapping[str, Any] | None) -> Facts:
    """Return the facts in the results of an experiment: null is minus infinity there, and of a limit "not compared"."""
    without = no_facts(plan)._asdict()
    known = {} if evidence is None else evidence
    return Facts(**{name: _number(known[name], none) if name in known else none for name, none in without.items()})


def conditions_in_json(conditions: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """Return conditions for programs, with evidence as e-values."""
    return [
        {
            "condition": each.name,
            "unit": each.unit,
            "now": _shown(each, each.now),
            "needed": _shown(each, each.needed),
            "is_met": each.is_met,
        }
        for each in conditions
    ]


def waiting_in_json(found: Conditions, treatments: Iterable[Treatment]) -> dict[str, Any]:
    """Return what an experiment waits for, for programs: `waits_for`, and `guards` of each treatment."""
    names = [each.name for each in treatments]
    return {
        "waits_for": conditions_in_json(found.upward),
        "guards": [
            {"treatment": names[number], "conditions": conditions_in_json(each)}
            for number, each in enumerate(found.guards)
        ],
    }


def _settled() -> Condition:
    """Return the condition that the sessions from before a step or a pause have ended, while it is not known to be met."""
    return Condition("settled", "sessions", 0, 1)


def _shown(condition: Condition, value: float) -> float:
    found = math.exp(min(value, _LARGEST_LOG)) if condition.unit == "evidence" else value
    return round(found, 3)


def _number(value: Any, none: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_number(each, 0.0) for each in value)
    if isinstance(value, int | float):
        return float(value)
    return None if none is None else -math.inf
