"""Canaries in a simulated hour or day: many side by side, a minute at a time, sessions folded as wholes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from centralcloud.experiments.bad_minutes import ArmMinute, BadMinutes, judge
from centralcloud.experiments.canary import CanaryPlan, Stage, advance, start
from centralcloud.experiments.canary_evidence import CanaryEvidence
from centralcloud.experiments.e_process import Sessions
from support.session_streams import outcomes_of

_MINUTE = 60.0
_WINDOW_MINUTES = 10


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
    plan = world.plan
    evidence = CanaryEvidence(plan, runs=runs, strata=1)
    stages = [start(0.0) for _ in range(runs)]
    usual = [BadMinutes()] * runs
    treated_at_pause, ended, bad = np.zeros(runs), np.full(runs, np.inf), np.zeros(runs)
    for minute in range(world.minutes):
        now = _MINUTE * (minute + 1)
        share = np.array([plan.steps[stage.step] if stage.status == "ramping" else 0.5 for stage in stages])
        active = np.array([stage.status == "ramping" for stage in stages])
        sessions, first = _minute_of(world, minute, share, active, rng)
        judgements = []
        for run in range(runs):
            control, treatment = _minutes_of_arms(sessions, run)
            found, usual[run] = judge(usual[run], control, treatment) if active[run] else ((False, False), usual[run])
            judgements.append(tuple(found))
        flags = np.array(judgements)
        bad += flags.any(axis=1)
        shape = (world.sessions, runs)
        evidence.fold(
            sessions,
            first,
            bad_control=np.broadcast_to(flags[:, 0], shape),
            bad_treatment=np.broadcast_to(flags[:, 1], shape),
        )
        for run, facts in enumerate(evidence.facts()):
            before = stages[run]
            after = stages[run] = advance(plan, before, facts, now)
            if before.status == "ramping" and after.status in ("paused", "rolled_back") and not treated_at_pause[run]:
                treated_at_pause[run] = facts.treated
            if after.retries > before.retries:
                evidence.begin_again(run)
            elif after.step > before.step:
                evidence.begin_step(run, after.step)
            if after.has_ended and not before.has_ended:
                ended[run] = minute + 1
        if (minute + 1) % _WINDOW_MINUTES == 0:
            evidence.close_window()
        if all(stage.has_ended for stage in stages):
            break
    return Result(stages, treated_at_pause, ended, bad)


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
