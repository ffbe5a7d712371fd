"""Plans by a rule with several targets: shares, sessions and canaries."""

from collections import Counter
from typing import Any

import pytest
from support.planning import a_planner, names, request, struck
from support.routing_rules import KNOWN, compiled, plan, rule

from instance_agent.routing.request import HealthView
from instance_agent.routing.rules import RoutingRules


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
