"""The success of a score table, estimated from decisions that other scores have made."""

from dataclasses import replace

import numpy as np
import pytest
from support.decision_logs import a_log, greedy_table

from centralcloud.contracts.estimate import Estimate
from centralcloud.contracts.model_choice.score_table import ScoreTable, TableScore
from centralcloud.evaluation.decisions import Decisions
from centralcloud.evaluation.off_policy import compare_tables, effective, evaluate_table, means_before, supported

_MODELS = ("a", "b", "c")
_DRAWN = {"a": 0.6, "b": 0.3, "c": 0.1}
_SUCCESS = {"a": 0.9, "b": 0.8, "c": 0.6}


def test_a_small_case_agrees_with_the_calculation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centralcloud.evaluation.off_policy.LEAST_EFFECTIVE", 1.0)
    monkeypatch.setattr("centralcloud.evaluation.off_policy._MOST_OFF", 9.0)
    log = Decisions(
        models=("a", "b"),
        task_types=(None,),
        complexity=np.zeros(4, dtype=np.int64),
        model=np.array([0, 1, 0, 1]),
        task_type=np.zeros(4, dtype=np.int64),
        x=np.array([1.0, 0.0, 1.0, 1.0]),
        propensity=np.array([0.8, 0.2, 0.5, 0.5]),
        left_out={},
    )
    table = greedy_table("b", ("a", "b"))
    # b has every choice: w = 0, 1 / 0.2 = 5, 0, 1 / 0.5 = 2. Its mean before each: 1/2, 1/2, (0 + .5) / 2 = 1/4 twice.
    # M = m of b. Robust: 1/2; 1/2 + 5 (0 - 1/2) = -2; 1/4; 1/4 + 2 (1 - 1/4) = 1.75. Mean: 0.125.
    (value,) = evaluate_table(log, table).complexities
    assert value.effective == pytest.approx(7**2 / (25 + 4))
    assert value.success == pytest.approx(0.125)
    assert value.logged == 0.75
    # With a probability of 0.01 the second decision has w = 100 and counts like 50: 1/2 + 50 (0 - 1/2) = -24.5.
    rare = replace(log, propensity=np.array([0.8, 0.01, 0.5, 0.5]), x=np.array([1.0, 0.0, 1.0, 1.0]))
    monkeypatch.setattr("centralcloud.evaluation.off_policy._MOST_OFF", 99.0)
    found = compare_tables(rare, (table, greedy_table("a", ("a", "b"))), (evaluate_table(rare, table),) * 2)
    robust_a = (0.5 + 1 / 0.8 * 0.5 + 0.75 + 0.75 + 2 * 0.25 + 2.5 / 3) / 4
    assert found[0].success == pytest.approx((0.5 - 24.5 + 0.25 + 1.75) / 4 - robust_a)


def test_the_means_are_those_of_earlier_decisions() -> None:
    rows = np.array([True, False, True, True])
    assert means_before(rows, np.array([1.0, 9.0, 0.0, 1.0])).tolist() == [0.5, 0.75, 0.75, 0.5]


def test_a_table_is_valued_by_decisions_of_another_one() -> None:
    log = a_log(_DRAWN, _SUCCESS, 20_000, np.random.default_rng(3), ("simple", "complex"))
    for best, truth in _SUCCESS.items():
        found = evaluate_table(log, greedy_table(best, _MODELS))
        for value in (*found.complexities, found.whole):
            assert value.refused is None
            assert value.success == pytest.approx(truth, abs=0.05)
            assert value.low is not None
            assert value.high is not None
            assert value.low < truth < value.high
            # 1,000 effective decisions in the worst case.
            assert value.high - value.low < 0.25
        assert found.whole.logged == pytest.approx(0.84, abs=0.01)


def test_the_estimate_is_close_and_without_bias_over_many_logs() -> None:
    rng = np.random.default_rng(11)
    table = greedy_table("b", _MODELS)
    found = [evaluate_table(a_log(_DRAWN, _SUCCESS, 3000, rng), table).whole for _ in range(60)]
    estimates = np.array([value.success for value in found])
    assert estimates.mean() == pytest.approx(0.8, abs=0.005)
    assert sum(value.low > 0.8 or value.high < 0.8 for value in found) <= 3  # type: ignore[operator]


def test_a_table_that_differs_is_refused_and_a_canary_is_named() -> None:
    # 0.2% of the decisions try c, as probes do, and the table wants it always.
    drawn = {"a": 0.99, "b": 0.008, "c": 0.002}
    log = a_log(drawn, _SUCCESS, 10_000, np.random.default_rng(5))
    found = evaluate_table(log, greedy_table("c", _MODELS))
    (value,) = found.complexities
    assert 1 <= value.effective <= 30
    assert value.success is value.low is value.high is None
    assert value.canary == "c"
    assert value.refused is not None
    assert "a canary of c at simple tasks would tell" in value.refused
    assert "10,000 decisions are worth" in value.refused
    assert found.whole.success is None
    assert found.whole.refused == "the log cannot tell for simple tasks"


