"""The adaptive rule: every number equals a manual calculation, and equal evidence gives equal scores."""

import copy
import json
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import (
    OPENED,
    Slice,
    best_split,
    decayed_mean,
    dispersion,
    evidence_of,
    of,
    rise_log_ratio,
    total,
)

from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes
from centralcloud.learning.rule import RuleResult, RuleState, Score, as_score, wilson_interval
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings
from centralcloud.learning.rules.confidence_sequence import anytime_interval
from centralcloud.learning.rules.shrinkage import predict_pairs, prior_worth

A, B, C = (("a", "simple"), ("b", "simple"), ("c", "simple"))
NO_COSTS = AdaptiveRule(AdaptiveSettings(latency_weight=0))
HARD = ("a", "complex")
#: States with the prior that every pair had before there were predictions: the numbers of a manual calculation are round.
HALF: dict[Pair, RuleState] = {pair: RuleState(payload={"prior": [0.5, 2.0]}) for pair in (A, B, C, HARD)}


def evaluate(
    slices: list[Slice], state: dict[Pair, RuleState] | None = None, rule: AdaptiveRule = NO_COSTS
) -> RuleResult:
    return rule.evaluate(evidence_of(slices), state or {})


def scores(result: RuleResult) -> dict[Pair, Score]:
    return {score.pair: score for score in result.scores}


def run_by_run(slices: list[Slice], rule: AdaptiveRule = NO_COSTS) -> list[RuleResult]:
    """Evaluate after every slice, each time on the state of the previous run, as the learner does."""
    evidence, results, state = evidence_of([]), [], {}
    for number, of_slice in enumerate(slices):
        evidence.append(number + 1, evidence_of([{}] * (number + 1)).opened_at[-1], of_slice)
        results.append(rule.evaluate(evidence, state))
        state = results[-1].states
    return results


def test_the_score_is_five_times_the_estimated_success_rate() -> None:
    score = scores(evaluate([{A: of(200, 178), B: of(30, 3)}] * 2, HALF))[A]
    mean = (356 + 1) / (400 + 2)
    assert score.estimate.mean == pytest.approx(mean, abs=1e-6)
    assert score.score == Decimal("4.440")
    assert (score.estimate.n_eff, score.samples, score.success_rate) == (402, 400, 0.89)
    assert score.estimate.draw_n == pytest.approx(402 * (1 + 2 * 402 / 452), abs=1e-3)
    ends = [float(end[0]) for end in anytime_interval(*(np.array([float(each)]) for each in (400, 356, 356)))]
    assert score.estimate.interval == pytest.approx(ends, abs=1e-6), "it is about the outcomes alone"
    low, high = wilson_interval(357, 402)
    assert score.confidence == pytest.approx(1 - (high - low), abs=1e-4)
    assert (score.after_slice, score.through_slice, score.window_start) == (0, 2, OPENED)
    assert score.reason == (
        "4.440 = 5 x (mean 0.888 of 400 outcomes since 2026-11-20 09:00 UTC, prior 0.50 worth 2 outcomes, from its former"
        " version), interval {:.3f} to {:.3f}".format(*score.estimate.interval)
    )


def test_a_pair_without_outcomes_has_the_score_that_similar_pairs_predict() -> None:
    score = scores(evaluate([{A: of(0, 0), B: of(50, 40), HARD: of(50, 45), ("b", "complex"): of(50, 35)}]))[A]
    pairs, outcomes = [A, B, HARD, ("b", "complex")], np.array([0.0, 50, 50, 50])
    reward = np.array([0.0, 40, 45, 35])
    predicted = predict_pairs(pairs, reward, outcomes)
    worth = prior_worth(predicted, reward, outcomes)
    assert score.estimate.mean == pytest.approx(predicted[0], abs=1e-6)
    assert 0.8 < predicted[0] < 0.9
    assert score.estimate.n_eff == pytest.approx(worth, abs=1e-3)
    assert (score.samples, score.success_rate, score.avg_response_time_ms, score.kind) == (0, None, None, "new")
    low, high = score.estimate.interval or (None, None)
    assert (low, high) == (0, 1), "nothing is known of it"
    words = f"prior {predicted[0]:.2f} worth {worth:.0f} outcomes, from its other complexities and the other models"
    assert f"of 0 outcomes since 2026-11-20 09:00 UTC, {words})" in score.reason


