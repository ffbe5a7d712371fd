"""A run of a scenario is reproducible, agrees with a manual calculation, and finds liars."""

from pathlib import Path

import numpy as np
import pytest
from support.outcomes import RATES, a_ground_truth, a_table, write_table

from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rule import RuleResult
from centralcloud.simulate.candidates import Candidate, make_candidate
from centralcloud.simulate.comparison import compare
from centralcloud.simulate.engine import simulate
from centralcloud.simulate.evaluation import evaluate_run
from centralcloud.simulate.generated import GeneratedWorld, Population
from centralcloud.simulate.ground_truth import single_best_model
from centralcloud.simulate.in_memory_evidence import sums_by_task
from centralcloud.simulate.outcomes import OutcomeFile, read_outcomes
from centralcloud.simulate.reports import Reports, Tasks
from centralcloud.simulate.scenario import Phase, Scenario

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


def test_another_model_may_answer_at_one_complexity_only(outcomes: OutcomeFile) -> None:
    phases = [{"events": 10}, {"events": 10, "serve": {"good": {"complex": "bad"}}}]
    now = a_ground_truth(outcomes, phases=phases).phases[1]
    assert now.success[0].tolist() == pytest.approx([*RATES["good"][:2], RATES["bad"][2]])
    assert now.best.tolist() == [0, 0, 1]


def test_a_price_multiplies_the_cost_and_not_the_latency(outcomes: OutcomeFile) -> None:
    phases = [{"events": 10}, {"events": 10, "price": {"good": 3.0}}]
    before, now = (truth.outcomes for truth in a_ground_truth(outcomes, phases=phases).phases)
    assert np.array_equal(now.cost_usd[0], 3 * before.cost_usd[0])
    assert np.array_equal(now.cost_usd[1:], before.cost_usd[1:])
    assert np.array_equal(now.latency_ms, before.latency_ms)


def test_ticks_have_their_sizes_in_turn(outcomes: OutcomeFile) -> None:
    ground_truth = a_ground_truth(outcomes, phases=[{"events": 400}], tick=[100, 20, 60])
    run = simulate(ground_truth, make_candidate("thompson", ground_truth), 1)
    assert [tick.event for tick in run.ticks] == [100, 120, 180, 280, 300, 360]


def test_complexities_have_their_shares_of_the_tasks(tmp_path: Path) -> None:
    outcomes = a_table(tmp_path, {"one": (1.0, 0.5, 0.0)}, items=10)
    shares = {"simple": 1, "complex": 3}
    result = judged(outcomes, phases=[{"events": 4000}], complexities=shares)
    assert result["reward"] == pytest.approx(0.25, abs=0.03)


class Listener:
    """A rule that keeps what it is told."""

    name, eager = "listener", False

    def __init__(self) -> None:
        self.outcomes: list[float] = []
        self.reward: list[float] = []
        self.timed: list[float] = []

    def exclude(self, recent: object) -> list:
        return []

    def evaluate(self, evidence: Evidence, states: object) -> RuleResult:
        self.outcomes.append(evidence.total("outcomes").sum())
        self.reward.append(evidence.total("reward").sum())
        self.timed.append(evidence.total("timed").sum())
        return RuleResult([], {})


def heard(outcomes: OutcomeFile, **scenario: object) -> Listener:
    listener = Listener()
    ground_truth = a_ground_truth(outcomes, phases=[{"events": 4000}], **scenario)
    simulate(ground_truth, Candidate(listener, dict.fromkeys(ground_truth.models, 2.5)), 1)
    return listener


def test_failures_that_are_known_later_make_the_first_outcomes_too_good(tmp_path: Path) -> None:
    outcomes = a_table(tmp_path, {"half": (0.5,) * 3})
    late, prompt = heard(outcomes, delay={"failure": 1000}), heard(outcomes)
    assert prompt.outcomes == [200 * (number + 1) for number in range(20)]
    assert late.reward == prompt.reward
    assert late.outcomes[0] < 130
    # In the long run, those of the last 1,000 tasks are missing.
    assert 4000 - late.outcomes[-1] == pytest.approx(0.5 * 1000, rel=0.2)


