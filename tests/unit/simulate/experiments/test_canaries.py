"""Canaries in a simulated fleet: they end as the arms deserve, and each rule about time holds."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.simulate.experiments.canaries import CanaryResult, _Simulation, simulate_canaries
from centralcloud.simulate.experiments.scenario import Arm, Experiment, Folding, Outage, Traffic
from centralcloud.simulate.experiments.sessions import Splits

_CONTROL = Arm(success=(0.95,))
_PLAN = CanaryPlan(margin=0.05, harm_budget=0.03, win_needed=False)
_IDLE = 300.0
_OUTAGE = range(15, 20)


def _experiment(treatment: Arm, plan: CanaryPlan = _PLAN, **changes: object) -> Experiment:
    experiment = Experiment(
        names=("treatment",),
        arms=(_CONTROL, treatment),
        traffic=Traffic(sessions_per_minute=100.0, request_gap=15.0),
        plan=plan,
        folding=Folding(idle=_IDLE, wait=60.0),
        length=300 * 60.0,
    )
    return replace(experiment, **changes)  # type: ignore[arg-type]


@functools.cache
def _equal() -> list[CanaryResult]:
    return simulate_canaries(_experiment(_CONTROL), range(2))


def test_an_equal_arm_is_promoted() -> None:
    assert [each.status for each in _equal()] == ["promoted"] * 2
    assert all(each.lost == 0.0 and each.served_at_stop is None for each in _equal())


def test_each_step_waits_for_the_sessions_from_before_it_and_dwells_then() -> None:
    """Without the first phase of a step a promotion may come after four dwells; its sessions alone take longer."""
    shortest = len(_PLAN.steps) * _PLAN.dwell_seconds + (len(_PLAN.steps) - 1) * _IDLE
    assert all(each.seconds > shortest for each in _equal())


def test_without_a_dwell_a_step_waits_for_the_sessions_from_before_it_too() -> None:
    plan = CanaryPlan(steps=(0.2, 0.5), dwell_seconds=0.0, margin=0.1, harm_budget=0.1, win_needed=False)
    idle = 3600.0
    traffic = Traffic(sessions_per_minute=40.0, request_gap=15.0)
    folding = Folding(idle=idle, wait=60.0)
    results = simulate_canaries(_experiment(_CONTROL, plan, folding=folding, traffic=traffic), range(2))
    assert [each.status for each in results] == ["promoted"] * 2
    assert all(each.seconds > 2 * idle for each in results)


def test_a_dead_arm_is_rolled_back_after_few_requests() -> None:
    results = simulate_canaries(_experiment(replace(_CONTROL, success=(0.0,))), range(12))
    assert {(each.status, each.reason, each.retries) for each in results} == {("rolled_back", "fewer successes", 1)}
    assert np.median([each.served_at_stop for each in results]) <= 20
    assert all(each.lost == pytest.approx(0.95 * each.served) for each in results)
    assert max(each.served for each in results) < 100


def test_an_outage_of_treatment_costs_a_retry_and_no_more() -> None:
    """Its failures are known when the pause is over: they would stop the canary a second time, for good."""
    outage = Outage(arms=frozenset({1}), from_minute=_OUTAGE.start, until_minute=_OUTAGE.stop, success=0.0)
    plan = _PLAN._replace(steps=(0.25, 0.5), retry_pause_seconds=60.0)
    results = simulate_canaries(_experiment(_CONTROL, plan, outages=(outage,)), range(2))
    assert [(each.status, each.retries) for each in results] == [("promoted", 1)] * 2
    assert all(each.bad_minutes in (1, 2) for each in results), "then it had no traffic any more"
    assert all(each.seconds < 80 * 60 for each in results), "the minute is left out of the evidence for a promotion"


def test_requests_of_a_session_that_lost_its_treatment_are_not_folded() -> None:
    simulation = _Simulation(_experiment(_CONTROL), (1,))
    splits = Splits(1, np.array([0.5]), np.array([0.5]))
    batch = simulation._source.draw(0.0, 60.0, np.array([0]), splits, np.array([0]))
    simulation._stopped[0, 0] = 45.0
    treated = batch.arm[batch.owner] == 1
    counted = simulation._counted(batch)
    assert counted[~treated].all()
    assert (counted[treated] == (batch.at[treated] < 45.0)).all()


@pytest.mark.parametrize(
    "treatment",
    [Arm(success=(0.6,), failure_delay=1e6), Arm(success=(0.6,), failure_lost=1.0)],
    ids=["late", "lost"],
)
def test_failures_that_are_not_reported_in_time_count_as_failures(treatment: Arm) -> None:
    """Left out, they would make the arm look perfect: it would be promoted."""
    results = simulate_canaries(_experiment(treatment), range(2))
    assert {each.status for each in results} == {"rolled_back"}


def test_successes_that_are_lost_stop_a_canary_too() -> None:
    results = simulate_canaries(_experiment(replace(_CONTROL, success_lost=0.4)), range(2))
    assert {each.status for each in results} == {"rolled_back"}


@pytest.mark.parametrize(
    ("slower", "reason"),
    [
        (Arm(success=(0.95,), latency_ms=(6000.0,), cost_usd=(0.001,)), "slower beyond the limit"),
        (Arm(success=(0.95,), latency_ms=(1500.0,), cost_usd=(0.003,)), "dearer beyond the limit"),
    ],
)
def test_an_arm_beyond_the_limits_is_rolled_back(slower: Arm, reason: str) -> None:
    control = Arm(success=(0.95,), latency_ms=(1500.0,), cost_usd=(0.001,))
    results = simulate_canaries(_experiment(slower, arms=(control, slower)), range(1))
    assert {(each.status, each.reason) for each in results} == {("rolled_back", reason)}


def test_the_same_seeds_give_the_same_canaries() -> None:
    dead = _experiment(replace(_CONTROL, success=(0.0,)), _PLAN._replace(retries=0))
    assert simulate_canaries(dead, (1, 2)) == simulate_canaries(dead, (1, 2))
    assert simulate_canaries(dead, (1, 2)) != simulate_canaries(dead, (3, 4))
