"""Rules, policies, agents, workspaces and budgets: their JSON, and the path of a field that is wrong."""

from typing import Any

import pytest

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    FleetConfiguration,
    apply_changes,
    check_models,
    parse_agent,
    parse_budget,
    parse_model,
    parse_policy,
    parse_rule,
    parse_task_policy,
    parse_workspace,
    put,
    read_configuration,
    to_body,
    to_nano_usd,
)

# The examples of seeds 003 and 004, to the letter.
RULE: dict[str, Any] = {
    "name": "Creative Agent Claude Preference",
    "condition": {
        "agentType": ["creative"],
        "requestType": ["completion", "chat"],
        "contentLength": {"min": 100, "max": 2000},
    },
    "targetModels": [
        {"modelId": "claude-3-sonnet", "weight": 0.7, "fallbackOrder": 1},
        {"modelId": "gpt-4", "weight": 0.3, "fallbackOrder": 2},
    ],
    "trafficSplit": {"primary": 80, "canary": 20},
    "priority": 100,
    "enabled": True,
}
POLICY: dict[str, Any] = {
    "name": "normal",
    "description": "Balanced cost and performance",
    "models": [
        {"provider": "openai", "model": "gpt-4o-mini", "priority": 1},
        {"provider": "anthropic", "model": "claude-3-5-sonnet", "priority": 2},
    ],
    "max_cost_per_task": 0.10,
    "max_tokens": 4000,
    "temperature": 0.7,
}
AGENT: dict[str, Any] = {
    "preferredModels": ["gpt-4", "claude-3-sonnet"],
    "fallbackModels": ["gpt-3.5-turbo"],
    "requiredCapabilities": ["text-generation"],
    "performanceRequirements": {"maxLatency": 5000, "minSuccessRate": 0.95, "maxCostPerToken": 0.01},
}
WORKSPACE: dict[str, Any] = {
    "modelRestrictions": ["gpt-4", "claude-3-sonnet"],
    "budgetLimits": {"daily": 100, "weekly": 500, "monthly": 2000},
    "qualityRequirements": {"minSuccessRate": 0.95, "maxLatency": 5000},
    "complianceRequirements": ["gdpr", "ccpa", "hipaa"],
}
BUDGET: dict[str, Any] = {"scope": "key", "of": "cck_0123456789ab", "period": "daily", "limit": 5}
EXAMPLES = [
    (parse_rule, RULE),
    (parse_policy, POLICY),
    (parse_agent, {**AGENT, "id": "creative"}),
    (parse_workspace, {**WORKSPACE, "id": "ws-marketing-001"}),
    (parse_budget, BUDGET),
]


