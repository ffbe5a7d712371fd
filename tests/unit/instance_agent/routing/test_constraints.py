"""Constraints of a plan: why targets are left out, and which constraint is given up when none is left."""

import pytest
from support.planning import a_planner, keys, model, names, request, snapshot, struck

from instance_agent.catalog.model import Endpoint, Model
from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.plan import PlanError
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import hints_from_headers

CONSTRAINED = [
    ("inactive", {"status": "inactive"}, {}),
    ("deprecated", {"status": "deprecated"}, {}),
    ("model_type", {"model_type": "embedding"}, {}),
    ("provider_unavailable", {"provider": "none"}, {}),
    ("provider_unavailable", {"provider": "not described"}, {}),
    ("input", {"capabilities": ["tools"]}, {"needs": ("vision",)}),
    ("capability_needed", {"capabilities": ["vision"]}, {"needs": ("json_schema",)}),
    ("context_window", {"context_window": 8_000}, {"input_tokens": 7_000, "output_tokens": 1_001}),
]


@pytest.mark.parametrize(("code", "fields", "asked"), CONSTRAINED)
def test_a_target_that_breaks_a_constraint_is_left_out_with_the_reason(code: str, fields: dict, asked: dict) -> None:
    known = snapshot(
        model("strict", 5.0, **fields), model("wide", capabilities=["vision", "json_schema"], context_window=200_000)
    )
    plan = a_planner().plan(request(**asked), known)
    assert names(plan) == ["wide"]
    assert list(struck(plan).values()) == [code]
    assert plan.struck[0].words
    assert plan.relaxed == ()


#: Relaxations that other tests show.
_ELSEWHERE = {"capability_asked", "quality", "agent_requirements"}


def test_a_request_that_fits_exactly_is_not_too_long() -> None:
    known = snapshot(model("small", 5.0, context_window=8_000), model("unknown", 1.0))
    assert names(a_planner().plan(request(input_tokens=8_000), known)) == ["small", "unknown"]
    assert names(a_planner().plan(request(input_tokens=8_001), known)) == ["unknown"]


def test_tools_and_function_calling_are_one_capability() -> None:
    known = snapshot(model("a", capabilities=["tools"]), model("b", capabilities=["function_calling"]), model("c", 5.0))
    assert set(names(a_planner().plan(request(needs=("function_calling",)), known))) == {"a", "b"}


def test_completion_and_chat_models_stand_in_for_each_other_and_embedding_models_do_not() -> None:
    known = snapshot(model("chat"), model("old", model_type="completion"), model("vectors", model_type="embedding"))
    assert set(names(a_planner().plan(request(), known))) == {"chat", "old"}
    assert names(a_planner().plan(request(model_type="embedding"), known)) == ["vectors"]


@pytest.mark.parametrize(
    ("health", "code"),
    [
        (HealthView(breaker_open=frozenset({"best@p"})), "breaker_open"),
        (HealthView(unhealthy={"best": "posted unhealthy: error rate 40%"}), "unhealthy"),
        (HealthView(unhealthy={"best@p": "its health check fails"}), "unhealthy"),
    ],
)
def test_an_unhealthy_target_is_left_out_until_the_view_says_otherwise(health: HealthView, code: str) -> None:
    known, planner = snapshot(model("best", 5.0), model("other")), a_planner()
    assert names(planner.plan(request(), known))[0] == "best"
    plan = planner.plan(request(), known, health)
    assert names(plan) == ["other"]
    assert struck(plan) == {"best@p": code}
    assert names(planner.plan(request(), known))[0] == "best"


def test_an_open_breaker_strikes_one_endpoint_and_not_the_model() -> None:
    endpoints = [Endpoint(url="http://10.0.0.8/v1"), Endpoint(url="http://10.0.0.9/v1")]
    known = snapshot(model("m", endpoints=endpoints))
    plan = a_planner().plan(request(), known, HealthView(breaker_open=frozenset({"m@p"})))
    assert keys(plan) == ["m@p#2"]
    assert struck(plan) == {"m@p": "breaker_open"}


RELAXED = [
    ("unhealthy", [model("a")], {}, HealthView(unhealthy={"a": "slow"})),
    ("breaker_open", [model("a")], {}, HealthView(breaker_open=frozenset({"a@p"}))),
    ("no_score", [model("a", complexity_scores={"simple": 3.0})], {}, HealthView()),
    ("context_window", [model("a", context_window=10)], {"input_tokens": 11}, HealthView()),
    ("capability_needed", [model("a")], {"needs": ("json_schema",)}, HealthView()),
]


@pytest.mark.parametrize(("code", "models", "asked", "health"), RELAXED)
def test_a_constraint_that_every_target_breaks_is_relaxed_and_reported(
    code: str, models: list[Model], asked: dict, health: HealthView
) -> None:
    plan = a_planner().plan(request(**asked), snapshot(*models), health)
    assert names(plan) == ["a"]
    assert plan.relaxed == (code,)
    assert RELAXATIONS[code] in plan.text()
    shown = plan_as_json(plan, None)["targets"]
    assert [each["code"] for each in shown[0]["although"]] == [code]
    assert f"although {shown[0]['although'][0]['reason']}" in plan.text()


