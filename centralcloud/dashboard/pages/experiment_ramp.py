"""The ramp of an experiment: its steps, and the conditions of its next stage. Pure."""

from datetime import datetime
from typing import NamedTuple

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.statements import Facts
from centralcloud.experiments.waiting import Said, read_conditions, said_of


class Step(NamedTuple):
    """A share of the ramp. `state`: done, now or ahead; ended: the canary ended at it. `is_hold`: after the promotion."""

    share: str
    state: str
    is_hold: bool = False


class Waiting(NamedTuple):
    """The conditions of one change of the stage. `title`: "Rolled back when one of these holds"."""

    title: str
    conditions: tuple[Said, ...]


def steps_of(experiment: Experiment) -> tuple[Step, ...]:
    """Return the steps of a canary, with the hold after its promotion; none of a test with one share."""
    stage, shares = experiment.stage, experiment.shares
    if len(shares) < 2:
        return ()
    found = []
    for number, share in enumerate(shares):
        is_now = number == stage.step and stage.status == "running"
        is_done = number < stage.step or stage.status == "promoted"
        is_end = number == stage.step and not experiment.is_open
        state = "now" if is_now else "done" if is_done else "ended" if is_end else "ahead"
        found.append(Step(f"{100 * share:.3g}%", state, number == len(experiment.plan.steps)))
    return tuple(found)


def waiting_of(experiment: Experiment, facts: Facts, now: datetime) -> tuple[Waiting, ...]:
    """Return what a canary waits for; nothing of others, and of one that an operator has paused."""
    if experiment.kind != "canary":
        return ()
    found = read_conditions(experiment, {0: facts}, now)
    if not found.upward:
        return ()
    upward = Waiting(_title(experiment), tuple(said_of(experiment, each) for each in found.upward))
    again = (
        "It pauses, and begins again," if experiment.stage.retries < experiment.plan.retries else "It is rolled back"
    )
    return upward, *(
        Waiting(f"{again} when one of these is reached", tuple(said_of(experiment, each) for each in of_treatment))
        for of_treatment in found.guards
    )


def _title(experiment: Experiment) -> str:
    plan, stage = experiment.plan, experiment.stage
    if stage.status == "paused":
        return "It begins again when all of these are reached"
    if experiment.is_held:
        return "The promotion is final when all of these are reached"
    if stage.step + 1 >= len(plan.steps):
        return "It is promoted when all of these are reached"
    return f"It steps up to {100 * plan.steps[stage.step + 1]:.3g}% when all of these are reached"
