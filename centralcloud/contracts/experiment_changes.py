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
    "undecided": "undecided",
    "stopped": "stopped",
}


#: The beginning of the reason of a canary of learned scores that was overtaken: its leaders are not withdrawn.
OVERTAKEN: Final = "overtaken: "


def is_withdrawn(experiment: Experiment) -> bool:
    """Return whether a canary of learned scores has ended without them: its leaders are not proposed again for a time."""
    stage = experiment.stage
    return not experiment.is_open and stage.status != "promoted" and not stage.reason.startswith(OVERTAKEN)


def status_words(stage: ExperimentStage) -> str:
    """Return a status in the words of a sentence; of a promotion on hold as well."""
    if stage.status == "running" and stage.winner is not None:
        return "promoted, on hold"
    return STATUS_WORDS[stage.status]


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
    winner = experiment.treatments[0].name if step == len(experiment.plan.steps) else None
    share = experiment.shares[step]
    running = replace(after.stage, step=step, retries=retries, share=share, before=0.0, winner=winner)
    return replace(after, stage=running)


def stopped(experiment: Experiment, now: datetime, reason: str | None = None) -> Experiment:
    """End an experiment without a winner: every session goes to control.

    Raises:
        ExperimentStateError: it has ended already.
    """
    if not experiment.is_open:
        raise _wrong_state(experiment, "one that runs or is paused")
    return _moved(experiment, now, "stopped", _with_reason("stopped by hand", reason))


def promoted(
    experiment: Experiment,
    now: datetime,
    winner: str | None = None,
    reason: str | None = None,
    *,
    hold: bool = False,
) -> Experiment:
    """Promote a treatment whatever the evidence says: every session of the scope goes to it.

    Args:
        winner: the name of the treatment; None: the only one.
        hold: let a canary begin its hold, under the guards, as a promotion by the evidence does; else it is final at once.

    Raises:
        ExperimentStateError: the experiment has ended, has no such treatment, or has no hold that could begin.
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
    said = _with_reason("promoted by hand", reason)
    if hold:
        return _held(experiment, now, chosen, said)
    after = _moved(experiment, now, "promoted", said)
    return replace(after, stage=replace(after.stage, winner=chosen))


def check_removable(experiment: Experiment, *, is_published: bool) -> None:
    """Check that an experiment may be removed.

    Args:
        is_published: whether the scores of its table were published, where it has promoted one.

    Raises:
        ExperimentStateError: it has not ended, or has promoted a score table that would never be published.
    """
    if experiment.is_open:
        raise _wrong_state(experiment, "one that has ended: stop it first")
    if experiment.promoted_table and not is_published:
        raise ExperimentStateError(
            f"the experiment {quote(experiment.id)} has promoted a score table that is not published yet, expected that it "
            "is: the daemon (`centralcloud run`) does it within seconds, and without the experiment never"
        )


def moved(
    stage: ExperimentStage, now: datetime, status: Status, reason: str, *, by_hand: bool = False
) -> ExperimentStage:
    """Return a stage in another status, in which no session is treated unless the status is `promoted`."""
    return replace(stage, status=status, since=now, reason=reason, share=0.0, before=None, winner=None, by_hand=by_hand)


def _moved(experiment: Experiment, now: datetime, status: Status, reason: str) -> Experiment:
    return replace(experiment, stage=moved(experiment.stage, now, status, reason, by_hand=True))


def _held(experiment: Experiment, now: datetime, winner: str, reason: str) -> Experiment:
    stage, step = experiment.stage, len(experiment.plan.steps)
    if step >= len(experiment.shares):
        why = "holdSeconds of its plan is 0" if experiment.kind == "canary" else "it is an A/B test"
        raise ExperimentStateError(
            f"the experiment {quote(experiment.id)} has no hold: {why}; promote it without one, which is final at once"
        )
    if experiment.is_held:
        raise _wrong_state(experiment, "one whose hold has not begun")
    # The failures that a canary has paused itself for do not count a second time, as after `resumed`.
    pauses_itself = stage.status == "paused" and not stage.by_hand
    held = replace(
        stage,
        status="running",
        step=step,
        share=experiment.shares[step],
        before=stage.share if stage.before is None else stage.before,
        since=now,
        retries=stage.retries + pauses_itself,
        reason=reason,
        winner=winner,
        by_hand=True,
    )
    return replace(experiment, stage=held)


def _with_reason(words: str, reason: str | None) -> str:
    """Return the words for a stage, with the operator's as far as there is room: the log has all of them."""
    text = remove_steering(reason or "").strip()
    whole = f"{words}: {text}" if text else words
    return whole if len(whole) <= MAX_LABEL_LENGTH else f"{whole[: MAX_LABEL_LENGTH - 3].rstrip()}..."


def _wrong_state(experiment: Experiment, expected: str) -> ExperimentStateError:
    stage = experiment.stage
    how = " by hand" if stage.by_hand and stage.status != "running" else ""
    return ExperimentStateError(
        f"the experiment {quote(experiment.id)} is {status_words(stage)}{how} since "
        f"{stage.since:%Y-%m-%d %H:%M:%S} UTC, expected {expected}"
    )