def contains(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(name in found and contains(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(contains, found, wanted))
    return bool(found == wanted)


def configured(*entries: Any) -> FleetConfiguration:
    return read_configuration(1, apply_changes({}, map(put, entries)))


def a_policy(name: str, **fields: Any) -> Any:
    return parse_policy({"name": name, "models": [{"model": "m"}], **fields})


@pytest.mark.parametrize(("parse", "example"), EXAMPLES, ids=lambda each: getattr(each, "__name__", ""))
def test_the_seeds_examples_keep_every_field_and_read_back_as_they_are(parse: Any, example: dict[str, Any]) -> None:
    entry = parse(example)
    body = to_body(entry)
    assert contains(body, example)
    assert parse(body) == entry


@pytest.mark.parametrize(
    ("parse", "example", "change", "line"),
    [
        (parse_rule, RULE, {"trafficSplit": {"primary": 80, "canary": 30}},
         "rule.trafficSplit: found 80 and 30, together 110, expected shares that are 100 together"),
        (parse_rule, RULE, {"targetModels": []},
         "rule: found neither targetModels nor policy, expected one of them"),
        (parse_rule, RULE, {"policy": "normal"},
         "rule: found both targetModels and policy, expected one of them"),
        (parse_rule, RULE, {"targetModels": [{"modelId": "auto"}], "trafficSplit": None},
         'rule.targetModels[0].modelId: found "auto", expected the name of a model'),
        (parse_rule, RULE, {"targetModels": [{"modelId": "m", "weight": 0}], "trafficSplit": None},
         "rule.targetModels: found only weights of 0, expected at least one that is greater"),
        (parse_rule, RULE, {"targetModels": [{"modelId": "a"}, {"modelId": "b"}]},
         "rule.trafficSplit: found several targets with the greatest fallbackOrder, "
         "expected one target with the greatest fallbackOrder, which is the canary"),
        (parse_rule, RULE, {"condition": {"agentTyp": ["x"]}},
         "rule.condition.agentTyp: found a list of 1 items, expected a field that exists"),
        (parse_rule, RULE, {"condition": {"any_of": [{"complexity": ["big"]}]}},
         'rule.condition.any_of[0].complexity[0]: found "big", expected one of simple, medium, complex'),
        (parse_rule, RULE, {"condition": {"not": {"timeOfDay": {"from": "22:00", "to": "6:00"}}}},
         'rule.condition.not.timeOfDay.to: found "6:00", expected a time from 00:00 to 23:59 in the form HH:MM'),
        (parse_rule, RULE, {"condition": {"timeOfDay": {"from": "22:00", "to": "06:00", "timezone": "Mars/X"}}},
         'rule.condition.timeOfDay.timezone: found "Mars/X", '
         "expected a time zone of the IANA database, such as Europe/Berlin"),
        (parse_rule, RULE, {"condition": {"complexity": {"min": 7, "max": 3}}},
         "rule.condition.complexity.min: found 7, expected at most max, which is 3"),
        (parse_policy, POLICY, {"models": []}, "policy.models: found 0 items, expected 1 to 100"),
        (parse_policy, POLICY, {"reasoning_models": ["o9"]},
         'policy.reasoning_models[0]: found "o9", expected a model of policy.models'),
        (parse_policy, {"name": "p", "models": [{"model": "m"}]}, {"reasoning_models": ["m"]},
         'policy.reasoning_models: found a value, and order "priority", '
         'expected none without order "local_first", which alone uses it'),
        (parse_policy, {"name": "p", "models": [{"model": "m"}]}, {"order": "learned", "local_failures": 3},
         'policy.local_failures: found a value, and order "learned", '
         'expected none without order "local_first", which alone uses it'),
        (parse_policy, POLICY, {"temperature": 3}, "policy.temperature: found 3, expected a number <= 2.0"),
        (parse_agent, AGENT, {"id": "a", "fallbackModels": ["gpt-4"]},
         'agent.fallbackModels[0]: found "gpt-4", which preferredModels has too, expected each model once'),
        (parse_workspace, WORKSPACE, {"id": "w", "onLimit": "cheap"},
         'workspace.cheapModels: found no models, expected at least one model with onLimit "cheap", none without'),
        (parse_budget, BUDGET, {"of": None}, "budget.of: found nothing, expected the key that it is for"),
        (parse_budget, BUDGET, {"scope": "fleet"},
         'budget.of: found "cck_0123456789ab", expected no `of` for the scope fleet'),
        (parse_budget, BUDGET, {"scope": "exploration", "of": None, "onLimit": "cheap", "cheapModels": ["m"]},
         'budget.onLimit: found "cheap", '
         'expected "free_only" or "stop" for exploration: probes stop, and every model may still answer'),
        (parse_budget, BUDGET, {"limit": -1}, "budget.limit: found -1, expected a number >= 0.0"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named_by_its_path(
    parse: Any, example: dict[str, Any], change: dict[str, Any], line: str
) -> None:
    with pytest.raises(ContractError) as refused:
        parse({name: value for name, value in {**example, **change}.items() if value is not None})
    assert str(refused.value) == line


def test_conditions_that_are_nested_without_end_are_refused() -> None:
    condition: dict[str, Any] = {"agentType": ["x"]}
    for _ in range(9):
        condition = {"not": condition}
    with pytest.raises(ContractError, match="expected at most 8 levels"):
        parse_rule({**RULE, "condition": condition})


def test_rules_are_in_the_order_in_which_they_are_tried() -> None:
    wanted = [("b", 200), ("a", 100), ("c", 100), ("d", -5)]
    rules = [parse_rule({**RULE, "id": rule_id, "priority": priority}) for rule_id, priority in reversed(wanted)]
    assert [(rule.id, rule.priority) for rule in configured(*rules).rules] == wanted


def test_the_canary_is_the_target_with_the_greatest_fallback_order() -> None:
    canary = parse_rule(RULE).canary
    assert canary is not None
    assert canary.model_id == "gpt-4"


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ([parse_task_policy({"id": "fix_bug", "policy": "code"})],
         'taskMapping["fix_bug"].policy: found "code", expected the name of a policy in routingPolicies: there is none yet'),
        ([a_policy("a", fallback="b"), a_policy("c")],
         'routingPolicies["a"].fallback: found "b", expected the name of a policy in routingPolicies: a, c'),
        ([a_policy("a", fallback="b"), a_policy("b", fallback="c"), a_policy("c", fallback="b")],
         'routingPolicies["a"].fallback: found a cycle: "b" -> "c" -> "b", expected policies that end'),
        ([parse_rule({"name": "r", "id": "r", "policy": "code"})],
         'routingRules["r"].policy: found "code", expected the name of a policy in routingPolicies: there is none yet'),
        ([parse_workspace({"id": "w", "policy": "code"})],
         'workspaceConfigs["w"].policy: found "code", expected the name of a policy in routingPolicies: there is none yet'),
        ([parse_workspace({**WORKSPACE, "id": "w"}),
          parse_budget({"scope": "workspace", "of": "w", "period": "daily", "limit": 1})],
         'budgets["workspace:w:daily"].id: found "workspace:w:daily", which budgetLimits of the workspace "w" make too, '
         "expected another id, or no such limit of the workspace"),
    ],
)  # fmt: skip
def test_references_between_entries_are_checked_as_a_whole(entries: list[Any], line: str) -> None:
    with pytest.raises(ContractError) as refused:
        configured(*entries)
    assert str(refused.value) == line


def test_a_change_may_not_add_a_reference_to_an_unknown_model_nor_remove_a_model_that_is_named() -> None:
    model = parse_model({"name": "M", "version": "m", "provider": "openai"})
    rule = parse_rule({"name": "r", "id": "r", "targetModels": [{"modelId": "m"}]})
    policy, other = a_policy("p"), parse_policy({"name": "p", "models": [{"model": "n", "provider": "openai"}]})

    def refusal(before: FleetConfiguration, after: FleetConfiguration, *known: str) -> str | None:
        try:
            check_models(before, after, known.__contains__)
        except ContractError as error:
            return str(error)
        return None

    expected = "expected a model that is registered or in the catalog"
    assert refusal(configured(), configured(model, rule)) is None
    assert refusal(configured(), configured(rule), "m") is None
    assert (
        refusal(configured(), configured(rule)) == f'routingRules["r"].targetModels[0].modelId: found "m", {expected}'
    )
    assert refusal(configured(policy), configured(policy, rule)) is None
    assert refusal(configured(policy), configured(other)) == (
        f'routingPolicies["p"].models[0].model: found "openai/n", {expected}'
    )
    assert refusal(configured(model, rule), configured(rule)) == (
        'routingRules["r"].targetModels[0].modelId: found "m", which is removed, '
        "expected no entry that names a removed model"
    )
    assert refusal(configured(model, rule), configured(model)) is None


def test_a_workspaces_limits_are_budgets_with_its_behaviour() -> None:
    workspace = parse_workspace({**WORKSPACE, "id": "w", "onLimit": "stop", "timezone": "Europe/Berlin"})
    budgets = configured(workspace).budgets
    assert {name: (each.limit, each.on_limit, each.timezone) for name, each in budgets.items()} == {
        "workspace:w:daily": (100, "stop", "Europe/Berlin"),
        "workspace:w:weekly": (500, "stop", "Europe/Berlin"),
        "workspace:w:monthly": (2000, "stop", "Europe/Berlin"),
    }


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        (0, 0),
        (0.1, 100_000_000),
        (0.000015, 15_000),
        (1e-9, 1),
        (123_456.789012345, 123_456_789_012_345),
        (1e9, 10**18),
    ],
)
def test_an_amount_is_exact_in_nano_usd(usd: float, nano: int) -> None:
    assert to_nano_usd(usd) == nano


def test_only_cheap_models_may_overdraw() -> None:
    cheap = parse_budget({**BUDGET, "onLimit": "cheap", "cheapModels": ["m"], "overdraft": 0.1})
    assert (cheap.overdraft_nano_usd, parse_budget(BUDGET).overdraft_nano_usd) == (500_000_000, 0)
