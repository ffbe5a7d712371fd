"""Plans by rules, policies, agents and workspaces: order, shares, restrictions, relaxations, limits of cost and errors."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from support.planning import NOW, a_planner, estimated, keys, model, names, request, snapshot, struck
from support.routing_rules import compiled, configured, policy, rule

from centralcloud.contracts import Estimate
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.model import Pricing
from instance_agent.catalog.source import CatalogSource
from instance_agent.routing.explanation import MAX_EXPLANATION_BYTES
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import SpendView
from instance_agent.routing.task import TaskHints

MODELS = [model("a", 5.0), model("b", 4.0), model("c", 3.0), model("d", 2.0, provider="q")]
KNOWN = snapshot(*MODELS, aliases={"old-c": "c"})


def plan(rules: RoutingRules, asked: RoutingRequest | None = None, known: Any = KNOWN, **options: Any) -> Plan:
    return a_planner().plan(asked or request(), known, rules=rules, **options)


def refused(rules: RoutingRules, asked: RoutingRequest, known: Any = KNOWN) -> PlanError:
    with pytest.raises(PlanError) as found:
        plan(rules, asked, known)
    return found.value


def hints(**fields: Any) -> RoutingRequest:
    return RoutingRequest(headers=TaskHints(level="medium", **fields))


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


def shares(rules: RoutingRules, sessions: int = 2000, **fields: Any) -> Counter[str]:
    planner, seen = a_planner(), Counter[str]()
    for number in range(sessions):
        asked = request(session=f"session-{number}", **fields)
        first = planner.plan(asked, KNOWN, rules=rules).first.target.model.name
        again = planner.plan(asked, KNOWN, rules=rules).first.target.model.name
        assert first == again, "a session stays"
        seen[first] += 1
    return seen


def test_a_split_gives_the_canary_its_percentage_and_a_session_stays() -> None:
    targets = [{"modelId": "a", "weight": 0.7, "fallbackOrder": 1}, {"modelId": "b", "weight": 0.3, "fallbackOrder": 2}]
    rules = compiled(KNOWN, rules=[rule("r", *targets, trafficSplit={"primary": 80, "canary": 20})])
    seen = shares(rules)
    assert seen["b"] / 2000 == pytest.approx(0.2, abs=0.03)
    assert seen["a"] + seen["b"] == 2000
    kinds = {plan(rules, request(session=f"session-{number}")).kind for number in range(40)}
    assert kinds == {"rule", "canary"}


def test_the_others_of_a_split_share_by_weight_and_the_order_after_a_failure_is_the_fallback_order() -> None:
    targets = [
        {"modelId": "a", "weight": 3, "fallbackOrder": 2}, {"modelId": "b", "weight": 1, "fallbackOrder": 1},
        {"modelId": "c", "weight": 5, "fallbackOrder": 3}, {"modelId": "d", "weight": 0},
    ]  # fmt: skip
    rules = compiled(KNOWN, rules=[rule("r", *targets, trafficSplit={"primary": 60, "canary": 40})])
    seen = shares(rules)
    assert [round(seen[name] / 2000, 1) for name in "abcd"] == pytest.approx([0.45, 0.15, 0.4, 0.0], abs=0.06)
    orders = {names(plan(rules, request(session=f"s{number}"))) [0]: names(plan(rules, request(session=f"s{number}")))
              for number in range(60)}  # fmt: skip
    assert orders == {"a": ["a", "b", "c", "d"], "b": ["b", "a", "c", "d"], "c": ["c", "b", "a", "d"]}


def test_without_a_split_targets_are_drawn_by_weight_and_one_of_weight_0_only_follows() -> None:
    targets = [{"modelId": "a", "weight": 3}, {"modelId": "b", "weight": 0}, {"modelId": "c", "weight": 1}]
    rules = compiled(KNOWN, rules=[rule("r", *targets)])
    seen = shares(rules)
    assert seen["a"] / 2000 == pytest.approx(0.75, abs=0.03)
    assert seen["b"] == 0
    assert names(plan(rules, request(session="s1")))[-1] == "b"


def test_a_canary_of_0_percent_is_never_first_and_one_that_is_drawn_and_down_is_replaced_by_the_others() -> None:
    split = {"primary": 100, "canary": 0}
    assert shares(compiled(KNOWN, rules=[rule("r", "a", "b", trafficSplit=split)]), 300) == {"a": 300}
    rules = compiled(KNOWN, rules=[rule("r", "a", "b", trafficSplit={"primary": 0, "canary": 100})])
    assert plan(rules).kind == "canary"
    found = plan(rules, health=HealthView(breaker_open=frozenset({"b@p"})))
    assert (names(found), found.kind, struck(found)) == (["a"], "rule", {"b@p": "breaker_open"})
    assert "it follows b, which was drawn" in found.text()


def test_without_a_session_the_id_of_the_request_is_drawn() -> None:
    rules = compiled(KNOWN, rules=[rule("r", {"modelId": "a"}, {"modelId": "b"})])
    seen = Counter(names(plan(rules, request(id=f"id-{number}")))[0] for number in range(400))
    assert seen["a"] / 400 == pytest.approx(0.5, abs=0.08)
    assert len({names(plan(rules, request(id="id-1")))[0] for _ in range(5)}) == 1


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


PRICED = snapshot(
    model("dear", 5.0, pricing=Pricing(input=10, output=30)),
    model("cheap", 3.0, pricing=Pricing(input=0.1, output=0.4), max_output_tokens=8_000),
    model("unpriced", 2.0),
)


def test_models_that_would_cost_more_than_the_policy_allows_are_left_out() -> None:
    rules = compiled(
        PRICED, policies=[policy("p", "dear", "cheap", max_cost_per_task=0.05, max_tokens=4000, fallback="q"),
                          policy("q", "unpriced")],
    )  # fmt: skip
    small = plan(rules, RoutingRequest(model="policy:p", input_tokens=100, output_tokens=100), PRICED)
    assert (names(small), small.struck) == (["dear", "cheap", "unpriced"], ())
    large = plan(rules, RoutingRequest(model="policy:p", input_tokens=100), PRICED)
    assert (names(large), struck(large)) == (["cheap", "unpriced"], {"dear@p": "policy_cost"})
    assert "it would cost about 0.121 USD, and the policy p allows 0.05 USD" in large.text()
    several = plan(rules, RoutingRequest(model="policy:p", input_tokens=100, output_tokens=100, choices=100), PRICED)
    assert struck(several) == {"dear@p": "policy_cost"}, "each answer is paid"
    only = compiled(PRICED, policies=[policy("p", "dear", max_cost_per_task=0.05, order="learned")])
    error = refused(only, RoutingRequest(model="policy:p", input_tokens=5_000), PRICED)
    assert (error.code, [each.code for each in error.struck]) == ("policy_cost", ["policy_cost"])
    denied = compiled(
        PRICED,
        policies=[policy("p", "dear", max_cost_per_task=0.05)],
        workspaces=[{"id": "w", "deniedModels": ["dear"]}],
    )
    asked = RoutingRequest(model="policy:p", input_tokens=5_000, workspace="w")
    assert refused(denied, asked, PRICED).code == "workspace_restriction", "a greater limit would not help"


def test_where_nothing_limits_an_answer_its_cost_is_that_of_the_answers_of_late() -> None:
    rules = compiled(PRICED, policies=[policy("p", "dear", "cheap", max_cost_per_task=0.02)])
    asked = RoutingRequest(model="policy:p", input_tokens=100)

    def left_out(asked: RoutingRequest, measured: dict[str, int]) -> dict[str, str]:
        return struck(plan(rules, asked, PRICED, health=HealthView(output_tokens=measured)))

    assert left_out(asked, {}) == {"dear@p": "policy_cost"}, "1,000 tokens are expected"
    assert left_out(asked, {"dear@p": 600}) == {}
    assert left_out(asked, {"cheap@p": 600}) == {"dear@p": "policy_cost"}, "nothing is known of this one"
    assert left_out(RoutingRequest(model="policy:p", input_tokens=100, output_tokens=900), {"dear@p": 600}) == {
        "dear@p": "policy_cost"
    }, "what the client asks for is the most that it can cost"
    short = RoutingRequest(model="policy:p", input_tokens=100, output_tokens=300)
    assert left_out(short, {}) == {}
    assert left_out(replace(short, choices=4), {}) == {"dear@p": "policy_cost"}, "four answers cost four times as much"
    roomy = compiled(PRICED, policies=[policy("p", "dear", "cheap", max_cost_per_task=0.05)])
    long = plan(roomy, asked, PRICED, health=HealthView(output_tokens={"dear@p": 3000}))
    assert (names(long), "100 tokens of prompt, 3,000 of answer" in long.text()) == (["cheap"], True)


def test_the_limit_of_a_policy_holds_for_those_that_follow_it() -> None:
    rules = compiled(PRICED, policies=[policy("p", "cheap", max_cost_per_task=0.01, fallback="q"), policy("q", "dear")])
    found = plan(rules, RoutingRequest(model="policy:p", input_tokens=1_000), PRICED)
    assert (names(found), struck(found)) == (["cheap"], {"dear@p": "policy_cost"})
    assert names(plan(rules, RoutingRequest(model="policy:q", input_tokens=1_000), PRICED)) == ["dear"]


def test_numbers_of_tokens_make_no_new_sets() -> None:
    rules = compiled(PRICED, policies=[policy("p", "dear", "cheap", max_cost_per_task=0.05, order="learned")])
    planner = a_planner()
    for number in range(1, 400):
        planner.plan(RoutingRequest(model="policy:p", input_tokens=25 * number), PRICED, rules=rules)
    assert planner.sets_computed == 2
    assert len(planner._state._eligible) == 2  # type: ignore[union-attr]


def test_budgets_leave_out_targets_for_every_way_of_choosing() -> None:
    rules = compiled(PRICED, policies=[policy("p", "dear", "unpriced")])
    free_only = SpendView(paid="the budget acme:daily is used up", spared=frozenset({"cheap@p"}))
    found = plan(rules, request(spend=free_only), PRICED)
    assert (names(found), struck(found)) == (["cheap"], {"dear@p": "budget", "unpriced@p": "budget"})
    assert names(plan(rules, RoutingRequest(model="cheap", spend=free_only), PRICED)) == ["cheap"]
    for name in ("dear", "policy:p"):
        assert refused(rules, RoutingRequest(model=name, spend=free_only), PRICED).code == "budget"
    of_policy = SpendView(policies={"p": SpendView(targets={"dear@p": "its budget is used up"})})
    assert names(plan(rules, RoutingRequest(model="policy:p", spend=of_policy), PRICED)) == ["unpriced"]
    assert names(plan(rules, request(spend=of_policy), PRICED))[0] == "dear"

    unpriced = SpendView(unpriced="a budget counts, and it has no price")
    assert struck(plan(rules, request(spend=unpriced), PRICED)) == {"unpriced@p": "budget"}


def test_two_views_of_budgets_leave_out_what_either_of_them_does() -> None:
    cheap = SpendView(paid="one is used up", spared=frozenset({"a", "b"}))
    free_only, other = SpendView(paid="the other, too"), SpendView(paid="another", spared=frozenset({"b", "c"}))
    assert cheap.also(free_only).spared == frozenset()
    assert cheap.also(other).spared == {"b"}
    dear = SpendView(targets={"x": "too dear for one request"}, unpriced="no price")
    both = cheap.also(dear)
    assert (both.paid, both.unpriced, both.spared) == ("one is used up", "no price", {"a", "b"})
    assert both.also(dear) == both, "nothing more: another plan would be the same"


def learned(**scores: tuple[float, float] | float) -> LearnedScores:
    """Scores of models for medium tasks: a score, or mean and n_eff."""
    return LearnedScores(
        epoch="e", version=3,
        scores={
            (name, "medium"): LearnedScore(
                score=each if isinstance(each, float) else 5 * each[0], version=3, at=NOW,
                estimate=Estimate() if isinstance(each, float) else Estimate(mean=each[0], n_eff=each[1]),
            )
            for name, each in scores.items()
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "order", "codes"),
    [
        ({"a": (0.6, 200), "b": (0.9, 200)}, "bca", ["fallen"]),
        ({"a": (0.6, 6), "b": (0.9, 6)}, "abc", []),
        ({"a": (0.84, 5000), "b": (0.9, 5000)}, "abc", []),
        ({"a": (0.3, 100)}, "bca", ["failing"]),
        ({"a": (0.3, 100), "b": (0.35, 100), "c": (0.32, 100)}, "abc", ["failing"] * 3),
        ({"a": 2.0, "b": 3.0}, "bca", ["fallen"]),
        ({"a": 2.1, "b": 3.0}, "abc", []),
        ({"a": 2.0, "b": (0.9, 200)}, "abc", []),
        ({}, "abc", []),
    ],
)
def test_a_model_that_has_clearly_fallen_is_tried_last(scores: dict, order: str, codes: list[str]) -> None:
    known = snapshot(*MODELS, learned=learned(**scores))
    found = plan(compiled(known, policies=[policy("p", "a", "b", "c")]), RoutingRequest(model="policy:p"), known)
    # The classifier is not asked: the level is medium.
    assert ("".join(names(found)), [each.code for each in found.demoted]) == (order, codes)


def test_a_demotion_is_shown_with_its_numbers_and_ends_with_the_next_scores() -> None:
    known = snapshot(*MODELS, learned=learned(a=(0.6, 200), b=(0.9, 200)))
    rules, planner = compiled(known, policies=[policy("p", "a", "b")]), a_planner()
    asked = RoutingRequest(model="policy:p")
    found = planner.plan(asked, known, rules=rules)
    assert "demoted: a: it succeeds in 60% of these tasks (at most 66%), b in 90% (at least 87%)" in found.text()
    assert plan_as_json(found, None)["demoted"][0]["code"] == "fallen"
    assert b'"demoted":[{"model":"a","reason":"it succeeds in 60%' in found.explanation()
    promoted = "tried before a, which is demoted"
    assert f'"promoted":[{{"model":"b","reason":"{promoted}"}}]'.encode() in found.explanation()
    assert plan_as_json(found, None)["promoted"] == [{"modelId": "b", "reason": promoted}]
    (standing,) = rules.standings(known.learned)
    assert (standing.policy, standing.level, standing.order) == ("p", "medium", ("b", "a"))
    assert (standing.demoted, standing.promoted) == (found.demoted, found.promoted)
    risen = known._replace(learned=learned(a=(0.85, 400), b=(0.9, 200)))
    assert rules.standings(risen.learned) == []
    assert names(planner.plan(asked, risen, rules=rules)) == ["a", "b"]
    learned_order = compiled(known, policies=[policy("p", "a", "b", order="learned")])
    assert learned_order.standings(known.learned) == [], "its order is that of the scores"


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


def test_a_fallback_that_is_cheaper_than_the_first_model_is_a_downgrade() -> None:
    prices = {"dear": (2.0, 8.0), "cheap": (0.5, 8.0), "mixed": (1.0, 9.0), "same": (2.0, 8.0)}
    priced = [model(name, pricing=Pricing(input=each[0], output=each[1])) for name, each in prices.items()]
    known = snapshot(*priced, model("unpriced"))
    policies = [policy("p", "dear", "mixed", "same", "unpriced", fallback="q"), policy("q", "cheap")]
    found = plan(compiled(known, policies=policies), RoutingRequest(model="policy:p"), known)
    assert [(each.target.model.name, each.code) for each in found.targets] == [
        ("dear", "policy"), ("mixed", "fallback"), ("same", "fallback"), ("unpriced", "fallback"), ("cheap", "downgrade"),
    ]  # fmt: skip
    assert found.targets[-1].words == 'priority 1 of the policy "q", cheaper than dear (score 3.00)'
    climbing = plan(compiled(known, policies=[policy("p", "cheap", "dear")]), RoutingRequest(model="policy:p"), known)
    assert [each.code for each in climbing.targets] == ["policy", "fallback"]
