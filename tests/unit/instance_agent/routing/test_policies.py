"""Plans by policies and rules: order, what is passed over, the policies of the seed, and errors."""

from collections import Counter

import pytest
from support.planning import a_planner, estimated, keys, learned, model, names, request, snapshot, struck
from support.routing_rules import KNOWN, MODELS, compiled, configured, hints, plan, policy, refused, rule

from instance_agent.catalog.source import CatalogSource
from instance_agent.routing.explanation import MAX_EXPLANATION_BYTES
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.task import TaskHints


def test_a_policy_is_tried_by_priority_and_names_by_which_clients_call_models_are_known_to_it() -> None:
    listed = {
        "name": "code",
        "models": [{"model": "d", "priority": 2}, {"model": "old-c", "priority": 1}, {"model": "gpt-9", "priority": 3}],
    }
    found = plan(compiled(KNOWN, policies=[listed]), RoutingRequest(model="policy:code"))
    assert names(found) == ["c", "d"]
    assert (found.kind, found.policy, found.policy_from, found.propensity) == ("policy", "code", "client", None)
    assert [each.code for each in found.targets] == ["policy", "fallback"]
    assert struck(found) == {"gpt-9": "not_in_catalog"}
    assert 'priority 1 of the policy "code" (score 3.00)' in found.text()


def test_a_policy_can_be_bound_to_a_provider() -> None:
    known = snapshot(model("m"), model("m", provider="q"), model("n"))
    listed = {"name": "p", "models": [{"model": "m", "provider": "q"}, {"model": "free/x", "provider": "q"}]}
    found = plan(compiled(known, policies=[listed]), RoutingRequest(model="policy:p"), known)
    assert keys(found) == ["m@q", "q/free/x@q"]
    assert found.targets[1].target.model.sent_as == "free/x"


def test_models_of_a_policy_need_no_score_and_a_fallback_policy_follows() -> None:
    known = snapshot(model("unscored", None), model("a"), model("b", 4.0))
    policies = [
        policy("main", "unscored", fallback="off"),
        policy("off", "a", is_active=False, fallback="last"),
        policy("last", "b", "unscored", order="learned"),
    ]
    found = plan(compiled(known, policies=policies), RoutingRequest(model="policy:main"), known)
    assert (names(found), found.first.ranked) == (["unscored", "b"], None)
    broken = HealthView(breaker_open=frozenset({"unscored@p"}))
    found = plan(compiled(known, policies=policies), RoutingRequest(model="policy:main"), known, health=broken)
    assert (names(found), struck(found)) == (["b"], {"unscored@p": "breaker_open"})


def test_a_learned_policy_selects_among_its_models_with_a_propensity() -> None:
    known = snapshot(*MODELS, learned=estimated(a=0.9, b=0.8, c=0.8))
    policies = [policy("p", "b", "c", order="learned", fallback="q"), policy("q", "d")]
    rules = compiled(known, policies=policies, tasks=[{"id": "analysis", "policy": "p"}])
    planner, seen = a_planner(), Counter()
    for _ in range(300):
        found = planner.plan(hints(task_type="analysis"), known, rules=rules)
        assert set(names(found)[:2]) == {"b", "c"}
        assert names(found)[2:] == ["d"]
        assert found.propensity is not None
        assert found.kind in ("best", "probe")
        seen[names(found)[0]] += 1
    assert min(seen["b"], seen["c"]) > 60
    assert planner.sets_computed == 1


ORDER: list[tuple[RoutingRequest, str, str]] = [
    (hints(task_type="t", agent_type="coder"), "rule r", "b"),
    (RoutingRequest(model="a", headers=TaskHints(agent_type="coder")), "forced", "a"),
    (RoutingRequest(model="policy:client", headers=TaskHints(agent_type="coder")), "policy client", "c"),
    (hints(agent_type="writer", task_type="t"), "agent writer", "d"),
    (hints(task_type="t"), "policy task", "c"),
    (RoutingRequest(headers=TaskHints(level="medium"), workspace="acme"), "policy space", "d"),
    (RoutingRequest(headers=TaskHints(level="medium", task_type="t"), workspace="acme"), "policy task", "c"),
    (request(), "best", "a"),
]


