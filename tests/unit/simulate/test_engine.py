"""A run of a scenario is reproducible, agrees with a manual calculation, and finds liars."""

from pathlib import Path

import numpy as np
import pytest
from support.outcomes import RATES, a_ground_truth, a_table

from centralcloud.simulate.candidates import make_candidate
from centralcloud.simulate.comparison import compare
from centralcloud.simulate.engine import simulate
from centralcloud.simulate.evaluation import evaluate_run
from centralcloud.simulate.ground_truth import single_best_model
from centralcloud.simulate.outcomes import OutcomeFile

#: Metrics of wall time; all others are the same for the same seed.
CLOCK = ("wall_seconds", "rule_milliseconds_per_tick", "microseconds_per_event")
EVERY_RULE = ("threshold", "adaptive", "thompson", "thompson-half-life", "best-fixed", "random")
#: Success and latency (ms) for a manual calculation: two tasks of one complexity.
BY_HAND = {"sure": (1.0, 1.0, 1.0), "half": (0.5, 0.5, 0.5)}


@pytest.fixture
def outcomes(tmp_path: Path) -> OutcomeFile:
    return a_table(tmp_path)


def judged(outcomes: OutcomeFile, rule: str = "adaptive", seed: int = 1, **scenario: object) -> dict:
    ground_truth = a_ground_truth(outcomes, **scenario)
    result = evaluate_run(simulate(ground_truth, make_candidate(rule, ground_truth), seed), ground_truth)
    return {**result.whole, "phases": result.phases, "traffic": result.traffic}


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_equal_seeds_give_equal_runs_and_different_ones_do_not(outcomes: OutcomeFile, rule: str) -> None:
    first, again, other = (
        {
            name: value
            for name, value in judged(outcomes, rule, seed, phases=[{"events": 1000}]).items()
            if name not in CLOCK
        }
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_every_rule_gets_the_same_tasks(outcomes: OutcomeFile) -> None:
    oracles = {judged(outcomes, rule, phases=[{"events": 600}])["oracle_reward"] for rule in EVERY_RULE}
    assert len(oracles) == 1


def test_parallel_and_sequential_runs_give_the_same_result(outcomes: OutcomeFile) -> None:
    ground_truth = a_ground_truth(outcomes, phases=[{"events": 400}])
    alone, together = (compare(ground_truth, "adaptive", [1, 2], jobs=jobs) for jobs in (1, 2))
    for name in ("elapsed_seconds", *CLOCK):
        del alone[name], together[name]
    assert alone == together


def test_the_best_model_alone_has_no_regret_and_the_oracle_its_success_rate(tmp_path: Path) -> None:
    result = judged(a_table(tmp_path, BY_HAND, items=2), "best-fixed", phases=[{"events": 500}])
    assert result["reward"] == result["oracle_reward"] == 1.0
    assert result["regret_percent"] == 0.0
    assert result["mean_latency_ms"] == 500.0
    assert result["traffic"] == [{"sure": 1.0, "half": 0.0}]


def test_random_choices_earn_the_mean_reward(tmp_path: Path) -> None:
    result = judged(a_table(tmp_path, BY_HAND, items=2), "random", phases=[{"events": 4000}])
    assert result["reward"] == pytest.approx(0.75, abs=0.03)
    assert result["regret_percent"] == pytest.approx(100 * (1 - result["reward"]))


def test_latency_and_cost_are_subtracted_from_the_reward_by_their_weights(tmp_path: Path) -> None:
    # "sure" takes 500 ms and 0.001 USD; the references are 1,000 ms and 0.002 USD.
    weights = {"latency": 0.2, "latency_ref_ms": 1000, "cost": 0.4, "cost_ref_usd": 0.002}
    result = judged(a_table(tmp_path, BY_HAND, items=2), "best-fixed", phases=[{"events": 100}], weights=weights)
    assert result["reward"] == pytest.approx(1 - 0.2 / 2 - 0.4 / 2)
    assert result["success_rate"] == 1.0
    assert result["success_regret_percent"] == result["regret_percent"] == 0.0


def test_a_model_too_slow_for_its_success_is_not_the_best_where_latency_counts(tmp_path: Path) -> None:
    outcomes = a_table(tmp_path, {"slow": (0.9, 0.9, 0.9), "fast": (0.8, 0.8, 0.8)}, items=10)
    phases = [{"events": 10, "slow": {"slow": 20}}]
    assert single_best_model(a_ground_truth(outcomes, phases=phases)) == "slow"
    assert single_best_model(a_ground_truth(outcomes, phases=phases, weights={"latency": 0.3})) == "fast"


def test_the_changes_of_a_phase_change_the_outcomes_of_its_models(outcomes: OutcomeFile) -> None:
    phases = [
        {"events": 10},
        {"events": 10, "serve": {"good": "bad"}},
        {"events": 10, "outage": ["good"]},
        {"events": 10, "absent": ["good"]},
        {"events": 10, "slow": {"good": 3.0}},
    ]
    ground_truth = a_ground_truth(outcomes, phases=phases)
    success = [truth.success[0].tolist() for truth in ground_truth.phases]
    assert success[0] == pytest.approx(RATES["good"])
    assert success[1] == pytest.approx(RATES["bad"])
    assert success[2] == [0, 0, 0]
    assert success[4] == pytest.approx(RATES["good"])
    assert [truth.best.tolist() for truth in ground_truth.phases] == [[0] * 3, [1] * 3, [1] * 3, [1] * 3, [0] * 3]
    before, slow = (ground_truth.phases[number].outcomes.latency_ms for number in (0, 4))
    assert np.array_equal(slow[0], 3 * before[0])
    assert np.array_equal(slow[1:], before[1:])


def test_an_absent_model_gets_no_task(outcomes: OutcomeFile) -> None:
    result = judged(outcomes, phases=[{"events": 600, "absent": ["good"]}, {"events": 600}])
    assert "good" not in result["traffic"][0]
    assert result["traffic"][1]["good"] > 0.2


def test_a_change_is_detected_and_the_fleet_recovers(outcomes: OutcomeFile) -> None:
    result = judged(outcomes, phases=[{"events": 4000}, {"events": 4000, "serve": {"good": "bad"}}])
    changed = result["phases"][1]
    assert changed["events_to_detect"] <= 600
    assert changed["events_to_recover"] <= 1200
    assert result["false_alarms"] == 0
    assert judged(outcomes, "best-fixed", phases=[{"events": 400}] * 2)["events_to_recover"] is None


def test_the_oracle_of_a_phase_knows_its_outcomes(outcomes: OutcomeFile) -> None:
    phases = judged(outcomes, "random", phases=[{"events": 3000}, {"events": 3000, "outage": ["good", "fair"]}])[
        "phases"
    ]
    assert phases[0]["oracle_reward"] == pytest.approx(np.mean(RATES["good"]), abs=0.02)
    assert phases[1]["oracle_reward"] == pytest.approx(np.mean(RATES["poor"]), abs=0.03)


def test_pairs_that_cannot_be_told_apart_do_not_count_as_ordered_wrongly(tmp_path: Path) -> None:
    rates = {"a": (0.9,) * 3, "b": (0.89,) * 3, "c": (0.1,) * 3}
    result = judged(a_table(tmp_path, rates, items=100), "thompson", phases=[{"events": 3000}])
    assert result["pairs_ordered_right"] == 1.0


def test_fixed_scores_are_saturated_and_tied_scores_tied(outcomes: OutcomeFile) -> None:
    assert judged(outcomes, "best-fixed", phases=[{"events": 400}])["saturated_share"] == 1.0
    assert judged(outcomes, "random", phases=[{"events": 400}])["tied_share"] == 1.0


def test_a_scenario_shorter_than_a_tick_has_the_measures_that_are_known(outcomes: OutcomeFile) -> None:
    result = judged(outcomes, phases=[{"events": 50}])
    assert result["reward"] > 0
    assert result["pairs_ordered_right"] is None


def test_a_tick_may_span_phases(outcomes: OutcomeFile) -> None:
    ground_truth = a_ground_truth(outcomes, phases=[{"events": 70}, {"events": 70}, {"events": 70}], tick=100)
    run = simulate(ground_truth, make_candidate("adaptive", ground_truth), 1)
    assert [(tick.phase, tick.event, tick.event_in_phase) for tick in run.ticks] == [(1, 100, 30), (2, 200, 60)]


@pytest.mark.parametrize("kind", ["all_failure", "invert", "fabricate", "flood"])
def test_only_the_liar_is_quarantined(outcomes: OutcomeFile, kind: str) -> None:
    poison = [{"instance": 3, "kind": kind, "from_event": 1000}]
    result = judged(outcomes, phases=[{"events": 5000}], poison=poison)
    assert result["ticks_to_quarantine"] <= 10
    assert result["honest_exclusions"] == 0


def test_without_liars_there_is_no_time_to_quarantine(outcomes: OutcomeFile) -> None:
    result = judged(outcomes, phases=[{"events": 1000}])
    assert result["ticks_to_quarantine"] is None
    assert result["honest_exclusions"] == 0
