"""Plans within the cost limit of a policy, and within budgets."""

from msgspec.structs import replace
from support.planning import a_planner, model, names, request, snapshot, struck
from support.routing_rules import compiled, plan, policy, refused

from instance_agent.catalog.model import Pricing
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.spend import SpendView

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
