"""Estimates of task types: those of the pair while nothing is known, and what their outcomes show beyond chance."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from centralcloud.learning.evidence import Evidence, Sums
from centralcloud.learning.rule import RuleResult, TaskTypeRule
from centralcloud.learning.rules.adaptive import AdaptiveRule
from centralcloud.learning.rules.task_types import PRIORS
from centralcloud.learning.rules.threshold import ThresholdRule
from centralcloud.learning.task_evidence import Task, TaskEvidence

START = datetime(2026, 11, 20, tzinfo=UTC)
MODELS = ("a", "b", "c", "d")
TYPES = ("law", "math", "code", "chat")


def evidence(*slices: dict[Task, tuple[float, float]], latency: float = 0.0) -> Evidence:
    """Return evidence in which every outcome has a task type."""
    made = Evidence()
    for number, tasks in enumerate(slices, start=1):
        pairs: dict[tuple[str, str], list[float]] = {}
        for (model, complexity, _), (outcomes, reward) in tasks.items():
            sums = pairs.setdefault((model, complexity), [0.0, 0.0])
            sums[0] += outcomes
            sums[1] += reward
        made.append(
            number,
            START + timedelta(minutes=number),
            {
                pair: Sums(outcomes=n, successes=s, reward=s, reward_squares=s, timed=n, latency=latency * n)
                for pair, (n, s) in sorted(pairs.items())
            },
        )
        made.tasks.append(number, tasks)
    return made


def tasks_of(result: RuleResult, model: str, complexity: str = "simple"):
    return next(score for score in result.scores if score.pair == (model, complexity)).task_types


def drawn(seed: int, outcomes: int, rate) -> dict[Task, tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return {
        (model, "simple", name): (float(outcomes), float(rng.binomial(outcomes, rate(model, name))))
        for model in MODELS
        for name in TYPES
    }


@pytest.mark.parametrize("outcomes", [1, 4, 20, 200])
def test_task_types_that_mean_nothing_have_the_estimates_of_their_pairs(outcomes: int) -> None:
    for seed in range(20):
        result = AdaptiveRule().evaluate(evidence(drawn(seed, outcomes, lambda *_: 0.7)), {})
        for score in result.scores:
            for task in score.task_types.values():
                assert task.estimate.mean == pytest.approx(score.estimate.mean, abs=0.07)
                assert task.estimate.n_eff > 0.55 * score.estimate.n_eff


def test_what_one_model_is_worse_at_is_seen_and_its_other_task_types_stay() -> None:
    rates = drawn(1, 60, lambda model, name: 0.2 if (model, name) == ("a", "law") else 0.8)
    result = AdaptiveRule().evaluate(evidence(rates), {})
    for model, name in (("a", "law"), ("a", "math"), ("b", "law")):
        outcomes, reward = rates[model, "simple", name]
        assert tasks_of(result, model)[name].estimate.mean == pytest.approx(reward / outcomes, abs=0.15)
    assert next(score for score in result.scores if score.model == "a").estimate.mean > 0.55


def test_a_task_type_that_is_hard_for_the_others_is_expected_to_be_hard_for_a_model_that_was_not_tried() -> None:
    tasks = drawn(2, 200, lambda _, name: 0.3 if name == "law" else 0.85)
    del tasks["d", "simple", "law"]
    result = AdaptiveRule().evaluate(evidence(tasks), {})
    untried = tasks_of(result, "d")["law"]
    assert untried.samples == 0
    assert untried.estimate.mean < 0.6 < 0.8 < tasks_of(result, "d")["math"].estimate.mean


def test_a_change_of_the_pair_begins_the_windows_of_its_task_types() -> None:
    good, bad = (
        {("a", "simple", "law"): (60.0, share * 60), ("b", "simple", "law"): (60.0, 48.0)} for share in (0.95, 0.2)
    )
    result = AdaptiveRule().evaluate(evidence(good, good, bad, bad), {})
    assert [alarm.after_slice for alarm in result.alarms] == [2]
    assert tasks_of(result, "a")["law"].samples == 120
    assert tasks_of(result, "a")["law"].estimate.mean < 0.3


def test_latency_of_the_pair_is_subtracted_and_the_scores_are_computed_again() -> None:
    rule = AdaptiveRule()
    known = evidence(drawn(3, 40, lambda model, name: 0.9 if model == name[0] else 0.6), latency=0.5)
    result = rule.evaluate(known, {})
    for score in result.scores:
        state = result.states[score.pair]
        assert set(state.payload[PRIORS]) == set(TYPES)
        again = rule.recompute_task_types(known, score.pair, score.after_slice, state)
        assert {name: Decimal(str(task.score)) for name, task in score.task_types.items()} == {
            name: value.normalize() for name, value in again.items()
        }
        for task in score.task_types.values():
            assert task.score == pytest.approx(5 * (task.estimate.mean - 0.05), abs=0.001)
            assert task.estimate.draw_n > task.estimate.n_eff


def test_the_state_does_not_grow_with_the_runs() -> None:
    slices = [drawn(seed, 20, lambda *_: 0.7) for seed in range(6)]
    rule, states, sizes = AdaptiveRule(), {}, []
    for number in range(1, 7):
        states = rule.evaluate(evidence(*slices[:number]), states).states
        sizes.append(len(str(states["a", "simple"].payload)))
    assert max(sizes) < 1.2 * sizes[0]


def test_without_task_types_nothing_differs() -> None:
    known = evidence(drawn(4, 20, lambda *_: 0.7))
    without = evidence(drawn(4, 20, lambda *_: 0.7))
    without.tasks = TaskEvidence()
    rule = AdaptiveRule()
    plain, with_types = rule.evaluate(without, {}), rule.evaluate(known, {})
    assert all(not score.task_types for score in plain.scores)
    assert all(PRIORS not in state.payload for state in plain.states.values())
    for one, other in zip(plain.scores, with_types.scores, strict=True):
        assert (one.score, one.estimate, one.reason) == (other.score, other.estimate, other.reason)


def test_a_rule_that_knows_no_task_types_is_none() -> None:
    assert isinstance(AdaptiveRule(), TaskTypeRule)
    assert not isinstance(ThresholdRule(), TaskTypeRule)


def test_sums_of_task_types_since_a_slice_of_each() -> None:
    tasks = TaskEvidence()
    law, math = ("a", "simple", "law"), ("a", "simple", "math")
    for number in range(1, 101):
        tasks.append(2 * number, {law: (1.0, 0.5), **({math: (2.0, 1.0)} if number % 2 else {})})
    tasks.append(301, {})
    outcomes, reward = tasks.since([100, 0])
    assert (outcomes.tolist(), reward.tolist()) == ([50.0, 100.0], [25.0, 50.0])
    assert tasks.up_to(101).since([0, 99])[0].tolist() == [50.0, 0.0]
    assert TaskEvidence().since([])[0].tolist() == []
    with pytest.raises(ValueError, match="slice 200 after slice 200"):
        tasks.append(200, {law: (1.0, 1.0)})


@pytest.mark.parametrize("rate", [0.001, 0.985, 0.995, 0.999])
def test_a_task_type_without_outcomes_has_the_score_of_a_pair_that_nearly_always_succeeds_or_fails(rate: float) -> None:
    tasks = {(model, "simple", name): (1000.0, 1000 * rate) for model in MODELS for name in TYPES}
    del tasks["d", "simple", "law"]
    result = AdaptiveRule().evaluate(evidence(tasks), {})
    for model in MODELS:
        pair = next(score for score in result.scores if score.model == model)
        for task in tasks_of(result, model).values():
            assert task.estimate.mean == pytest.approx(pair.estimate.mean, abs=0.0005)
            assert task.estimate.n_eff > 0.7 * pair.estimate.n_eff
