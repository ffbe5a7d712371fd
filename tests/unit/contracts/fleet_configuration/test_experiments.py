"""Experiments: their JSON, the path of a field that is wrong, their split, and references to what they name."""

from typing import Any

import pytest
from support.experiment_entries import an_experiment, parsed
from support.routing_rules import policy

from centralcloud.contracts import ContractError, Estimate
from centralcloud.contracts.experiment_arms import Split
from centralcloud.contracts.fleet_configuration import (
    ExperimentPlan,
    FleetConfiguration,
    check_models,
    parse_experiment,
    parse_policy,
    put,
    read_configuration,
    to_body,
)
from centralcloud.contracts.task_score import TaskScore
from instance_agent.settings import GatewaySettings

MODEL = {"name": "new", "model": "gpt-4o"}
POLICY = {"name": "fast", "policy": "fast"}
TABLE = {
    "name": "table",
    "scoreTable": [{"modelId": "gpt-4o", "complexity": "simple", "score": 4.5, "mean": 0.9, "nEff": 200}],
}


def configuration(*entries: Any) -> FleetConfiguration:
    return read_configuration(1, {(each.kind, each.id): each.body for each in map(put, entries)})


@pytest.mark.parametrize("treatment", [MODEL, POLICY, TABLE])
def test_an_experiment_reads_back_as_it_is_written(treatment: dict[str, Any]) -> None:
    scope = {
        "complexities": ["simple"],
        "taskTypes": ["analysis"],
        "workspaces": ["acme"],
        "requestedModels": ["gpt-4"],
    }
    experiment = parsed(treatment, scope=scope)
    assert parse_experiment(to_body(experiment)) == experiment
    body = to_body(experiment)
    assert {"requestedModels": ["gpt-4"], "taskTypes": ["analysis"]}.items() <= body["scope"].items()
    assert treatment.items() <= body["treatments"][0].items() or treatment is TABLE


def test_the_defaults_are_those_of_a_canary_in_four_steps() -> None:
    experiment = parse_experiment({**an_experiment(share=0.01), "plan": {}})
    assert experiment.plan.steps == (0.01, 0.05, 0.25, 0.5)
    assert (experiment.plan.margin, experiment.plan.alpha, experiment.plan.rollback_alpha) == (0.02, 0.05, 0.005)


_TWO = [MODEL, {"name": "other", "model": "b"}]


def task(name: str) -> dict[str, Any]:
    return {"taskType": name, "score": 4.9, "mean": 0.98, "nEff": 50}


def a_table(**fields: Any) -> dict[str, Any]:
    return {
        "treatments": [{"name": "t", "scoreTable": [{"modelId": "a", "complexity": "simple", "score": 4, **fields}]}]
    }


