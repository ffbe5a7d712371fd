"""The adaptive rule on probes: their budget, and models that have fallen or seem to rise."""

import math

import pytest
from support.adaptive_by_hand import Slice, of, rise_log_ratio
from support.adaptive_runs import HALF, HARD, A, B, C, evaluate, scores

from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import RuleState
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings


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
