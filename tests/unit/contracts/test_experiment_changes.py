"""Changes of an experiment by an operator, and its beginning."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.experiments import TOKEN, an_experiment, at, shown

from centralcloud.contracts import ContractError
from centralcloud.contracts.experiment_changes import (
    ExperimentStateError,
    check_removable,
    paused,
    promoted,
    resumed,
    stopped,
)
from centralcloud.contracts.fleet_configuration import Experiment, parse_experiment, parse_rule, to_body
from centralcloud.contracts.new_experiment import Begun, Traffic, begin, canary_of_rule, with_rule

CHANGES = {"paused": paused, "resumed": resumed, "stopped": stopped, "promoted": promoted}


def begun(value: dict[str, Any], *, earlier: tuple[Experiment, ...] = (), traffic: Traffic | None = None) -> Begun:
    return begin(value, "body", now=at(0), token=TOKEN, earlier=earlier, traffic=traffic)


@pytest.mark.parametrize(
    ("stage", "allowed"),
    [
        ({}, {"paused", "stopped", "promoted"}),
        ({"status": "paused", "share": 0.0, "by_hand": False}, {"paused", "resumed", "stopped", "promoted"}),
        ({"status": "paused", "share": 0.0, "by_hand": True}, {"resumed", "stopped", "promoted"}),
        ({"status": "promoted", "winner": "b"}, set()),
        ({"status": "rolledBack"}, set()),
        ({"status": "undecided"}, set()),
        ({"status": "stopped"}, set()),
    ],
)
def test_each_state_allows_its_changes_and_the_result_can_be_stored(stage: dict[str, Any], allowed: set[str]) -> None:
    experiment = an_experiment(stage=stage)
    for name, change in CHANGES.items():
        if name not in allowed:
            with pytest.raises(ExperimentStateError):
                change(experiment, at(9))
            continue
        after = change(experiment, at(9), reason="as asked")
        assert parse_experiment(to_body(after)) == after
        assert (after.stage.since, after.stage.by_hand) == (at(9), True)
        assert after.stage.reason == f"{name} by hand: as asked"
        assert after.split.share == 0 or (name == "resumed" and after.split.before == 0)
    if experiment.is_open:
        with pytest.raises(ExperimentStateError, match="expected one that has ended: stop it first"):
            check_removable(experiment, is_published=True)
    else:
        check_removable(experiment, is_published=False)


def test_an_experiment_is_not_said_to_run_by_hand() -> None:
    with pytest.raises(ExperimentStateError, match="is running since"):
        check_removable(an_experiment(stage={"by_hand": True}), is_published=False)
    with pytest.raises(ExperimentStateError, match="is paused by hand since"):
        paused(an_experiment(stage={"status": "paused", "share": 0.0, "by_hand": True}), at(9))


def test_a_promoted_score_table_is_not_removed_before_it_is_published() -> None:
    treatments = [{"scoreTable": [{"modelId": "a", "complexity": "simple", "score": 4.0}]}]
    waiting = promoted(an_experiment(treatments=treatments), at(1))
    with pytest.raises(ExperimentStateError, match="a score table that is not published yet, expected that it is"):
        check_removable(waiting, is_published=False)
    check_removable(waiting, is_published=True)
    check_removable(stopped(an_experiment(treatments=treatments), at(1)), is_published=False)


def test_a_promotion_names_its_winner() -> None:
    assert promoted(an_experiment(), at(1)).stage.winner == "b"
    test = an_experiment(kind="ab", treatments=[{"model": "b"}, {"model": "c"}])
    assert promoted(test, at(1), "c").stage.winner == "c"
    with pytest.raises(ExperimentStateError, match="has 2 treatments, expected the name of one: b, c"):
        promoted(test, at(1))
    with pytest.raises(ExperimentStateError, match=r'found no treatment "d" .* expected one of b, c'):
        promoted(test, at(1), "d")


def test_a_promotion_by_hand_holds_only_where_asked_and_moves_no_session() -> None:
    held = promoted(an_experiment(), at(1), hold=True)
    assert (shown(held.stage), held.stage.winner, held.stage.by_hand) == (("running", 4, 0.95, 0.01), "b", True)
    assert parse_experiment(to_body(held)) == held
    in_mid_step = an_experiment(stage={"step": 2, "share": 0.25, "before": 0.05})
    assert promoted(in_mid_step, at(1), hold=True).stage.before == 0.05
    halted = an_experiment(stage={"status": "paused", "share": 0.0, "by_hand": False})
    assert promoted(halted, at(1), hold=True).stage.retries == 1, "what it has paused itself for would end the hold"
    assert promoted(held, at(2)).stage.status == "promoted", "it ends the hold"
    for wrong, message in (
        (held, "is promoted, on hold since .* expected one whose hold has not begun"),
        (an_experiment(plan={"holdSeconds": 0}), "has no hold: holdSeconds of its plan is 0"),
        (an_experiment(kind="ab"), "has no hold: it is an A/B test"),
    ):
        with pytest.raises(ExperimentStateError, match=message):
            promoted(wrong, at(3), hold=True)


def test_a_long_reason_and_one_that_steers_a_terminal_are_stored_in_short() -> None:
    stage = stopped(an_experiment(), at(1), "x" * 500 + "\x1b").stage
    assert len(stage.reason) == 200
    assert stage.reason.endswith("...")


def test_what_is_not_asked_for_has_defaults() -> None:
    found = begun({"name": "GPT 5: für Code?", "treatments": [{"model": "gpt-5"}]}).experiment
    assert (found.id, found.salt, found.kind) == ("gpt-5-f-r-code-abcdef", TOKEN, "canary")
    assert [each.name for each in found.treatments] == ["gpt-5"]
    assert found.plan.steps == (0.01, 0.05, 0.25, 0.5)
    assert shown(found.stage) == ("running", 0, 0.01, None)
    table = {"scoreTable": [{"modelId": "a", "complexity": "simple", "score": 4.0}]}
    several = begun({"name": "!", "kind": "ab", "treatments": [table, {"policy": "fast"}, {"model": "c"}]}).experiment
    assert [each.name for each in several.treatments] == ["score-table", "fast", "c"]
    assert several.plan.steps == (0.25,), "control has no less than a treatment"
    assert several.id == "experiment-abcdef"


@pytest.mark.parametrize(
    ("traffic", "margin", "note"),
    [
        (None, 0.02, "margin 2 points of success: the traffic of the scope is not known"),
        (Traffic(60, 0.95), 0.02, "60 requests a minute in the last day, 95.0% of them successes"),
        (Traffic(500, 0.95), 0.02, "margin 2 points"),
        (Traffic(501, 0.95), 0.01, "margin 1 point of success: 501 requests"),
        (Traffic(501, 0.84), 0.03, "margin 3 points of success"),
        (Traffic(9000, None), 0.01, "no outcomes"),
    ],
)
def test_the_margin_follows_from_the_traffic(traffic: Traffic | None, margin: float, note: str) -> None:
    found = begun({"name": "x", "treatments": [{"model": "b"}]}, traffic=traffic)
    assert found.experiment.plan.margin == margin
    assert note in found.notes[0]
    asked = begun({"name": "x", "treatments": [{"model": "b"}], "plan": {"margin": 0.04}}, traffic=traffic)
    assert (asked.experiment.plan.margin, asked.notes) == (0.04, ())


def test_the_caps_follow_from_the_traffic() -> None:
    value = {"name": "x", "treatments": [{"model": "b"}]}
    cheap = begun(value, traffic=Traffic(60, 0.95, mean_ms=140.0, mean_cost_usd=0.0004))
    assert (cheap.experiment.plan.latency_cap_ms, cheap.experiment.plan.cost_cap_usd) == (500.0, 0.002)
    assert "costCapUsd 0.002: the mean in the last day is 0.0004 USD" in cheap.notes
    free = begun(value, traffic=Traffic(60, 0.95, mean_ms=5_000.0, mean_cost_usd=0.0)).experiment.plan
    assert (free.latency_cap_ms, free.cost_cap_usd) == (20_000.0, 0.1)
    asked = begun({**value, "plan": {"costCapUsd": 0.5}}, traffic=Traffic(60, 0.95, mean_cost_usd=0.01)).experiment
    assert asked.plan.cost_cap_usd == 0.5


def test_the_third_attempt_has_a_third_of_alpha() -> None:
    value = {"name": "x", "treatments": [{"model": "b"}], "plan": {"alpha": 0.06}}
    same = replace(an_experiment(), salt="one")
    earlier = (
        same,
        replace(same, id="other", salt="two"),
        replace(an_experiment(scope={"complexities": ["simple"]}), salt="three"),
        replace(an_experiment(treatments=[{"model": "c"}]), salt="four"),
    )
    found = begun(value, earlier=(*earlier,))
    assert found.attempt == 3
    assert found.experiment.plan.alpha == pytest.approx(0.02)
    assert found.notes[-1] == (
        "experiment number 3 of this treatment and scope: alpha 0.06 / 3 = 0.02, as each attempt may err"
    )


def test_a_scope_in_another_order_or_form_and_a_used_id_are_the_same_attempt() -> None:
    table = [{"modelId": "a", "complexity": level, "score": 4.0} for level in ("simple", "medium")]
    first = an_experiment(scope={"taskTypes": ["code", "review"]}, treatments=[{"scoreTable": table}])
    first = replace(first, salt="another salt")
    scope = {"taskTypes": ["review", "code"], "complexities": ["complex", "simple", "medium"]}
    asked = {"name": "x", "scope": scope, "treatments": [{"name": "other", "scoreTable": table[::-1]}]}
    assert begun(asked, earlier=(first,)).attempt == 2
    same_id = replace(first, id=begun(asked).experiment.id)
    assert begun(asked, earlier=(same_id,)).attempt == 2
    assert begun({**asked, "scope": {"taskTypes": ["review"]}}, earlier=(first,)).attempt == 1
    changed = [{**table[0], "score": 4.1}, table[1]]
    assert begun({**asked, "treatments": [{"scoreTable": changed}]}, earlier=(first,)).attempt == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"treatments": [{"model": "b"}]}, "body.name: found nothing"),
        ({"name": "x", "treatments": []}, "body.treatments: found 0 items"),
        ({"name": "x", "treatments": [{}]}, "body.treatments[0]: found none of model, policy and scoreTable"),
        ({"name": "x", "treatments": [{"model": "b"}], "salt": "mine"}, "body.salt: found"),
        ({"name": "x", "treatments": [{"model": "b"}], "plan": {"steps": [0.6]}}, "body.plan.steps[0]: found"),
        ({"name": "x", "treatments": [{"model": "b"}], "plan": {"steps": "all"}}, "body.plan.steps: found"),
        ({"name": "x", "treatments": [{"model": "b"}], "plan": {"margins": 1}}, "body.plan.margins: found 1"),
        ({"name": "x", "treatments": "b"}, 'body.treatments: found "b"'),
    ],
)
def test_a_wrong_value_is_named_with_its_path(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError) as error:
        begun(value)
    assert str(error.value).startswith(message)


RULE = {
    "name": "Reviewers",
    "condition": {"taskType": ["review"], "complexity": ["medium", "complex"]},
    "targetModels": [{"modelId": "a", "weight": 0.8}, {"modelId": "b", "weight": 0.2, "fallbackOrder": 2}],
    "trafficSplit": {"primary": 80, "canary": 20},
}


def test_the_split_of_a_rule_becomes_a_ramp_to_its_share_and_leaves_the_rule() -> None:
    asked, rule = canary_of_rule(parse_rule(RULE))
    found = begun(asked).experiment
    assert (found.name, found.treatments[0].model) == ("canary of Reviewers", "b")
    assert found.plan.steps == (0.01, 0.05, 0.2)
    assert (found.scope.task_types, found.scope.complexities) == (("review",), ("medium", "complex"))
    assert rule.traffic_split is None
    assert [(each.model_id, each.weight) for each in rule.target_models] == [("a", 0.8), ("b", 0.0)]
    assert parse_rule(to_body(rule)) == rule


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trafficSplit": None}, "trafficSplit: found nothing"),
        ({"trafficSplit": {"primary": 40, "canary": 60}}, "trafficSplit.canary: found 60"),
        ({"condition": {"agentType": ["x"]}}, "condition.agentType: found a condition"),
        ({"condition": {"complexity": {"min": 4}}}, "condition.complexity: found a condition"),
        ({"condition": {"not": {"taskType": ["x"]}}}, "condition.not: found a condition"),
    ],
)
def test_a_rule_that_cannot_be_a_canary_says_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=r"routingRules\[.*\]\.") as error:
        canary_of_rule(parse_rule({**RULE, **change}))
    assert message in str(error.value)


def test_a_plan_beside_a_rule_is_an_object() -> None:
    rule = parse_rule(RULE)
    asked, _ = with_rule([rule], rule.id, {"plan": {"margin": 0.03}})
    assert asked["plan"]["margin"] == 0.03
    with pytest.raises(ContractError, match=r"^plan: found a list of 1 items, expected an object$"):
        with_rule([rule], rule.id, {"plan": [1]})


def test_the_notes_have_numbers_without_an_exponent() -> None:
    traffic = Traffic(12_345.0, 0.93, mean_ms=1_190.4, mean_cost_usd=0.0000123)
    notes = begun({"name": "x", "treatments": [{"model": "b"}]}, traffic=traffic).notes
    assert "12,300 requests a minute" in notes[0]
    assert notes[1] == "latencyCapMs 5,000: the mean in the last day is 1,190 ms"
    assert notes[2] == "costCapUsd 0.00005: the mean in the last day is 0.0000123 USD"
