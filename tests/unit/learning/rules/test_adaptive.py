"""The adaptive rule: every number of a score equals a manual calculation, and its sentence explains it."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import OPENED, Slice, decayed_mean, dispersion, evidence_of, of
from support.adaptive_runs import HALF, HARD, NO_COSTS, A, B, evaluate, scores

from centralcloud.learning.evidence import RecentOutcomes
from centralcloud.learning.rule import RuleResult, RuleState, wilson_interval
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings
from centralcloud.learning.rules.confidence_sequence import anytime_interval
from centralcloud.learning.rules.shrinkage import predict_pairs, prior_worth


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


def test_the_kind_says_what_moved_the_score_in_this_run_and_not_what_began_its_window() -> None:
    slices, states, kinds = [{A: of(100, 90)}] * 20, {}, []
    for _ in range(6):
        result = NO_COSTS.evaluate(evidence_of(slices), states)
        states, slices = result.states, [*slices, {A: of(100, 50)}]
        (score,) = result.scores
        kinds.append((score.kind, bool(result.alarms), "the mean changed then" in score.reason))
    assert ("alarm", True, True) in kinds
    assert kinds[-1] == ("steady", False, True), "the alarm began the window, and did not move the score again"

    states, kinds = {}, []
    for excluded in (["i-1"], ["i-1"], [], ["i-1", "i-2"], ["i-2"]):
        result = NO_COSTS.evaluate(evidence_of([{A: of(100, 90)}], excluded=excluded), states)
        states = result.states
        kinds.append(result.scores[0].kind)
    assert kinds == ["quarantine", "steady", "steady", "quarantine", "steady"]


def test_a_fleet_that_agrees_has_no_excluded_instances() -> None:
    agreeing = RecentOutcomes.of({(f"i-{n}", A): (100.0, 90.0) for n in range(5)})
    assert NO_COSTS.exclude(agreeing) == []
    lying = RecentOutcomes.of({(f"i-{n}", A): (100.0, 90.0 if n else 10.0) for n in range(5)})
    assert [found.instance_id for found in NO_COSTS.exclude(lying)] == ["i-0"]