def test_a_table_has_scores_of_task_types_and_comes_back_from_its_json() -> None:
    fields = a_table(mean=0.8, nEff=90, drawN=12, taskTypes=[{**task("code"), "drawN": 7}, task("chat")])
    experiment = parse_experiment({**an_experiment(), **fields, "learnedBy": "adaptive"})
    assert parse_experiment(to_body(experiment)) == experiment
    (score,) = experiment.treatments[0].score_table
    assert score.estimate == Estimate(mean=0.8, n_eff=90, draw_n=12)
    assert score.task_scores == {
        "code": TaskScore(score=4.9, estimate=Estimate(mean=0.98, n_eff=50, draw_n=7)),
        "chat": TaskScore(score=4.9, estimate=Estimate(mean=0.98, n_eff=50)),
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": ""}, "experiment.id"),
        ({"salt": "a\nb"}, "experiment.salt"),
        ({"treatments": []}, "experiment.treatments"),
        ({"treatments": _TWO}, "experiment.treatments"),
        ({"treatments": [{"name": "new"}]}, "experiment.treatments[0]"),
        ({"treatments": [{**MODEL, "policy": "fast"}]}, "experiment.treatments[0]"),
        ({"treatments": [{"name": "control", "model": "a"}]}, "experiment.treatments[0].name"),
        ({"kind": "ab", "treatments": [MODEL, MODEL]}, "experiment.treatments[1].name"),
        ({"treatments": [{**TABLE, "scoreTable": TABLE["scoreTable"] * 2}]}, "experiment.treatments[0].scoreTable[1]"),
        (
            {
                "treatments": [
                    {"name": "t", "scoreTable": [{"modelId": "a", "complexity": "simple", "score": 4, "mean": 0.5}]}
                ]
            },
            "experiment.treatments[0].scoreTable[0]",
        ),
        (a_table(drawN=5), "experiment.treatments[0].scoreTable[0].drawN"),
        (a_table(taskTypes=[task("code"), task("code")]), "experiment.treatments[0].scoreTable[0].taskTypes[1]"),
        (a_table(taskTypes=list(map(task, map(str, range(33))))), "experiment.treatments[0].scoreTable[0].taskTypes"),
        (a_table(taskTypes=[task("\n")]), "experiment.treatments[0].scoreTable[0].taskTypes[0]"),
        ({"learnedBy": 1}, "experiment.learnedBy"),
        ({"plan": {"steps": []}}, "experiment.plan.steps"),
        ({"plan": {"steps": [0.5, 0.1]}}, "experiment.plan.steps"),
        ({"plan": {"steps": [0.6]}}, "experiment.plan.steps[0]"),
        ({"kind": "ab", "plan": {"steps": [0.1, 0.2]}}, "experiment.plan.steps"),
        ({"kind": "ab", "treatments": _TWO, "plan": {"steps": [0.34]}}, "experiment.plan.steps[0]"),
        ({"stage": {"step": 4}}, "experiment.stage.step"),
        ({"stage": {"share": 0.7}}, "experiment.stage.share"),
        ({"stage": {"since": "2026-11-20T12:00:00"}}, "experiment.stage.since"),
        ({"stage": {"status": "promoted"}}, "experiment.stage.winner"),
        ({"stage": {"status": "promoted", "winner": "other"}}, "experiment.stage.winner"),
        ({"stage": {"winner": "new"}}, "experiment.stage.winner"),
        ({"scope": {"complexities": ["hard"]}}, "experiment.scope.complexities[0]"),
        ({"surprise": 1}, "experiment.surprise"),
    ],
)
def test_a_field_that_is_wrong_is_named_by_its_path(changed: dict[str, Any], field: str) -> None:
    valid = an_experiment(MODEL)
    value = {**valid, **changed, "stage": {**valid["stage"], **changed.get("stage", {})}}
    with pytest.raises(ContractError) as found:
        parse_experiment(value)
    assert str(found.value).startswith(f"{field}: ")


def test_the_split_follows_the_stage() -> None:
    assert parsed(share=0.25, stage={"before": 0.05}).split == Split(1, 0.25, 0.05)
    assert parsed(*_TWO, share=0.2).split == Split(2, 0.2, None)
    for status in ("paused", "rolledBack", "undecided", "stopped"):
        ended = parsed(share=0.25, stage={"status": status, "before": 0.05})
        assert (ended.split, ended.is_routed) == (Split(1, 0.0, None), status == "paused")
    promoted = parsed(stage={"status": "promoted", "winner": "new"})
    assert (promoted.is_open, promoted.is_routed) == (False, True)


def test_a_routed_experiment_keeps_the_policies_and_models_that_it_names() -> None:
    running, ended = parsed(POLICY), parsed(POLICY, stage={"status": "stopped"})
    with pytest.raises(ContractError, match=r'experiments\["e1"\]\.treatments\[0\]\.policy: found "fast"'):
        configuration(running)
    assert configuration(ended).experiments == (ended,)
    assert configuration(running, parse_policy(policy("fast", "a"))).experiments == (running,)
    empty, with_model = configuration(), configuration(parsed(MODEL))
    with pytest.raises(ContractError, match=r'experiments\["e1"\]\.treatments\[0\]\.model: found "gpt-4o"'):
        check_models(empty, with_model, lambda _: False)
    check_models(empty, with_model, lambda name: name == "gpt-4o")
    check_models(empty, configuration(parsed(MODEL, stage={"status": "rolledBack"})), lambda _: False)


def test_experiments_are_asked_in_the_order_of_their_ids_and_at_most_twenty_are_open() -> None:
    many = [parsed(id=f"e{number:02}") for number in range(20)]
    assert [each.id for each in configuration(*reversed(many)).experiments] == [each.id for each in many]
    with pytest.raises(ContractError, match="experiments: found 21 that run or are paused, expected at most 20"):
        configuration(*many, parsed(id="more"))
    assert len(configuration(*many, parsed(id="more", stage={"status": "stopped"})).experiments) == 21


def test_outcomes_are_awaited_for_a_minute_longer_than_a_gateway_allows_a_request() -> None:
    longest = GatewaySettings.model_fields["gateway_deadline_seconds"].default
    assert ExperimentPlan().outcome_within_seconds >= longest + 60