@pytest.mark.parametrize(
    ("others", "source"),
    [
        ({HARD: of(50, 45)}, ", from its other complexities)"),
        ({B: of(50, 45)}, ", from the other models)"),
        ({B: of(0, 0)}, " worth 4 outcomes)"),
    ],
)
def test_the_sentence_says_what_a_prior_follows_from(others: Slice, source: str) -> None:
    assert source in scores(evaluate([{A: of(0, 0), **others}]))[A].reason


def test_a_prior_that_makes_no_difference_is_not_mentioned() -> None:
    assert "prior" not in scores(evaluate([{A: of(90_000, 80_000), B: of(90_000, 80_000)}]))[A].reason


def test_a_few_outcomes_do_not_put_the_mean_outside_its_interval() -> None:
    slices: list[Slice] = [{A: of(6, 0), **{(f"m{n}", "simple"): of(300, 290) for n in range(9)}}]
    state = {A: RuleState(payload={"prior": [0.95, 16.0]})}
    estimate = scores(evaluate(slices, state))[A].estimate
    assert estimate.interval is not None
    assert estimate.interval[0] <= (estimate.mean or 0) <= estimate.interval[1]


def test_a_named_prior_replaces_the_prediction_until_the_next_change() -> None:
    slices: list[Slice] = [{A: of(50, 45), B: of(10, 8)}] * 20
    state = {A: RuleState(payload={"prior": [0.2, 3.0]})}
    told = evaluate(slices, state)
    assert scores(told)[A].estimate.mean == pytest.approx((900 + 0.6) / 1003, abs=1e-6)
    assert told.states[A].payload["prior"] == [0.2, 3.0]
    fell = evaluate([*slices, *[{A: of(50, 10), B: of(10, 8)}] * 2], told.states)
    assert fell.alarms
    assert "prior" not in fell.states[A].payload


def test_after_a_change_a_prediction_is_worth_two_outcomes() -> None:
    others: Slice = {(f"m{n}", "simple"): of(20, 18) for n in range(9)}
    runs = run_by_run([{A: of(50, 45), **others}] * 20 + [{A: of(50, 10), **others}] * 2)
    assert runs[10].states[A].payload["parts"][5] > 4
    assert runs[-1].states[A].payload["parts"][5] == 2


def test_scores_never_reach_0_or_5() -> None:
    found = scores(evaluate([{A: of(4000, 4000), B: of(4000, 0)}]))
    perfect, hopeless = (found[pair].score for pair in (A, B))
    assert Decimal(0) < hopeless < Decimal("0.003") < Decimal("4.997") < perfect < Decimal(5)


def test_without_evidence_there_are_no_scores() -> None:
    assert evaluate([]) == RuleResult([], {})
    assert evaluate([{}, {}]) == RuleResult([], {})


def test_latency_and_cost_are_subtracted() -> None:
    slices: list[Slice] = [{A: of(100, 90, latency=0.4, cost=0.25), B: of(100, 90)}]
    score = scores(evaluate(slices, HALF, AdaptiveRule(AdaptiveSettings(latency_weight=0.1, cost_weight=0.2))))[A]
    assert (score.latency_penalty, score.cost_penalty) == pytest.approx((0.04, 0.05))
    assert float(score.score) == pytest.approx(5 * (91 / 102 - 0.04 - 0.05), abs=5e-4)
    assert score.estimate.mean == pytest.approx(91 / 102, abs=1e-6), "the mean is that of success alone"
    assert score.avg_response_time_ms == pytest.approx(4000)
    assert "- 0.040 for latency - 0.050 for cost)" in score.reason


def test_a_score_does_not_fall_below_0() -> None:
    slow = AdaptiveRule(AdaptiveSettings(latency_weight=1.0))
    assert scores(evaluate([{A: of(100, 50, latency=1.0)}], rule=slow))[A].score == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.floats(0, 1), st.integers(0, 900), st.floats(0, 1)), min_size=1, max_size=60
    )
)
def test_old_latency_and_cost_fade_with_a_half_life_of_1000_outcomes(rows: list[tuple]) -> None:
    slices: list[Slice] = [
        {A: of(n, n / 2, latency=latency, cost=latency / 2), B: of(m, m / 2, latency=other)}
        for n, latency, m, other in rows
    ]
    result = evaluate(slices, rule=AdaptiveRule(AdaptiveSettings(latency_weight=1.0, cost_weight=0.5)))
    for pair, score in scores(result).items():
        # Outcomes older than fifteen half-lives weigh less than 1/32,000; they are not weighed slice by slice.
        assert score.latency_penalty == pytest.approx(decayed_mean(slices, pair, "latency", "timed"), abs=1e-4)
        assert score.cost_penalty == pytest.approx(decayed_mean(slices, pair, "cost", "priced") / 2, abs=1e-4)


