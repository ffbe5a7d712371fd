"""Plans for agents and in workspaces: preferences, restrictions, requirements and their relaxation."""

import pytest
from support.planning import estimated, model, names, request, snapshot, struck
from support.routing_rules import KNOWN, compiled, hints, plan, policy, refused, rule

from instance_agent.catalog.model import Pricing
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import TaskHints

RESTRICTED = {"id": "acme", "modelRestrictions": ["b", "old-c"], "deniedModels": ["c"]}


def test_restrictions_of_a_workspace_are_crossed_neither_by_a_fallback_nor_by_a_forced_model() -> None:
    rules = compiled(
        KNOWN, workspaces=[RESTRICTED], rules=[rule("r", "a", "b", "c", condition={"tags": ["r"]})],
        policies=[policy("p", "a", "c", "d")],
    )  # fmt: skip
    assert names(plan(rules, request(workspace="acme"))) == ["b"]
    found = plan(rules, request(workspace="acme", tags=("r",)))
    assert (names(found), struck(found)) == (["b"], dict.fromkeys(("a@p", "c@p"), "workspace_restriction"))
    down = HealthView(breaker_open=frozenset({"b@p"}))
    assert names(plan(rules, request(workspace="acme"), health=down)) == ["b"], "rather one that is down"
    for name in ("a", "p/a", "policy:p", "old-c", "p/never-seen"):
        error = refused(rules, RoutingRequest(model=name, workspace="acme"))
        assert error.code == "workspace_restriction", name
        assert 'the workspace "acme"' in str(error)
    assert names(plan(rules, RoutingRequest(model="b", workspace="acme"))) == ["b"]
    assert names(plan(rules, RoutingRequest(model="a", workspace="other"))) == ["a"]


def test_a_denied_model_is_denied_under_every_name() -> None:
    known = snapshot(model("m", version="m-1"), model("other"))
    rules = compiled(known, workspaces=[{"id": "acme", "deniedModels": ["m", "unknown"]}])
    for name in ("m", "p/m", "p/m-1", "q/unknown", "p/M-1", "p/m:latest", "q/Unknown:8b"):
        assert refused(rules, RoutingRequest(model=name, workspace="acme"), known).code == "workspace_restriction"
    assert names(plan(rules, request(workspace="acme"), known)) == ["other"]


def test_compliance_tags_are_required_of_every_model() -> None:
    known = snapshot(model("eu", 1.0, tags=["gdpr", "eu"]), model("us", 5.0, tags=["gdpr"]))
    rules = compiled(known, workspaces=[{"id": "acme", "complianceRequirements": ["gdpr", "eu"]}])
    found = plan(rules, request(workspace="acme"), known)
    assert (names(found), struck(found)) == (["eu"], {"us@p": "compliance"})
    error = refused(rules, RoutingRequest(model="us", workspace="acme"), known)
    assert (error.code, 'requires the tag "eu"' in str(error)) == ("compliance", True)


AGENT = {
    "id": "coder", "preferredModels": ["c", "gpt-9"], "fallbackModels": ["b"],
    "performanceRequirements": {"maxLatency": 500, "minSuccessRate": 0.8, "maxCostPerToken": 0.00001},
}  # fmt: skip


def test_an_agents_preferred_models_come_first_then_its_fallbacks() -> None:
    found = plan(compiled(KNOWN, agents=[AGENT]), hints(agent_type="coder"))
    assert (names(found), found.kind, found.agent) == (["c", "b"], "agent", "coder")
    assert struck(found) == {"gpt-9": "not_in_catalog"}


@pytest.mark.parametrize("what", ["latency", "success", "cost"])
def test_requirements_of_an_agent_are_compared_with_what_is_known_and_relaxed_when_none_is_left(what: str) -> None:
    dear = {"pricing": Pricing(input=1, output=11)} if what == "cost" else {}
    learned = estimated(c=0.7, b=0.85) if what == "success" else estimated(b=0.85)
    health = HealthView(latency_ms={"c@p": 501.0, "b@p": 500.0} if what == "latency" else {})
    known = snapshot(model("a"), model("b"), model("c", **dear), learned=learned)
    found = plan(compiled(known, agents=[AGENT]), hints(agent_type="coder"), known, health=health)
    assert names(found) == ["b"]
    assert struck(found)["c@p"] == "agent_requirements"
    only = AGENT | {"fallbackModels": []}
    relaxed = plan(compiled(known, agents=[only]), hints(agent_type="coder"), known, health=health)
    assert (names(relaxed), relaxed.relaxed) == (["c"], ("agent_requirements",))


def test_requirements_hold_for_the_learned_selection_too_and_quality_is_given_up_first() -> None:
    known = snapshot(model("a"), model("b"), learned=estimated(a=0.9, b=0.6))
    strict = {"id": "acme", "qualityRequirements": {"minSuccessRate": 0.95}}
    agent = {"id": "coder", "performanceRequirements": {"minSuccessRate": 0.8}}
    rules = compiled(known, workspaces=[strict], agents=[agent])
    asked = RoutingRequest(headers=TaskHints(level="medium", agent_type="coder"), workspace="acme")
    found = plan(rules, asked, known)
    assert (names(found), found.relaxed) == (["a"], ("quality",))
    assert "it succeeds in 60.0% of medium tasks, expected at least 80.0%" in found.text()


def test_an_agent_whose_models_cannot_be_used_is_passed_over_and_the_plan_says_so() -> None:
    agent = {"id": "coder", "preferredModels": ["a"], "requiredCapabilities": ["text-generation"]}
    space = {"id": "acme", "deniedModels": ["a"], "policy": "p"}
    rules = compiled(KNOWN, agents=[agent], workspaces=[space], policies=[policy("p", "d")])
    asked = RoutingRequest(headers=TaskHints(level="medium", agent_type="coder"), workspace="acme")
    found = plan(rules, asked)
    assert (names(found), found.policy, found.relaxed) == (["d"], "p", ())
    assert found.passed_over == ('agent coder: a@p: the workspace "acme" denies it',)
    missing = compiled(KNOWN, agents=[agent | {"preferredModels": ["gpt-9"]}])
    found = plan(missing, hints(agent_type="coder"))
    assert found.passed_over == ("agent coder: the catalog has none of its models (gpt-9)",)
