"""Canaries in a simulated hour or day: many side by side, a minute at a time, sessions folded as wholes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from centralcloud.contracts.canary import CanaryPlan, Stage
from centralcloud.experiments.bad_minutes import ArmMinute
from centralcloud.experiments.e_process import Sessions
from centralcloud.simulate.experiments.canary_runs import CanaryRuns
from support.session_streams import outcomes_of

_MINUTE = 60.0


@dataclass(frozen=True)
class World:
    """The world that the canaries meet. Functions take the minute.

    Attributes:
        control, treatment: success rates.
        sessions: a minute; of 4 outcomes on average.
        likeness: intraclass correlation of the outcomes of a session.
        minutes: when the simulation ends.
    """

    control: Callable[[int], float]
    treatment: Callable[[int], float]
    sessions: int = 150
    likeness: float = 0.1
    minutes: int = 400
    plan: CanaryPlan = field(default_factory=lambda: CanaryPlan(margin=0.01, win_needed=False))


@dataclass(frozen=True)
class Result:
    """How the canaries ended.

    Attributes:
        stages: of each.
        treated_at_pause: outcomes of treatment until the first pause or roll back; 0: there was none.
        bad_minutes: of each run.
    """

    stages: list[Stage]
    treated_at_pause: NDArray[np.float64]
    minutes: NDArray[np.float64]
    bad_minutes: NDArray[np.float64]

    def share(self, status: str) -> float:
        return sum(stage.status == status for stage in self.stages) / len(self.stages)


def run_canaries(world: World, *, runs: int, seed: int) -> Result:
    rng = np.random.default_rng(seed)
    canaries = CanaryRuns(world.plan, runs)
    treated_at_pause, ended = np.zeros(runs), np.full(runs, np.inf)
    for minute in range(world.minutes):
        share = np.array([world.plan.steps[each.step] if each.status == "ramping" else 0.5 for each in canaries.stages])
        sessions, first = _minute_of(world, minute, share, canaries.ramping, rng)
        flags = canaries.judge([_minutes_of_arms(sessions, run) for run in range(runs)], canaries.ramping)
        shape = (world.sessions, runs)
        canaries.fold(
            sessions,
            first,
            bad_control=np.broadcast_to(flags[:, 0], shape),
            bad_treatment=np.broadcast_to(flags[:, 1], shape),
        )
        for run, step in enumerate(canaries.advance(_MINUTE * (minute + 1))):
            if step.stopped and not treated_at_pause[run]:
                treated_at_pause[run] = step.facts.treated
            if step.ended:
                ended[run] = minute + 1
        if not canaries.open.any():
            break
    return Result(canaries.stages, treated_at_pause, ended, canaries.bad_minutes)


def _minute_of(
    world: World, minute: int, share: NDArray[np.float64], active: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Sessions, Sessions]:
    shape = (world.sessions, len(share))
    treated = rng.random(shape) < share
    rate = np.where(treated, world.treatment(minute), world.control(minute))
    counts, sums = (each * active for each in outcomes_of(rng, rate, world.likeness))
    first = (rng.random(shape) * np.maximum(counts, 1) < sums).astype(float)
    shares = np.broadcast_to(share, shape)
    found = (counts[..., None], sums[..., None], sums)
    ones = np.broadcast_to(active.astype(float), shape)
    return Sessions(treated, shares, *found), Sessions(treated, shares, ones[..., None], first[..., None], first)


def _minutes_of_arms(sessions: Sessions, run: int) -> tuple[ArmMinute, ArmMinute]:
    counts, sums, treated = sessions.counts[:, run, 0], sessions.sums[:, run, 0], sessions.treated[:, run]
    failed = (counts > 0) & (2 * (counts - sums) > counts)
    here = counts > 0
    return (
        ArmMinute(int((here & ~treated).sum()), int((failed & ~treated).sum())),
        ArmMinute(int((here & treated).sum()), int((failed & treated).sum())),
    )


def outage(of: Mapping[range, float], otherwise: float) -> Callable[[int], float]:
    """A success rate that is another one in some ranges of minutes."""
    return lambda minute: next((rate for when, rate in of.items() if minute in when), otherwise)
