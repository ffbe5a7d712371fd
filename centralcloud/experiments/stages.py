"""The stages of an experiment: the next one from the evidence. Pure.

A step has two phases. In the first one `before` is the share until then: the sessions between the two shares stay with
control. Once no session from before the step is open, `before` goes, and the new share is treated; the dwell counts from
then on. Until then the experiment does not move up.

A canary with a hold is promoted by one more step: a few sessions stay with control, under the same guards. The promotion is
final at the end of the hold: until then nothing else is changed, so that a roll back has nothing to take back.

A canary of learned scores that is undecided at its horizon is promoted, unless it has paused itself.

A pause ends when the sessions from before it are folded: the failures that it is for must not count again after it.

An A/B test has one step. Nothing promotes it, and its verdicts (`verdicts_of`) do not change its stage; the guards of a
canary hold for each of its treatments. As all treatments have one share, one that is worse pauses or ends the whole test.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec.structs import replace

from centralcloud.contracts.canary import Facts, Stage, advance
from centralcloud.contracts.canary import Status as CanaryStatus
from centralcloud.contracts.experiment_changes import moved
from centralcloud.contracts.experiment_conditions import canary_plan, canary_stage, no_facts
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentStage
from centralcloud.contracts.fleet_configuration.experiment import Status
from centralcloud.runtime.wording import percent

#: The reason of an experiment that was stopped because its sessions are not split as planned.
SAMPLE_RATIO: Final = "the split of sessions is not the planned one"

_STATUS: Final[Mapping[CanaryStatus, Status]] = {
    "ramping": "running",
    "paused": "paused",
    "promoted": "promoted",
    "rolled_back": "rolledBack",
    "undecided": "undecided",
}
#: The reason of learned scores that no guard is against: their rule believes in them, and they must not wait for ever.
UNDECIDED_LEARNED: Final = "not decided by the horizon, and no guard was reached"
#: The statuses that end a test or pause it, the gravest first.
_DOWNWARDS: Final[tuple[CanaryStatus, ...]] = ("rolled_back", "paused", "undecided")


class Differs(NamedTuple):
    """The verdict of an A/B test on a treatment.

    Attributes:
        treatment: its number, from 0.
        verdict: ``better`` or ``worse``, in success.
    """

    treatment: int
    verdict: str


def next_stage(
    experiment: Experiment, facts: Sequence[Facts], now: datetime, *, has_older_sessions: bool, alarm: bool
) -> ExperimentStage:
    """Return the next stage of an experiment, or the same one.

    An experiment that has ended, or that an operator has paused, stays.

    Args:
        facts: of each treatment; none where nothing is folded yet.
        has_older_sessions: whether a session is open that began before the stage.
        alarm: whether sessions are split otherwise than planned.
    """
    stage = experiment.stage
    if not experiment.is_open or (stage.status == "paused" and stage.by_hand):
        return stage
    if alarm and stage.status == "running":
        return moved(stage, now, "stopped", SAMPLE_RATIO)
    before = canary_stage(stage)
    found, treatment = _advanced(experiment, before, facts, now)
    if before.status == "paused" and has_older_sessions:
        return stage
    is_upward = found.status == "promoted" or (found.status == before.status and found.step > before.step)
    if found == before or (is_upward and stage.before is not None):
        is_settled = stage.status == "running" and stage.before is not None and not has_older_sessions
        return replace(stage, before=None, since=now) if is_settled else stage
    return _to_stage(experiment, found, now, treatment)


def verdicts_of(experiment: Experiment, facts: Sequence[Facts]) -> list[Differs]:
    """Return which treatments of an A/B test differ from control in success, as of now.

    Two-sided, with alpha divided by the number of treatments. The evidence that a treatment is worse begins anew after a
    pause: alpha is divided by the number of beginnings, too.
    """
    plan = experiment.plan
    if experiment.kind != "ab":
        return []
    needed = math.log(2 * len(experiment.treatments) / plan.alpha)
    found = []
    for number, each in enumerate(facts):
        if each.wins[0] >= needed:
            found.append(Differs(number, "better"))
        if each.worse >= needed + math.log(1 + plan.retries):
            found.append(Differs(number, "worse"))
    return found


def is_settling(before: ExperimentStage, after: ExperimentStage) -> bool:
    """Return whether a change is the second phase of a step: the share of before is gone, and nothing else has changed."""
    return before.before is not None and after == replace(before, before=None, since=after.since)


def change_words(before: ExperimentStage, after: ExperimentStage) -> str:
    """Return what a change of the ramp does, and why, for the log and the history of the configuration."""
    if after.status != "running":
        words = {"paused": "paused", "rolledBack": "rolled back", "promoted": f"promoted {after.winner}"}
        return f"{words.get(after.status, after.status)}: {after.reason}"
    share = percent(after.share)
    if after.winner is not None and before.winner is None:
        return f"promoted {after.winner}, on hold with {share} of the sessions: {after.reason}"
    if is_settling(before, after):
        return f"{share} of the sessions: no session from before the step is open"
    if before.status == "paused":
        return f"begins again with {share} of the sessions"
    return f"from {percent(before.share)} to {share} of the sessions: {after.reason}"


def _advanced(experiment: Experiment, before: Stage, facts: Sequence[Facts], now: datetime) -> tuple[Stage, int | None]:
    """Return the next stage of a canary; and, of a test with several treatments, the one that is the reason."""
    plan = canary_plan(experiment)
    each_found = [advance(plan, before, each, now.timestamp()) for each in facts or [no_facts(plan)]]
    if experiment.kind == "canary":
        return each_found[0], None
    for status in _DOWNWARDS:
        for number, found in enumerate(each_found):
            if found.status == status and found != before:
                return found, number if status != "undecided" and len(experiment.treatments) > 1 else None
    return (before if each_found[0].status == "promoted" else each_found[0]), None


def _to_stage(experiment: Experiment, found: Stage, now: datetime, treatment: int | None) -> ExperimentStage:
    stage, reason = experiment.stage, found.reason
    if found.status == "undecided" and experiment.learned_by is not None and not stage.retries:
        found, reason = found._replace(status="promoted"), UNDECIDED_LEARNED
    if treatment is not None:
        reason = f"{experiment.treatments[treatment].name}: {reason}"
    if found.status != "ramping":
        after = moved(stage, now, _STATUS[found.status], reason)
        return replace(after, winner=experiment.treatments[0].name) if found.status == "promoted" else after
    return replace(
        stage,
        status="running",
        step=found.step,
        share=experiment.shares[found.step],
        before=stage.share,  # 0 after a pause
        winner=experiment.treatments[0].name if found.step == len(experiment.plan.steps) else None,
        since=now,
        retries=found.retries,
        reason=reason,
        by_hand=False,
    )