def test_one_complexity_without_an_answer_refuses_the_whole_unless_it_does_not_matter() -> None:
    rng = np.random.default_rng(9)
    known = a_log(_DRAWN, _SUCCESS, 10_000, rng)
    table = greedy_table({"simple": "b", "complex": "c"}, _MODELS)
    for share, whole_known in ((0.2, False), (0.005, True)):
        here = np.flatnonzero(rng.random(len(known)) < share)
        complexity = known.complexity.copy()
        complexity[here] = 2
        model, propensity = known.model.copy(), known.propensity.copy()
        model[here], propensity[here] = 0, 0.99
        found = evaluate_table(replace(known, complexity=complexity, model=model, propensity=propensity), table)
        simple, difficult = found.complexities
        assert simple.success == pytest.approx(0.8, abs=0.03)
        assert difficult.refused is not None
        assert (found.whole.success is not None) == whole_known


def test_a_model_that_was_never_drawn_is_named() -> None:
    log = a_log(_DRAWN, _SUCCESS, 5000, np.random.default_rng(2))
    (value,) = evaluate_table(log, greedy_table("new", (*_MODELS, "new"))).complexities
    assert value.refused == (
        "100.0% of the choices would go to new, which was never drawn: a canary of it at simple tasks would tell"
    )
    assert value.canary == "new"


def test_few_decisions_need_more_time_and_no_canary() -> None:
    log = a_log(_DRAWN, _SUCCESS, 300, np.random.default_rng(2))
    (value,) = evaluate_table(log, greedy_table("a", _MODELS)).complexities
    assert value.refused == "300 decisions, expected 500: read a longer time"
    assert value.canary is None


def test_requests_that_had_other_models_to_choose_from_are_noticed() -> None:
    # A model that was the only one that a request could use has the probability 1.
    log = a_log({"a": 0.5, "b": 0.5}, _SUCCESS, 5000, np.random.default_rng(4))
    log = replace(log, propensity=np.full(5000, 1.0))
    (value,) = evaluate_table(log, greedy_table("b", ("a", "b"))).complexities
    assert value.refused is not None
    assert value.refused.startswith("requests had other models to choose from")


def test_a_router_that_could_draw_one_model_only_says_nothing_about_another_table() -> None:
    log = a_log(_DRAWN, _SUCCESS, 4000, np.random.default_rng(8))
    # Until scores were learned, every router had to take a.
    model, propensity = log.model.copy(), log.propensity.copy()
    model[:1000], propensity[:1000] = 0, 1.0
    log = replace(log, model=model, propensity=propensity)
    tables = [greedy_table(best, _MODELS) for best in ("a", "b")]
    assert len(supported(log, tables[:1])) == 4000
    known = supported(log, tables)
    assert len(known) == 3000
    assert known.left_out == {"certain": 1000}
    assert log.left_out == {}


def test_a_fleet_that_draws_nothing_knows_its_own_table_and_names_the_canary_of_another_one() -> None:
    log = a_log({"a": 1.0}, _SUCCESS, 2000, np.random.default_rng(8))
    tables = [greedy_table(best, ("a", "b")) for best in ("a", "b")]
    log = supported(log, tables)
    own, other = (evaluate_table(log, table) for table in tables)
    assert own.whole.success == pytest.approx(0.9, abs=0.02)
    assert other.whole.success is None
    assert other.complexities[0].canary == "b"


def test_two_tables_are_compared_by_the_same_outcomes() -> None:
    log = a_log({"a": 0.5, "b": 0.5}, {"a": 0.95, "b": 0.7}, 20_000, np.random.default_rng(6))
    tables = greedy_table("a", ("a", "b"), "one"), greedy_table("b", ("a", "b"), "other")
    values = evaluate_table(log, tables[0]), evaluate_table(log, tables[1])
    simple, whole = compare_tables(log, tables, values)
    assert simple.complexity == "simple"
    assert whole.complexity is None
    assert whole.success == pytest.approx(0.25, abs=0.02)
    assert 0.15 < whole.low < 0.25 < whole.high < 0.35
    (same, _) = compare_tables(log, (tables[0], tables[0]), (values[0], values[0]))
    assert same.success == 0
    assert same.low < 0 < same.high


def test_a_table_with_estimates_chooses_as_routers_do() -> None:
    sure, unsure = Estimate(mean=0.9, n_eff=500.0), Estimate(mean=0.85, n_eff=20.0, probe_share=0.1)
    table = ScoreTable(
        "t", [TableScore("a", "simple", 4.5, estimate=sure), TableScore("b", "simple", 4.25, estimate=unsure)]
    )
    chances = table.chances("simple", "coding")
    assert sum(chances.values()) == pytest.approx(1.0)
    assert 0.1 + 0.9 * 0.15 < chances["b"] < 0.5
    assert table.chances("complex", None) == {}


def test_weights_that_are_equal_count_in_full() -> None:
    assert effective(np.ones(100)) == 100
    assert effective(np.zeros(100)) == 0