def test_a_pair_without_recent_outcomes_keeps_its_latency() -> None:
    slices: list[Slice] = [{A: of(100, 90, latency=0.3)}] + [{B: of(1000, 900, latency=0.1)}] * 80
    assert scores(evaluate(slices, rule=AdaptiveRule()))[A].latency_penalty == pytest.approx(0.03)


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


def test_pairs_that_do_not_lead_are_probed_within_a_budget_of_lost_reward() -> None:
    found = scores(evaluate([{A: of(998, 899), B: of(998, 799), C: of(998, 99)}], HALF))
    assert found[A].estimate.probe_share == 0, "the leader is used anyway"
    assert found[B].estimate.probe_share == pytest.approx(0.002 / 2 / 0.1)
    assert found[C].estimate.probe_share == pytest.approx(0.002 / 2 / 0.8, abs=1e-6)
    lost = sum((found[A].estimate.mean - each.estimate.mean) * each.estimate.probe_share for each in found.values())
    assert lost == pytest.approx(0.002, abs=1e-5), "0.2 reward points of a hundred"


def test_a_model_that_is_as_good_as_the_leader_is_probed_with_one_percent_at_most() -> None:
    found = scores(evaluate([{A: of(998, 899), B: of(998, 898)}]))
    assert found[B].estimate.probe_share == pytest.approx(0.01)


def test_a_lone_model_needs_no_probes() -> None:
    assert scores(evaluate([{A: of(100, 50)}]))[A].estimate.probe_share == 0


def test_each_complexity_has_its_own_probe_budget() -> None:
    found = scores(evaluate([{A: of(998, 899), B: of(998, 399), HARD: of(100, 10)}], HALF))
    assert found[HARD].estimate.probe_share == 0
    assert found[B].estimate.probe_share == pytest.approx(0.002 / 1 / 0.5)


@pytest.mark.parametrize(("fallen", "share"), [([B], 0.02), ([B, C], 0.01), ([], 0.0)])
def test_a_fallen_model_is_probed_more_while_it_may_become_the_best_again(fallen: list[Pair], share: float) -> None:
    state: dict[Pair, RuleState] = {
        pair: RuleState(payload={"fallen_from": 0.95, "prior": [0.5, 2.0]}) for pair in fallen
    }
    found = scores(evaluate([{A: of(998, 899), B: of(998, 399), C: of(998, 399)}], HALF | state))
    usual = 0.002 / 2 / 0.5
    for pair in (B, C):
        assert found[pair].estimate.probe_share == pytest.approx(usual + (share if pair in fallen else 0), abs=1e-6)


def test_a_model_that_was_never_better_than_the_leader_is_not_probed_more() -> None:
    state: dict[Pair, RuleState] = {B: RuleState(payload={"fallen_from": 0.89, "prior": [0.5, 2.0]})}
    found = scores(evaluate([{A: of(998, 899), B: of(998, 399)}], HALF | state))
    assert found[B].estimate.probe_share == pytest.approx(0.002 / 0.5, abs=1e-6)


def test_a_fallen_model_gets_at_most_a_fifth_of_the_traffic() -> None:
    state: dict[Pair, RuleState] = {B: RuleState(payload={"fallen_from": 0.95, "prior": [0.5, 2.0]})}
    found = scores(evaluate([{A: of(998, 899), B: of(998, 889)}], HALF | state))
    assert found[B].estimate.probe_share == pytest.approx(0.01 + 0.20)


