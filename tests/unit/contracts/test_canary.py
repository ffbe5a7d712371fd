"""The rule of a canary, a row for each way to go. Evidence is given as e-values, in the words of the design: 20, 60, 200."""

import math

import pytest

from centralcloud.contracts.canary import CanaryPlan, Facts, Stage, advance, start

_PLAN = CanaryPlan()
_NONE = Facts(
    outcomes=5_000,
    treated=500,
    worse=0.0,
    worse_promptly=0.0,
    slower=0.0,
    dearer=0.0,
    loss_excluded=(0.0, 0.0, 0.0, 0.0),
    within_margin=0.0,
    within_time=0.0,
    within_cost=0.0,
    wins=(0.0, 0.0, 0.0),
)


def _log(value: float) -> float:
    return math.log(value) + 1e-9


_SAFE = _NONE._replace(loss_excluded=(0.0, _log(20), _log(20), _log(20)))
_GOOD = _SAFE._replace(within_margin=_log(20), within_time=_log(20), within_cost=_log(20), wins=(_log(60), 0.0, 0.0))
_LAST = Stage("ramping", 3, since=0.0, began=0.0)


def _with(facts: Facts, name: str, evidence: float) -> Facts:
    return Facts(**{**facts._asdict(), name: evidence})


def test_it_steps_up_after_the_dwell_when_the_next_share_is_safe() -> None:
    stage = start(100.0)
    assert advance(_PLAN, stage, _SAFE, 699.0) == stage
    assert advance(_PLAN, stage, _NONE, 700.0) == stage
    assert advance(_PLAN, stage, _SAFE._replace(treated=49), 700.0) == stage
    stepped = advance(_PLAN, stage, _SAFE, 700.0)
    assert (stepped.status, stepped.step, stepped.since) == ("ramping", 1, 700.0)
    assert advance(_PLAN, stepped, _SAFE, 1299.0) == stepped, "the dwell begins anew"
    only_first = _SAFE._replace(loss_excluded=(0.0, _log(20), 0.0, _log(20)))
    assert advance(_PLAN, stepped, only_first, 2000.0) == stepped, "each step asks for its own loss"


def test_the_loss_allowed_is_the_harm_budget_over_the_next_share() -> None:
    assert [_PLAN.loss_allowed_at(step) for step in (1, 2, 3)] == pytest.approx([0.2, 0.04, 0.02])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("worse", "fewer successes"),
        ("worse_promptly", "fewer successes"),
        ("slower", "slower beyond the limit"),
        ("dearer", "dearer beyond the limit"),
        ("less_feedback", "less feedback arrives"),
    ],
)
def test_each_guard_pauses_once_and_then_rolls_back_at_odds_of_200(name: str, reason: str) -> None:
    stage = start(0.0)
    below, bad = _with(_GOOD, name, math.log(199)), _with(_GOOD, name, _log(200))
    assert advance(_PLAN, stage, below, 10.0) == stage
    paused = advance(_PLAN, stage, bad, 10.0)
    assert (paused.status, paused.reason, paused.since) == ("paused", reason, 10.0)
    assert advance(_PLAN, paused, _GOOD, 909.0) == paused
    again = advance(_PLAN, paused, _GOOD, 910.0)
    assert (again.status, again.step, again.retries, again.since) == ("ramping", 0, 1, 910.0)
    ended = advance(_PLAN, again, bad, 920.0)
    assert (ended.status, ended.reason, ended.has_ended) == ("rolled_back", reason, True)
    assert advance(_PLAN, ended, _GOOD, 1e9) == ended, "a verdict stays"


def test_a_guard_goes_before_a_promotion() -> None:
    assert advance(_PLAN, _LAST, _GOOD._replace(worse=_log(200)), 1000.0).status == "paused"


def test_it_is_promoted_when_it_is_within_all_limits_and_better_in_something() -> None:
    assert advance(_PLAN, _LAST, _GOOD, 1000.0).status == "promoted"
    for name in ("within_margin", "within_time", "within_cost"):
        assert advance(_PLAN, _LAST, _with(_GOOD, name, math.log(19)), 1000.0) == _LAST
    for wins in ((math.log(59), 0.0, 0.0), (0.0, math.log(59), 0.0)):
        assert advance(_PLAN, _LAST, _GOOD._replace(wins=wins), 1000.0) == _LAST
    assert advance(_PLAN, _LAST, _GOOD._replace(wins=(0.0, 0.0, _log(60))), 1000.0).status == "promoted"


def test_a_metric_that_is_not_compared_is_not_asked_for() -> None:
    only_success = _GOOD._replace(within_time=None, within_cost=None, wins=(_log(20),))
    assert advance(_PLAN, _LAST, only_success, 1000.0).status == "promoted"
    assert advance(_PLAN, _LAST, only_success._replace(wins=(math.log(19),)), 1000.0) == _LAST


def test_no_worse_is_enough_where_that_was_asked_for() -> None:
    facts = _GOOD._replace(wins=(0.0, 0.0, 0.0))
    assert advance(_PLAN, _LAST, facts, 1000.0) == _LAST
    assert advance(_PLAN._replace(win_needed=False), _LAST, facts, 1000.0).status == "promoted"


@pytest.mark.parametrize(("outcomes", "days"), [(200_000, 1), (5_000, 14)])
def test_at_the_horizon_it_ends_undecided(outcomes: int, days: int) -> None:
    facts = _NONE._replace(outcomes=outcomes)
    assert advance(_PLAN, _LAST, facts, days * 86_400.0).status == "undecided"
    assert advance(_PLAN, _LAST, _NONE, 13 * 86_400.0) == _LAST


def test_a_hold_is_one_more_step_that_guards_may_end_and_no_horizon() -> None:
    plan = CanaryPlan(hold_seconds=5_000.0)
    assert plan.shares == (0.01, 0.05, 0.25, 0.5, 0.95)
    held = advance(plan, _LAST, _GOOD, 1000.0)
    assert (held.status, held.step, held.since, held.reason) == ("ramping", 4, 1000.0, "better")
    late = _NONE._replace(outcomes=1e9)
    assert advance(plan, held, late, 5_999.0) == held
    final = advance(plan, held, late, 6_000.0)
    assert (final.status, final.reason) == ("promoted", "no guard was reached in the hold")
    assert advance(plan, held, _GOOD._replace(worse=_log(200)), 6_000.0).status == "paused", "a guard goes first"
    again = held._replace(retries=1)
    assert advance(plan, again, _GOOD._replace(slower=_log(200)), 1_001.0).status == "rolled_back"
