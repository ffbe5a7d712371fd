"""The ramp of an experiment: its steps, and the evidence that the next stage waits for. Pure."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.sentences import odds
from centralcloud.experiments.statements import Facts
from centralcloud.runtime.wording import age, counted

#: Evidence of this is as good as none, for a share of what is needed.
_NO_EVIDENCE: Final = 0.0


class Step(NamedTuple):
    """A share of the ramp. `state`: done, now or ahead; ended: the canary ended at it."""

    share: str
    state: str


class Condition(NamedTuple):
    """A condition of the next stage.

    Attributes:
        now, needed: in words.
        reached: how much of it is reached, 0 to 1, for its meter; of evidence the logs.
    """

    name: str
    now: str
    needed: str
    is_met: bool
    reached: float


class Waiting(NamedTuple):
    """The conditions of one change of the stage. `title`: "Rolled back when one of these holds"."""

    title: str
    conditions: tuple[Condition, ...]


def steps_of(experiment: Experiment) -> tuple[Step, ...]:
    """Return the steps of a canary; none of a test with one step."""
    stage, steps = experiment.stage, experiment.plan.steps
    if len(steps) < 2:
        return ()
    found = []
    for number, share in enumerate(steps):
        is_now = number == stage.step and stage.status == "running"
        is_done = number < stage.step or stage.status == "promoted"
        is_end = number == stage.step and not experiment.is_open
        state = "now" if is_now else "done" if is_done else "ended" if is_end else "ahead"
        found.append(Step(f"{100 * share:.3g}%", state))
    return tuple(found)


def waiting_of(experiment: Experiment, facts: Facts, now: datetime) -> tuple[Waiting, ...]:
    """Return what a canary that runs waits for; nothing of others, and while nothing is folded."""
    comparison = facts.get(COMPARISON)
    evidence = comparison.get("evidence") if comparison else None
    if experiment.kind != "canary" or experiment.stage.status != "running" or not isinstance(evidence, Mapping):
        return ()
    plan, stage = experiment.plan, experiment.stage
    guard = plan.rollback_alpha
    again = "It pauses, and begins again," if stage.retries < plan.retries else "It is rolled back"
    guards = Waiting(
        f"{again} when one of these is reached",
        (
            _condition("Fewer successes", max(_log(evidence, "worse"), _log(evidence, "worse_promptly")), guard),
            _condition(f"Slower by more than {100 * plan.ratio_limit:.3g}%", _log(evidence, "slower"), guard),
            _condition(f"Dearer by more than {100 * plan.ratio_limit:.3g}%", _log(evidence, "dearer"), guard),
        ),
    )
    is_last = stage.step + 1 >= len(plan.steps)
    title = (
        "It is promoted when all of these are reached"
        if is_last
        else (f"It steps up to {100 * plan.steps[stage.step + 1]:.3g}% when all of these are reached")
    )
    upward = list(_time_and_outcomes(experiment, evidence, now))
    if stage.before is not None:
        upward.insert(0, Condition("Sessions from before the step have ended", "not yet", "all", False, 0.0))
    upward += _promotion(experiment, evidence) if is_last else _next_step(experiment, evidence)
    return Waiting(title, tuple(upward)), guards


def _time_and_outcomes(experiment: Experiment, evidence: Mapping[str, Any], now: datetime) -> Iterator[Condition]:
    plan, stage = experiment.plan, experiment.stage
    seconds = max(0.0, (now - stage.since) / timedelta(seconds=1))
    if plan.dwell_seconds:
        is_met = seconds >= plan.dwell_seconds
        # In words that do not change each second: a page is sent again when its words do.
        waited = age(plan.dwell_seconds) if is_met else age(10 * (seconds // 10))
        yield Condition(
            "Time on this step", waited, age(plan.dwell_seconds), is_met, min(1, seconds / plan.dwell_seconds)
        )
    treated = int(evidence.get("treated") or 0)
    yield Condition(
        "Outcomes of the treatment",
        f"{treated:,}",
        f"{plan.least_treated:,}",
        treated >= plan.least_treated,
        min(1.0, treated / plan.least_treated),
    )


def _next_step(experiment: Experiment, evidence: Mapping[str, Any]) -> Iterator[Condition]:
    plan, step = experiment.plan, experiment.stage.step + 1
    excluded = evidence.get("loss_excluded")
    value = excluded[step] if isinstance(excluded, list) and step < len(excluded) else None
    loss = 100 * plan.harm_budget / plan.steps[step]
    yield _condition(f"Loses less than {_points(loss)} of success", _number(value), plan.alpha)


def _promotion(experiment: Experiment, evidence: Mapping[str, Any]) -> Iterator[Condition]:
    plan = experiment.plan
    yield _condition(
        f"Loses less than {_points(100 * plan.margin)} of success", _log(evidence, "within_margin"), plan.alpha
    )
    limit = f"{100 * plan.ratio_limit:.3g}%"
    if evidence.get("within_time") is not None:
        yield _condition(f"At most {limit} slower", _log(evidence, "within_time"), plan.alpha)
    if evidence.get("within_cost") is not None:
        yield _condition(f"At most {limit} dearer", _log(evidence, "within_cost"), plan.alpha)
    wins = evidence.get("wins")
    if plan.require_better and isinstance(wins, list) and wins:
        best = max(_number(each) for each in wins)
        yield _condition("Better in success, time or cost", best, plan.alpha / len(wins))


def _condition(name: str, log_value: float, alpha: float) -> Condition:
    needed = math.log(1 / alpha)
    reached = min(1.0, max(_NO_EVIDENCE, log_value) / needed) if needed > 0 else 1.0
    return Condition(name, odds(log_value), f"1:{1 / alpha:,.0f}", log_value >= needed, reached)


def _log(evidence: Mapping[str, Any], name: str) -> float:
    return _number(evidence.get(name))


def _number(value: object) -> float:
    """Return the log of an e-value; evidence that is not compared is stored as null."""
    return float(value) if isinstance(value, int | float) else _NO_EVIDENCE


def _points(points: float) -> str:
    text = f"{points:.3g}"
    return counted(1, "point") if text == "1" else f"{text} points"