@pytest.mark.parametrize(("asked", "by", "first"), ORDER, ids=[by for _, by, _ in ORDER])
def test_the_first_that_applies_decides(asked: RoutingRequest, by: str, first: str) -> None:
    rules = compiled(
        KNOWN,
        rules=[rule("r", "b", condition={"agentType": ["coder"]})],
        policies=[policy("client", "c"), policy("task", "c"), policy("space", "d")],
        tasks=[{"id": "t", "policy": "task"}],
        agents=[{"id": "writer", "preferredModels": ["d"]}],
        workspaces=[{"id": "acme", "policy": "space"}],
    )
    found = plan(rules, asked)
    name = {"rule": found.rule, "agent": found.agent, "policy": found.policy}.get(found.kind)
    assert (f"{found.kind} {name}" if name else found.kind, names(found)[0]) == (by, first)


def test_a_rule_may_name_a_policy_and_one_that_is_not_active_is_passed_over() -> None:
    policies = [policy("off", "b", is_active=False), policy("code", "d", "c")]
    rules = compiled(KNOWN, policies=policies, rules=[rule("1", policy="off"), rule("2", policy="code")])
    found = plan(rules)
    assert (names(found), found.kind, found.rule, found.policy) == (["d", "c"], "rule", "2", "code")
    assert found.policy_from == "rule"
    assert found.passed_over == ("rule 1: its policy off is not active",)
    assert 'the rule "2" names the policy: priority 1' in found.first.words


def test_an_entry_without_a_model_for_the_type_of_a_request_is_passed_over() -> None:
    known = snapshot(model("a"), model("vectors", model_type="embedding"))
    rules = compiled(
        known,
        rules=[rule("all", "a"), rule("second", "vectors", condition={"tags": ["v"]}, priority=200)],
        workspaces=[{"id": "acme", "policy": "chats"}], policies=[policy("chats", "a")],
    )  # fmt: skip
    found = plan(rules, request(model_type="embedding", workspace="acme"), known)
    assert (names(found), found.rule) == (["vectors"], None)
    assert found.passed_over == (
        "rule all: none of its models is for embedding",
        "policy chats of the workspace: none of its models is for embedding",
    )
    assert plan(rules, request(tags=("v",)), known).rule == "all"
    assert plan(rules, request(tags=("v",), model_type="embedding"), known).rule == "second"


def test_a_policy_of_a_task_type_without_any_model_here_is_passed_over_and_one_that_was_named_is_an_error() -> None:
    policies, tasks = [policy("code", "gpt-9", "gpt-8")], [{"id": "fix_bug", "policy": "code"}]
    rules = compiled(KNOWN, policies=policies, tasks=tasks)
    found = plan(rules, hints(task_type="fix_bug"))
    assert (names(found)[0], found.policy, found.kind) == ("a", None, "best")
    assert found.passed_over == ("policy code of the task type: the catalog has none of its models (gpt-9, gpt-8)",)
    for asked, begin in ((RoutingRequest(model="policy:code"), "policy code: "), (request(tags=("r",)), "rule r: ")):
        ruled = compiled(KNOWN, policies=policies, rules=[rule("r", policy="code", condition={"tags": ["r"]})])
        error = refused(ruled, asked)
        assert (error.code, [each.code for each in error.struck]) == ("no_target", ["not_in_catalog"] * 2)
        assert str(error).startswith(begin)


def test_the_mapping_is_for_task_types_that_a_caller_names_and_not_for_guesses() -> None:
    rules = compiled(
        KNOWN,
        policies=[policy("any", "d"), policy("code", "c")],
        tasks=[{"id": "*", "policy": "any"}, {"id": "code_generation", "policy": "code"}],
    )
    assert plan(rules, hints(task_type="never seen")).policy == "any"
    assert plan(rules, request()).policy is None
    classified = RoutingRequest(text="Write a Python function that sorts a list")
    assert (plan(rules, classified).task.task_type, plan(rules, classified).policy) == ("code_generation", None)
    assert plan(rules, hints(task_type="code_generation")).policy == "code"
    assert [rules.policy_of_task(name) for name in ("code_generation", "x", None)] == ["code", "any", "any"]
    assert compiled(KNOWN).policy_of_task("x") == "normal"


def test_an_unknown_policy_is_an_error_that_names_the_known_ones() -> None:
    rules = compiled(KNOWN, policies=[policy("code", "a"), policy("ops", "b"), policy("off", "a", is_active=False)])
    error = refused(rules, RoutingRequest(model="policy:kode"))
    assert error.code == "policy_not_found"
    assert str(error) == 'model: found "policy:kode", expected policy:NAME with one of code, ops'
    assert '"policy:off", which is not active, expected' in str(refused(rules, RoutingRequest(model="policy:off")))
    assert "expected another name: the fleet has no active policy" in str(
        refused(compiled(KNOWN), RoutingRequest(model="policy:x"))
    )