def test_a_model_that_seems_to_rise_is_probed_more_the_likelier_the_rise_is() -> None:
    """Probes of a model that has probably risen are hardly a loss: they cost gap / (1 + ratio / 50)."""
    known: list[Slice] = [{A: of(50, 45), B: of(25, 5)}] * 30
    for successes, limited in ((2, False), (6, True)):
        slices: list[Slice] = [*known, {A: of(50, 45), B: of(successes, successes)}]
        found = scores(evaluate(slices))
        gap = (found[A].estimate.mean or 0) - (found[B].estimate.mean or 0)
        log_ratio = rise_log_ratio(slices, B, found[A].estimate.mean or 0, 30)
        assert log_ratio is not None
        ratio = math.exp(log_ratio)
        times = f"{ratio:.0f}" if ratio < 1000 else "more than 1,000"
        extra = 0.2 if limited else 0.01 / gap * (1 + ratio / 50)
        assert (0.01 / gap * (1 + ratio / 50) > 0.2) == limited
        assert found[B].estimate.probe_share == pytest.approx(0.002 / gap + extra, abs=1e-6)
        assert (
            f"of traffic re-checks it; a rise is suspected: its outcomes since 2026-11-20 09:30 UTC are {times} times as"
            " likely if it has become as good as the best as if it has not"
        ) in found[B].reason


def test_a_very_likely_rise_is_not_given_an_absurd_number() -> None:
    found = scores(evaluate([*[{A: of(50, 45), B: of(25, 5)}] * 30, {A: of(50, 45), B: of(6, 6)}]))
    assert "are more than 1,000 times as likely" in found[B].reason


def test_suspected_models_share_the_budget() -> None:
    slices: list[Slice] = [{A: of(50, 45), B: of(25, 5), C: of(25, 5)}] * 30
    found = scores(evaluate([*slices, {A: of(50, 45), B: of(6, 6), C: of(6, 6)}]))
    gap = (found[A].estimate.mean or 0) - (found[B].estimate.mean or 0)
    for pair in (B, C):
        assert found[pair].estimate.probe_share == pytest.approx(0.001 / gap + 0.1, abs=1e-6)


def test_a_slow_model_is_suspected_only_if_it_could_lead_in_spite_of_that() -> None:
    """At 10 s for an answer the second model loses 0.5, so no success rate makes it the best."""
    slices: list[Slice] = [{A: of(50, 45, latency=0.1), B: of(25, 5, latency=1.0)}] * 30
    slices += [{A: of(50, 45, latency=0.1), B: of(4, 4, latency=1.0)}]
    for weight, suspected in ((0.5, False), (0.02, True)):
        score = scores(evaluate(slices, rule=AdaptiveRule(AdaptiveSettings(latency_weight=weight))))[B]
        assert ("as good as the best" in score.reason) == suspected


def test_graded_rewards_with_little_dispersion_raise_n_eff() -> None:
    slices: list[Slice] = [{A: of(100, 70, squares=52), B: of(100, 40, squares=20)}] * 5
    shared = (500 * 0.03 + 500 * 0.04) / (500 * 0.7 * 0.3 + 500 * 0.4 * 0.6)
    assert dispersion(slices, A) == pytest.approx((500 * 0.03 / 0.21 + 50 * shared) / 550)
    found = scores(evaluate(slices, HALF))
    for pair in (A, B):
        assert found[pair].estimate.n_eff == pytest.approx(500 / dispersion(slices, pair) + 2, abs=1e-3)
    assert found[A].estimate.mean == pytest.approx(351 / 502, abs=1e-6)


def test_a_few_graded_rewards_are_taken_to_scatter_like_those_of_the_other_models() -> None:
    slices: list[Slice] = [{A: of(4000, 2800, squares=2080), B: of(1, 0.4, squares=0.16)}]
    shared = 4000 * 0.03 / (4000 * 0.21 + 0.24)
    phi = (0 + 50 * shared) / 51
    assert scores(evaluate(slices, HALF))[B].estimate.n_eff == pytest.approx(1 / phi + 2, abs=1e-3)


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


def test_constant_rewards_do_not_make_an_estimate_certain() -> None:
    assert scores(evaluate([{A: of(100, 70, squares=49)}] * 5, HALF))[A].estimate.n_eff == pytest.approx(500 / 0.05 + 2)


def test_the_kind_and_the_reason_explain_a_score() -> None:
    slow = AdaptiveRule(AdaptiveSettings(latency_weight=0.5))
    before = evaluate([{A: of(1000, 900, latency=0.1)}], rule=slow)
    after = evaluate([{A: of(1000, 900, latency=0.1)}, {A: of(1000, 900, latency=0.9)}], before.states, rule=slow)
    assert (scores(before)[A].kind, scores(after)[A].kind) == ("steady", "latency")
    assert scores(evaluate([{A: of(29, 20)}]))[A].kind == "new"
    quarantined = NO_COSTS.evaluate(evidence_of([{A: of(100, 90)}], excluded=["i-2", "i-1"]), {})
    (score,) = quarantined.scores
    assert score.kind == "quarantine"
    assert score.reason.endswith("; without the quarantined i-1, i-2")