def test_missing_latencies_are_not_reported_and_still_count(outcomes: OutcomeFile) -> None:
    listener = heard(outcomes, missing={"latency": 0.25, "cost": 1})
    assert listener.timed[-1] / listener.outcomes[-1] == pytest.approx(0.75, abs=0.03)
    result = judged(outcomes, phases=[{"events": 400}], missing={"latency": 1, "cost": 1})
    assert result["mean_latency_ms"] > 0


def test_a_latency_that_the_table_lacks_costs_as_much_as_the_models_others(tmp_path: Path) -> None:
    lines = ["model,item_id,complexity,success,latency_ms", "a,1,simple,1,1000", "a,2,simple,1,", "b,1,simple,1,"]
    outcomes = read_outcomes(write_table(tmp_path, "\n".join([*lines, "b,2,simple,1,"]) + "\n"))
    truth = a_ground_truth(outcomes, phases=[{"events": 1}], weights={"latency": 0.5, "latency_ref_ms": 2000})
    assert truth.phases[0].outcomes.utility.tolist() == [[0.75, 0.75], [1.0, 1.0]]


def typed_table(folder: Path) -> OutcomeFile:
    """Return a table in which each of two models does the tasks of one type: 30 of type x, 20 of y, 10 of z."""
    lines = ["model,item_id,complexity,task_type,success"]
    for item in range(60):
        task_type = "x" if item < 30 else "y" if item < 50 else "z"
        lines += [
            f"a,{item},simple,{task_type},{int(task_type == 'x')}",
            f"b,{item},simple,{task_type},{int(item >= 30)}",
        ]
    return read_outcomes(write_table(folder, "\n".join(lines) + "\n"))


def test_task_types_have_an_oracle_of_their_own(tmp_path: Path) -> None:
    outcomes = typed_table(tmp_path)
    result = judged(outcomes, phases=[{"events": 2000}])
    assert result["oracle_reward"] == pytest.approx(0.5, abs=0.05)
    assert result["typed_oracle_reward"] == 1.0
    assert judged(outcomes, phases=[{"events": 200}], task_types=0)["typed_oracle_reward"] is None


def test_the_most_frequent_task_types_are_told_apart_and_the_rest_is_other(tmp_path: Path) -> None:
    ground_truth = a_ground_truth(typed_table(tmp_path), phases=[{"events": 1}], task_types=2)
    assert ground_truth.task_types == ("x", "y", "other")
    assert np.bincount(ground_truth.phases[0].outcomes.task_type).tolist() == [30, 20, 10]


def test_outcomes_are_summed_by_task(tmp_path: Path) -> None:
    ground_truth = a_ground_truth(typed_table(tmp_path), phases=[{"events": 1}])
    item = np.arange(60)
    tasks = Tasks.done(ground_truth.phases[0], 0 * item, item, np.zeros(60, dtype=np.int64))
    sums = sums_by_task(Reports.honest(tasks, 1), ground_truth.pairs, ground_truth.task_types)
    assert sums == {("a", "simple", "x"): (30, 30), ("a", "simple", "y"): (20, 0), ("a", "simple", "z"): (10, 0)}


def test_a_generated_world_is_new_for_each_seed_and_the_same_for_one() -> None:
    population = Population(models=20, items=600, task_types=4, type_effect=0.8)
    phase = Phase(events=100, serve={}, absent=frozenset(), slow={}, price={}, outage=frozenset())
    scenario = Scenario(models=population.names, instances=2, ticks=(50,), phases=(phase,))
    world = GeneratedWorld(scenario, population)
    first, again, other = (world.for_seed(seed).phases[0] for seed in (1, 1, 2))
    assert np.array_equal(first.outcomes.reward, again.outcomes.reward)
    assert not np.array_equal(first.outcomes.reward, other.outcomes.reward)
    assert first.success.mean() == pytest.approx(4 / 6, abs=0.06)
    assert first.typed_oracle_utility.mean() > first.oracle_utility.mean()
