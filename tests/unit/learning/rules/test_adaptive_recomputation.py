"""The adaptive rule is a function of evidence and state: equal ones give equal scores, also later."""

import copy

import numpy as np
import pytest
from support.adaptive_by_hand import Slice, decayed_mean, evidence_of, of, total
from support.adaptive_runs import NO_COSTS, A, B, evaluate, run_by_run, scores

from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rule import RuleState, as_score
from centralcloud.learning.rules import AdaptiveRule


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
