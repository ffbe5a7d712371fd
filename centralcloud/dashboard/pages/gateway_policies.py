"""Policies and rules in words, how often they were chosen, and which gateways have the newest configuration. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.addresses import instance_url
from centralcloud.dashboard.pages.request_words import order_words
from centralcloud.dashboard.sources.configuration import ConfigurationVersion, Policy
from centralcloud.dashboard.sources.gateways import Gateway, RequestSum, Usage
from centralcloud.dashboard.sources.targets import Registered
from centralcloud.dashboard.web import formats
from centralcloud.runtime.wording import counted, listed

_MOST_NAMES: Final = 4
_MOST_RULES: Final = 60
_DEFAULT_PRIORITY: Final = 100
_LISTS: Final = {
    "agentType": "agent",
    "requestType": "kind of request",
    "workspace": "workspace",
    "taskType": "task type",
    "tags": "tag",
}


class PolicyRow(NamedTuple):
    """A policy. `chosen`: requests within the last day; None: not known."""

    name: str
    words: str
    description: str | None
    is_active: bool
    chosen: int | None
    changed_at: datetime | None
    is_current: bool


class RuleRow(NamedTuple):
    """A rule. `chosen`: requests within the last hour; None: not known. `priority`: the greatest counts."""

    id: str
    name: str
    condition: str
    words: str
    priority: int
    is_enabled: bool
    chosen: int | None


class Replica(NamedTuple):
    """A gateway, and whether it has the newest configuration; None: not known."""

    name: str
    url: str
    version: int | None
    is_current: bool | None
    requests: int
    last_at: datetime


class Configuration(NamedTuple):
    """The configuration. `current`, `known`: gateways with the newest version, and with a known one."""

    version: ConfigurationVersion
    replicas: tuple[Replica, ...]
    current: int
    known: int
    policies: tuple[PolicyRow, ...]
    rules: tuple[RuleRow, ...]
    hidden_rules: int


def configuration_of(
    version: ConfigurationVersion,
    gateways: Sequence[Gateway],
    policies: Sequence[Policy],
    registered: Sequence[Registered],
    usage: Usage | None,
    hour: Sequence[RequestSum] | None,
    query: Mapping[str, str],
) -> Configuration:
    """Return the policies and rules, those that are chosen most often first."""
    replicas = tuple(
        Replica(
            each.gateway,
            instance_url(each.gateway),
            each.config_version,
            None if each.config_version is None else each.config_version >= version.config_version,
            each.requests,
            each.last_at,
        )
        for each in gateways
    )
    summed = usage is not None and usage.until is not None
    by_policy = {s.name: s.requests for s in usage.sums if s.dimension == "policy"} if usage and summed else None
    by_rule = None if hour is None else {s.name: s.requests for s in hour if s.dimension == "rule"}
    rows = [_policy(each, by_policy, query) for each in policies]
    rules = [_rule(each, by_rule) for each in registered if each.kind == "rule"]
    rules.sort(key=lambda rule: (not rule.is_enabled, -rule.priority, rule.id))
    return Configuration(
        version,
        replicas,
        sum(each.is_current is True for each in replicas),
        sum(each.is_current is not None for each in replicas),
        tuple(sorted(rows, key=lambda row: (not row.is_active, -(row.chosen or 0), row.name))),
        tuple(rules[:_MOST_RULES]),
        max(0, len(rules) - _MOST_RULES),
    )


def policy_words(policy: Mapping[str, Any]) -> str:
    """Return what a policy does: "gpt-4o, then claude-3-opus, in their order; at most $1.00 for one request"."""
    entries = [each for each in _list(policy, "models") if isinstance(each, dict)]
    if policy.get("order", "priority") == "priority":
        entries.sort(key=lambda each: _number(each.get("priority"), 1))
    names = [str(each.get("model")) for each in entries]
    words = [f"{_then(names)}: {order_words(str(policy.get('order') or 'priority'))}" if names else "no model"]
    if (cost := policy.get("max_cost_per_task")) is not None:
        words.append(f"at most {formats.usd(_number(cost, 0))} for one request")
    if (tokens := policy.get("max_tokens")) is not None:
        words.append(f"at most {_number(tokens, 0):,.0f} tokens of an answer")
    if policy.get("fallback"):
        words.append(f"then the policy {policy['fallback']}")
    if policy.get("learn_from") == "feedback":
        words.append("learns from feedback")
    if policy.get("cut_off_is_failure"):
        words.append("an answer that is cut off counts as a failure")
    return "; ".join(words)


def rule_words(rule: Mapping[str, Any]) -> str:
    """Return what a rule does: "75% to atlas-large, 25% to cirrus-mini", "the policy ops"."""
    if rule.get("policy"):
        return f"the policy {rule['policy']}"
    targets = [each for each in _list(rule, "targetModels") if isinstance(each, dict)]
    weights = [max(0.0, _number(each.get("weight"), 1)) for each in targets]
    total = sum(weights)
    split = rule.get("trafficSplit")
    if isinstance(split, dict) and targets:
        canary = max(targets, key=lambda each: _number(each.get("fallbackOrder"), 0))
        share = _number(split.get("canary"), 0)
        others = [str(each.get("modelId")) for each in targets if each is not canary]
        return f"{share:g}% to the canary {canary.get('modelId')}, the rest to {listed(others, _MOST_NAMES)}"
    if len(targets) == 1:
        return str(targets[0].get("modelId"))
    parts = [
        f"{weight / total:.0%} to {each.get('modelId')}"
        if weight and total
        else f"{each.get('modelId')} after a failure"
        for each, weight in zip(targets, weights, strict=True)
    ]
    return listed(parts, _MOST_NAMES) if parts else "no model"


def condition_words(condition: object) -> str:
    """Return the requests that a condition is for: "task type code or fix_bug, and complexity 7 to 10"."""
    if not isinstance(condition, dict) or not condition:
        return "every request"
    parts = [
        f"{noun} {' or '.join(map(str, _list(condition, name)))}"
        for name, noun in _LISTS.items()
        if _list(condition, name)
    ]
    complexity = condition.get("complexity")
    if isinstance(complexity, dict):
        parts.append(f"complexity {_range(complexity, 1, 10)} of 10")
    elif isinstance(complexity, list) and complexity:
        parts.append(f"complexity {' or '.join(map(str, complexity))}")
    length = condition.get("contentLength")
    if isinstance(length, dict):
        parts.append(f"{_range(length, 0, None)} characters")
    time = condition.get("timeOfDay")
    if isinstance(time, dict):
        days = f" on {', '.join(map(str, _list(time, 'days')))}" if _list(time, "days") else ""
        parts.append(f"from {time.get('from')} to {time.get('to')}{days}, {time.get('timezone') or 'UTC'}")
    if _list(condition, "any_of"):
        parts.append("one of: " + " / ".join(condition_words(each) for each in _list(condition, "any_of")))
    if condition.get("not"):
        parts.append(f"not: {condition_words(condition['not'])}")
    return ", and ".join(parts) or "every request"


def _policy(policy: Policy, chosen: Mapping[str, int] | None, query: Mapping[str, str]) -> PolicyRow:
    return PolicyRow(
        policy.name,
        policy_words(policy.value),
        policy.description,
        policy.is_active is not False,
        None if chosen is None else chosen.get(policy.name, 0),
        policy.updated_at,
        query.get("policy") == policy.name,
    )


def _rule(entry: Registered, chosen: Mapping[str | None, int] | None) -> RuleRow:
    rule = entry.value
    return RuleRow(
        entry.id,
        str(rule.get("name") or entry.id),
        condition_words(rule.get("condition")),
        rule_words(rule),
        round(_number(rule.get("priority"), _DEFAULT_PRIORITY)),
        rule.get("enabled") is not False,
        None if chosen is None else chosen.get(entry.id, 0),
    )


def _then(names: Sequence[str]) -> str:
    shown = ", then ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown}, then {counted(more, 'more model')}" if more > 0 else shown


def _range(value: Mapping[str, Any], low: int, high: int | None) -> str:
    least, most = value.get("min"), value.get("max", high)
    if most is None:
        return f"{_number(least, low):,.0f} or more"
    if least is None and high is None:
        return f"at most {_number(most, 0):,.0f}"
    return f"{_number(least, low):,.0f} to {_number(most, 0):,.0f}"


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