def random_slices(seed: int) -> list[Slice]:
    rng = np.random.default_rng(seed)
    pairs = [(model, complexity) for model in "abc" for complexity in ("simple", "complex")]
    slices: list[Slice] = []
    for number in range(50):
        of_slice: Slice = {}
        for pair in pairs:
            n = int(rng.integers(0, 40))
            rate = 0.3 if pair[0] == "a" and 15 <= number < 35 else 0.85
            of_slice[pair] = of(n, int(rng.binomial(n, rate)), latency=float(rng.uniform(0, 1)))
        slices.append(of_slice)
    return slices


@pytest.mark.parametrize("seed", range(3))
def test_a_decision_depends_on_nothing_but_evidence_and_state(seed: int) -> None:
    slices = random_slices(seed)
    rule = AdaptiveRule()
    runs = run_by_run(slices, rule)
    assert any(result.alarms for result in runs)
    for number, result in list(enumerate(runs))[1:]:
        state = runs[number - 1].states
        untouched = copy.deepcopy(state)
        grown = evidence_of(slices[: number + 1])
        assert rule.evaluate(grown, state) == rule.evaluate(grown, state) == result
        assert state == untouched


@pytest.mark.parametrize("seed", range(3))
def test_every_score_can_be_recomputed_later_from_the_evidence_it_names(seed: int) -> None:
    slices = random_slices(seed)
    rule = AdaptiveRule()
    everything: Evidence = evidence_of(slices)
    for result in run_by_run(slices, rule):
        for score in result.scores:
            earlier = everything.up_to(score.through_slice)
            state = result.states[score.pair]
            assert rule.recompute(earlier, score.pair, score.after_slice, state) == score.score
            assert score.samples == total(slices[score.after_slice : score.through_slice], score.pair, "outcomes")


def test_a_score_from_before_priors_were_predicted_can_still_be_recomputed() -> None:
    """The parts in its state end with the half-life: the prior was 0.5, worth 2 outcomes."""
    slices: list[Slice] = [{A: of(20, 19), B: of(500, 100)}]
    old = RuleState(payload={"parts": [20 / 22, 0.0, 0.0, 1000.0]})
    assert NO_COSTS.recompute(evidence_of(slices), A, 0, old) == as_score(5 * 20 / 22)
    assert scores(evaluate(slices))[A].score < as_score(5 * 20 / 22)


def test_a_score_from_before_the_half_life_was_shortened_can_still_be_recomputed() -> None:
    """Its state has three parts: no half-life, which was 3,000 outcomes then."""
    slices: list[Slice] = [{A: of(500, 400, latency=0.1)}] * 4 + [{A: of(500, 400, latency=0.9)}]
    then = 2001 / 2502 - 0.1 * decayed_mean(slices, A, "latency", "timed", half_life=3000)
    now = scores(evaluate(slices, rule=AdaptiveRule()))[A]
    old = RuleState(payload={"parts": [2001 / 2502, 0.03, 0.0]})
    assert float(AdaptiveRule().recompute(evidence_of(slices), A, 0, old)) == pytest.approx(5 * then, abs=5e-4)
    assert float(now.score) < 5 * then - 0.03


def test_a_manual_score_begins_a_new_window() -> None:
    slices: list[Slice] = [{A: of(50, 45)}] * 20 + [{A: of(50, 20)}] * 3
    state = run_by_run(slices)[-1].states[A]
    again = NO_COSTS.reset(state, Decimal("4.500"), 23)
    assert again == RuleState(evidence_from=23)
    later = scores(evaluate([*slices, {A: of(50, 45)}], {A: replace(again, payload={"prior": [0.5, 2.0]})}))[A]
    assert (later.samples, later.score, later.kind) == (50, Decimal("4.423"), "steady")


def test_a_fleet_that_agrees_has_no_excluded_instances() -> None:
    agreeing = RecentOutcomes.of({(f"i-{n}", A): (100.0, 90.0) for n in range(5)})
    assert NO_COSTS.exclude(agreeing) == []
    lying = RecentOutcomes.of({(f"i-{n}", A): (100.0, 90.0 if n else 10.0) for n in range(5)})
    assert [found.instance_id for found in NO_COSTS.exclude(lying)] == ["i-0"]