def test_a_plan_says_of_each_target_why_it_should_not_be_called_when_none_should() -> None:
    known = snapshot(model("a"), model("b", 3.5), model("c", complexity_scores={"simple": 3.0}))
    health = HealthView(unhealthy={"a": "slow", "b@p": "its check fails", "c": "no answer"})
    shown = plan_as_json(a_planner().plan(request(), known, health), None)
    assert shown["leftOut"] == []
    reasons = {each["modelId"]: [why["reason"] for why in each["although"]] for each in shown["targets"]}
    assert reasons == {"a": ["slow"], "b": ["its check fails"], "c": ["no answer"]}
    healthy = plan_as_json(a_planner().plan(request(), known), None)
    assert [each["although"] for each in healthy["targets"]] == [[], [], []]


def test_a_plan_for_a_model_that_the_client_named_says_why_its_targets_should_not_be_called() -> None:
    endpoints = [Endpoint(url="http://10.0.0.8/v1"), Endpoint(url="http://10.0.0.9/v1")]
    known = snapshot(model("m", endpoints=endpoints))
    plan = a_planner().plan(request(model="m"), known, HealthView(breaker_open=frozenset({"m@p"})))
    shown = plan_as_json(plan, None)["targets"]
    assert [(each["target"], [why["code"] for why in each["although"]]) for each in shown] == [
        ("m@p#2", []),
        ("m@p", ["breaker_open"]),
    ]


def test_a_capability_that_the_caller_asked_for_is_relaxed_like_the_router_does() -> None:
    hints = hints_from_headers({"x-centralcloud-complexity": "simple", "x-centralcloud-capabilities": "telepathy"})
    plan = a_planner().plan(RoutingRequest(headers=hints), snapshot(model("a"), model("b", 4.0)))
    assert (names(plan), plan.relaxed) == (["b", "a"], ("capability_asked",))


def test_the_least_is_relaxed_in_the_documented_order() -> None:
    """Each target breaks one constraint more or a later one; the one that gives up the least is used."""
    by_order = {
        "no_score": model("no_score", complexity_scores={"simple": 3.0}),
        "unhealthy": model("unhealthy"),
        "breaker_open": model("breaker_open"),
        "context_window": model("context_window", context_window=10),
        "capability_needed": model("capability_needed", capabilities=["vision"]),
    }
    assert [code for code in RELAXATIONS if code not in _ELSEWHERE] == list(by_order)
    models = {
        code: each
        if code == "capability_needed"
        else each.model_copy(update={"capabilities": frozenset({"vision", "json_schema"})})
        for code, each in by_order.items()
    }
    health = HealthView(breaker_open=frozenset({"breaker_open@p"}), unhealthy={"unhealthy": "slow"})
    asked = request(input_tokens=11, needs=("json_schema", "vision"))
    remaining = dict(models)
    for code in by_order:
        plan = a_planner().plan(asked, snapshot(*remaining.values()), health)
        assert (names(plan), plan.relaxed) == ([code], (code,))
        assert struck(plan) == {f"{other}@p": other for other in remaining if other != code}
        del remaining[code]


def test_two_constraints_are_relaxed_together_when_no_target_breaks_only_one() -> None:
    known = snapshot(model("a", context_window=10), model("b", context_window=10, complexity_scores={"simple": 1}))
    health = HealthView(breaker_open=frozenset({"a@p"}))
    plan = a_planner().plan(request(input_tokens=11), known, health)
    assert (names(plan), plan.relaxed) == (["b"], ("no_score", "context_window"))


def test_a_healthy_model_without_a_score_comes_before_one_whose_breaker_is_open_and_after_one_that_works() -> None:
    known = snapshot(model("a"), model("b", complexity_scores={"simple": 3.0}))
    healthy = a_planner().plan(request(), known)
    broken = a_planner().plan(request(), known, HealthView(breaker_open=frozenset({"a@p"})))

    assert (names(healthy), healthy.relaxed, struck(healthy)) == (["a", "b"], (), {}), "one 500 fails no request"
    assert [each.code for each in healthy.targets] == ["best", "unscored"]
    assert (names(broken), broken.relaxed, struck(broken)) == (["b"], ("no_score",), {"a@p": "breaker_open"})


def test_a_model_without_a_score_that_lacks_something_else_is_not_a_fallback() -> None:
    lacks = model("b", complexity_scores={"simple": 3.0}, context_window=10)
    plan = a_planner().plan(request(input_tokens=11), snapshot(model("a"), lacks))
    assert (names(plan), struck(plan)) == (["a"], {"b@p": "context_window"})


@pytest.mark.parametrize(
    ("fields", "asked", "words"),
    [
        ({"status": "inactive"}, {}, "a@p: an operator has set it to inactive"),
        ({"provider": "none"}, {}, "a@none: its provider has no key that can be used"),
        ({}, {"needs": ("vision",)}, "a@p: it does not accept vision"),
        ({"complexity_scores": {}}, {}, "a@p: it has no score for medium tasks and none for simple ones"),
        ({}, {"model_type": "embedding"}, "a@p: it is a model for chat, the request needs embedding"),
    ],
)
def test_a_firm_constraint_is_never_relaxed(fields: dict, asked: dict, words: str) -> None:
    with pytest.raises(PlanError) as refused:
        a_planner().plan(request(**asked), snapshot(model("a", **fields)))
    assert refused.value.code == "no_target"
    assert words in str(refused.value)
    assert len(refused.value.struck) == 1


def test_an_empty_catalog_is_a_clear_error() -> None:
    with pytest.raises(PlanError, match="the catalog is empty"):
        a_planner().plan(request(), snapshot())
