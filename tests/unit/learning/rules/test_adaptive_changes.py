"""The adaptive rule on changes: what begins a new window, what is remembered of the old one, and what is not a change."""

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from support.adaptive_by_hand import Slice, best_split, evidence_of, of
from support.adaptive_runs import NO_COSTS, A, B, evaluate, run_by_run, scores

from centralcloud.learning.rule import RuleState


def test_a_fall_begins_a_new_window_and_is_remembered() -> None:
    slices: list[Slice] = [{A: of(50, 45), B: of(10, 8)}] * 20 + [{A: of(50, 25), B: of(10, 8)}] * 2
    runs = run_by_run(slices)
    assert not any(result.alarms for result in runs[:20])
    noticed = next(result for result in runs if result.alarms)
    (alarm,) = noticed.alarms
    expected = best_split(slices[: runs.index(noticed) + 1], A)
    assert expected is not None
    assert (alarm.model, alarm.complexity, alarm.whole_model) == (*A, False)
    assert (alarm.before, alarm.after, alarm.after_slice) == (0.9, 0.5, 20)
    assert (alarm.statistic, alarm.threshold) == pytest.approx((expected.statistic, expected.threshold), abs=0.01)
    assert alarm.at == evidence_of(slices).opened_at[20]
    state, score = noticed.states[A], scores(noticed)[A]
    assert (state.evidence_from, state.payload["fallen_from"]) == (20, 0.9)
    outcomes = 50 * (runs.index(noticed) - 19)
    assert (score.samples, score.after_slice, score.kind) == (outcomes, 20, "alarm")
    prior = noticed.states[A].payload["parts"][4]
    assert score.estimate.mean == pytest.approx((outcomes / 2 + 2 * prior) / (outcomes + 2), abs=1e-6)
    compared = f"G is {expected.statistic:.0f}, above the threshold {expected.threshold:.0f}"
    assert f"; the mean changed then from 0.90 to 0.50 ({compared})" in score.reason
    assert not runs[-1].alarms or noticed is runs[-1], "it is noticed once"
    assert scores(runs[-1])[A].samples == 100


def test_a_rise_begins_a_new_window_and_is_forgiven() -> None:
    slices: list[Slice] = [{A: of(50, 45)}] * 20 + [{A: of(50, 20)}] * 20 + [{A: of(50, 45)}] * 20
    runs = run_by_run(slices)
    alarms = [alarm for result in runs for alarm in result.alarms]
    assert [(alarm.before, alarm.after_slice) for alarm in alarms] == [(0.9, 20), (0.4, 40)]
    assert runs[39].states[A].payload["fallen_from"] == 0.9
    assert "fallen_from" not in runs[-1].states[A].payload
    assert scores(runs[-1])[A].samples == 1000


def test_the_highest_level_is_remembered_of_two_falls() -> None:
    slices: list[Slice] = [{A: of(50, 45)}] * 20 + [{A: of(50, 25)}] * 20 + [{A: of(50, 5)}] * 5
    runs = run_by_run(slices)
    assert runs[-1].states[A].evidence_from == 40
    assert runs[-1].states[A].payload["fallen_from"] == 0.9


def test_an_alarm_is_taken_back_when_the_instance_behind_it_is_quarantined() -> None:
    """False reports are in two slices before the liar is excluded; then the result is as if it had never reported."""
    honest: list[Slice] = [{A: of(50, 45)}] * 25
    with_lies: list[Slice] = [*honest[:20], {A: of(90, 45)}, {A: of(90, 45)}]
    fooled = run_by_run(with_lies)[-1]
    assert fooled.states[A].evidence_from == 20
    evidence = evidence_of(honest[:23], excluded=["liar"])
    result = NO_COSTS.evaluate(evidence, fooled.states)
    (score,) = result.scores
    assert (score.samples, score.success_rate, score.after_slice) == (23 * 50, 0.9, 0)
    assert "alarm" not in result.states[A].payload
    assert "fallen_from" not in result.states[A].payload


def test_an_alarm_that_the_others_show_as_well_stays_after_a_quarantine() -> None:
    fell: list[Slice] = [{A: of(50, 45)}] * 20 + [{A: of(50, 20)}] * 3
    states = run_by_run(fell)[-1].states
    result = NO_COSTS.evaluate(evidence_of([{A: of(40, 36)}] * 20 + [{A: of(40, 16)}] * 3, excluded=["liar"]), states)
    assert (result.states[A].evidence_from, result.states[A].payload["fallen_from"]) == (20, 0.9)


def test_the_state_of_a_model_that_keeps_changing_stays_small() -> None:
    waves: list[Slice] = [{A: of(50, 45 if number // 8 % 2 else 10)} for number in range(400)]
    runs = run_by_run(waves)
    assert sum(bool(result.alarms) for result in runs) > 45
    assert max(len(json.dumps(result.states[A].payload)) for result in runs) < 3000


def test_after_a_change_a_prediction_is_worth_two_outcomes() -> None:
    others: Slice = {(f"m{n}", "simple"): of(20, 18) for n in range(9)}
    runs = run_by_run([{A: of(50, 45), **others}] * 20 + [{A: of(50, 10), **others}] * 2)
    assert runs[10].states[A].payload["parts"][5] > 4
    assert runs[-1].states[A].payload["parts"][5] == 2


def test_a_named_prior_replaces_the_prediction_until_the_next_change() -> None:
    slices: list[Slice] = [{A: of(50, 45), B: of(10, 8)}] * 20
    state = {A: RuleState(payload={"prior": [0.2, 3.0]})}
    told = evaluate(slices, state)
    assert scores(told)[A].estimate.mean == pytest.approx((900 + 0.6) / 1003, abs=1e-6)
    assert told.states[A].payload["prior"] == [0.2, 3.0]
    fell = evaluate([*slices, *[{A: of(50, 10), B: of(10, 8)}] * 2], told.states)
    assert fell.alarms
    assert "prior" not in fell.states[A].payload


@pytest.mark.parametrize("seed", range(3))
def test_a_model_whose_rewards_scatter_more_raises_no_false_alarms(seed: int) -> None:
    """The rewards of five models hardly scatter, those of the sixth nearly as much as successes and failures."""
    rng = np.random.default_rng(seed)
    narrow, wide = [(f"m{number}", "simple") for number in range(5)], ("wide", "simple")
    slices: list[Slice] = []
    for _ in range(60):
        drawn = {pair: rng.beta(200, 200, 40) for pair in narrow} | {wide: rng.beta(0.25, 0.25, 40)}
        slices.append({pair: of(40, rewards.sum(), (rewards**2).sum()) for pair, rewards in drawn.items()})
    assert not [alarm for result in run_by_run(slices) for alarm in result.alarms]


def test_a_manual_score_begins_a_new_window() -> None:
    slices: list[Slice] = [{A: of(50, 45)}] * 20 + [{A: of(50, 20)}] * 3
    state = run_by_run(slices)[-1].states[A]
    again = NO_COSTS.reset(state, Decimal("4.500"), 23)
    assert again == RuleState(evidence_from=23)
    later = scores(evaluate([*slices, {A: of(50, 45)}], {A: replace(again, payload={"prior": [0.5, 2.0]})}))[A]
    assert (later.samples, later.score, later.kind) == (50, Decimal("4.423"), "steady")
