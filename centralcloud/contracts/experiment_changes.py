"""Changes of an experiment by an operator: each returns the experiment after it. Pure: the time is passed in.

A gateway and a command change experiments in the same way. An experiment that has ended stays as it is: its evidence is for
its treatments and its plan, so another attempt is another experiment.
"""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from centralcloud.contracts.errors import CentralCloudError, quote
from centralcloud.contracts.fleet_configuration.experiment import Experiment, ExperimentStage, Status
from centralcloud.contracts.fleet_configuration.values import MAX_LABEL_LENGTH
from centralcloud.contracts.text import remove_steering

#: Each status in the words of a sentence.
STATUS_WORDS: dict[Status, str] = {
    "running": "running",
    "paused": "paused",
    "promoted": "promoted",
    "rolledBack": "rolled back",
    "inconclusive": "inconclusive",
    "stopped": "stopped",
}


#: The beginning of the reason of a canary of learned scores that was overtaken: its leaders are not withdrawn.
OVERTAKEN: Final = "overtaken: "


class ExperimentStateError(CentralCloudError):
    """The experiment is in another state than the change needs. The message says which one."""


def paused(experiment: Experiment, now: datetime, reason: str | None = None) -> Experiment:
    """Pause an experiment until an operator resumes it: every new session goes to control.

    Raises:
        ExperimentStateError: it has ended, or is paused by hand already.
    """
    stage = experiment.stage
    if not experiment.is_open or (stage.status == "paused" and stage.by_hand):
        raise _wrong_state(experiment, "one that runs")
    return _moved(experiment, now, "paused", _with_reason("paused by hand", reason))


def resumed(experiment: Experiment, now: datetime, reason: str | None = None) -> Experiment:
    """Resume an experiment that is paused: at its step, or, where the canary paused itself, at once at its first step.

    The sessions that are open stay with control; new ones are treated once those from before the pause have ended.

    Raises:
        ExperimentStateError: it is not paused.
    """
    stage = experiment.stage
    if stage.status != "paused":
        raise _wrong_state(experiment, "one that is paused")
    step, retries = (stage.step, stage.retries) if stage.by_hand else (0, stage.retries + 1)
    after = _moved(experiment, now, "running", _with_reason("resumed by hand", reason))
    running = replace(after.stage, step=step, retries=retries, share=experiment.plan.steps[step], before=0.0)
    return replace(after, stage=running)


def stopped(experiment: Experiment, now: datetime, reason: str | None = None) -> Experiment:
    """End an experiment without a winner: every session goes to control.

    Raises:
        ExperimentStateError: it has ended already.
    """
    if not experiment.is_open:
        raise _wrong_state(experiment, "one that runs or is paused")
    return _moved(experiment, now, "stopped", _with_reason("stopped by hand", reason))


def promoted(experiment: Experiment, now: datetime, winner: str | None = None, reason: str | None = None) -> Experiment:
    """Promote a treatment whatever the evidence says: every session of the scope goes to it.

    Args:
        winner: the name of the treatment; None: the only one.

    Raises:
        ExperimentStateError: the experiment has ended, or has no such treatment.
    """
    if not experiment.is_open:
        raise _wrong_state(experiment, "one that runs or is paused")
    names = [each.name for each in experiment.treatments]
    if winner is None and len(names) > 1:
        raise ExperimentStateError(
            f"the experiment {quote(experiment.id)} has {len(names)} treatments, expected the name of one: "
            f"{', '.join(names)}"
        )
    chosen = names[0] if winner is None else winner
    if chosen not in names:
        raise ExperimentStateError(
            f"found no treatment {quote(chosen)} of the experiment {quote(experiment.id)}, expected one of "
            f"{', '.join(names)}"
        )
    after = _moved(experiment, now, "promoted", _with_reason("promoted by hand", reason))
    return replace(after, stage=replace(after.stage, winner=chosen))


def check_removable(experiment: Experiment) -> None:
    """Check that an experiment may be removed.

    Raises:
        ExperimentStateError: it has not ended.
    """
    if experiment.is_open:
        raise _wrong_state(experiment, "one that has ended: stop it first")


def moved(
    stage: ExperimentStage, now: datetime, status: Status, reason: str, *, by_hand: bool = False
) -> ExperimentStage:
    """Return a stage in another status, in which no session is treated unless the status is `promoted`."""
    return replace(stage, status=status, since=now, reason=reason, share=0.0, before=None, winner=None, by_hand=by_hand)


def _moved(experiment: Experiment, now: datetime, status: Status, reason: str) -> Experiment:
    return replace(experiment, stage=moved(experiment.stage, now, status, reason, by_hand=True))


def _with_reason(words: str, reason: str | None) -> str:
    """Return the words for a stage, with the operator's as far as there is room: the log has all of them."""
    text = remove_steering(reason or "").strip()
    whole = f"{words}: {text}" if text else words
    return whole if len(whole) <= MAX_LABEL_LENGTH else f"{whole[: MAX_LABEL_LENGTH - 3].rstrip()}..."


def _wrong_state(experiment: Experiment, expected: str) -> ExperimentStateError:
    stage = experiment.stage
    how = " by hand" if stage.by_hand and stage.status != "running" else ""
    return ExperimentStateError(
        f"the experiment {quote(experiment.id)} is {STATUS_WORDS[stage.status]}{how} since "
        f"{stage.since:%Y-%m-%d %H:%M:%S} UTC, expected {expected}"
    )