SEED_POLICIES = {
    "normal": (["gpt-4o-mini", "claude-3-5-sonnet"], 0.10, ["gpt-4o-mini", "claude-sonnet-5-5"]),
    "deep_research": (["gpt-4o", "claude-3-opus"], 1.00, ["gpt-4o", "claude-opus-5-5"]),
    "code": (["gpt-4o", "claude-3-5-sonnet"], 0.50, ["gpt-4o", "claude-sonnet-5-5"]),
    "ops": (["gpt-3.5-turbo", "claude-3-haiku"], 0.01, ["gpt-4o-mini", "claude-haiku-5-5"]),
}


@pytest.mark.parametrize("name", SEED_POLICIES)
def test_the_policies_of_the_seed_lead_to_models_of_the_built_in_catalog(name: str) -> None:
    listed, most, expected = SEED_POLICIES[name]
    configuration = CatalogSource(environ={"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}).build()
    known = snapshot()._replace(models=configuration.models, configuration=configuration)
    models = [
        {"provider": provider, "model": each, "priority": number}
        for number, (provider, each) in enumerate(zip(("openai", "anthropic"), listed, strict=True), start=1)
    ]
    rules = compiled(known, policies=[{"name": name, "models": models, "max_cost_per_task": most, "max_tokens": 4000}])
    found = plan(rules, RoutingRequest(model=f"policy:{name}", input_tokens=500), known)
    assert keys(found) == [f"{expected[0]}@openai", f"{expected[1]}@anthropic"]
    assert "policy_cost" not in struck(found).values()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"provider": "anthropic", "model": "claude-3-5-sonnet"}, "claude-sonnet-5-5@anthropic"),
        ({"model": "anthropic/claude-3-5-sonnet"}, "claude-sonnet-5-5@anthropic"),
        ({"provider": "openrouter", "model": "claude-3-5-sonnet"}, "claude-sonnet-5-5@openrouter"),
        ({"provider": "openrouter", "model": "anthropic/claude-3.5-sonnet"}, "claude-sonnet-5-5@openrouter"),
        ({"model": "openrouter/anthropic/claude-3.5-sonnet"}, "claude-sonnet-5-5@openrouter"),
        ({"provider": "anthropic", "model": "anthropic/claude-3-5-sonnet"}, "claude-sonnet-5-5@anthropic"),
        ({"provider": "openrouter", "model": "meta/gpt-4"}, "openrouter/meta/gpt-4@openrouter"),
        ({"provider": "openai", "model": "gpt-99"}, "openai/gpt-99@openai"),
        ({"model": "openai/gpt-99"}, "openai/gpt-99@openai"),
    ],
)
def test_a_model_that_was_shut_down_has_its_successor_behind_a_provider_too(listed: dict, expected: str) -> None:
    environ = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"), "k")
    configuration = CatalogSource(environ=environ).build()
    known = snapshot()._replace(models=configuration.models, configuration=configuration)
    found = plan(compiled(known, policies=[{"name": "p", "models": [listed]}]), RoutingRequest(model="policy:p"), known)
    assert keys(found) == [expected]


def test_a_plan_with_everything_in_it_is_explained_in_2_kb() -> None:
    many = [model(f"model-{number:03}-{'x' * 60}", 3.0) for number in range(60)]
    known = snapshot(*many, learned=learned(**{each.name: (0.3, 500) for each in many[:30]}))
    policies = [policy("p" * 50, *(each.name for each in many)), policy("o", "x", is_active=False)]
    passed = [rule(f"0{number}{'x' * 190}", policy="o") for number in range(5)]
    rules = compiled(known, policies=policies, rules=[*passed, rule("r" * 200, policy="p" * 50)])
    found = plan(rules, known=known)
    assert (len(found.demoted), len(found.passed_over)) == (30, 5)
    assert len(found.explanation()) <= MAX_EXPLANATION_BYTES


def test_rules_of_a_configuration_without_any_change_nothing() -> None:
    rules = RoutingRules(configured(), KNOWN.configuration)  # type: ignore[arg-type]
    assert rules.is_empty
    assert plan(rules) == a_planner().plan(request(), KNOWN)
