"""The configuration of a fleet that uses everything: rules, a policy, budgets and rate limits, for benchmarks/gateway.py."""

from typing import Any, Final

from _gateways import MODELS, create_key
from support.spending import put_budgets, put_entries

from centralcloud.contracts.fleet_configuration import parse_policy, parse_rule, parse_workspace
from centralcloud.contracts.fleet_configuration.values import to_body

RULES: Final = 20
WORKSPACE: Final = "acme"
BOUNDED: Final = "bounded"
#: USD. The budget of `BOUNDED` is for fewer requests than the benchmark sends, those of the others are never used up.
_BOUND: Final = 0.25
_AMPLE: Final = 100_000
#: Requests and tokens of a key: more than any run sends.
_RATE: Final = ("--rate-limit", "100000000/15m", "--token-limit", "1000000000000")
#: Headers of requests that conditions of rules look at. No rule is for these tags.
TAGS: Final = {"x-centralcloud-tags": "production, team-search"}


def configure(database_url: str) -> dict[str, str]:
    """Store the configuration; return the keys of `WORKSPACE` and of `BOUNDED`, each with a rate limit.

    The last of 20 rules is for the requests: by their length it gives them a policy whose order is learned. Each request
    counts in two budgets of a day: of its workspace and of the fleet.
    """
    names = [f"model-{number}" for number in range(MODELS)]
    policy = {"name": "quality", "order": "learned", "max_cost_per_task": 0.5, "max_tokens": 4000}
    workspaces = [
        {"id": WORKSPACE, "deniedModels": names[-1:]},
        {"id": BOUNDED},
    ]
    put_entries(
        database_url,
        _entry("policy", to_body(parse_policy({**policy, "models": [{"model": name} for name in names]}))),
        *(_entry("workspace", to_body(parse_workspace(each))) for each in workspaces),
        *(_entry("rule", to_body(parse_rule(each))) for each in _rules(names)),
    )
    put_budgets(
        database_url,
        {"scope": "fleet", "period": "daily", "limit": _AMPLE, "onLimit": "stop"},
        {"scope": "workspace", "of": WORKSPACE, "period": "daily", "limit": _AMPLE, "onLimit": "stop"},
        {"scope": "workspace", "of": BOUNDED, "period": "daily", "limit": _BOUND, "onLimit": "stop"},
    )
    return {name: create_key(database_url, "--workspace", name, *_RATE) for name in (WORKSPACE, BOUNDED)}


def _rules(names: list[str]) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = [
        {"tags": ["canary"], "contentLength": {"min": 100, "max": 5000}},
        {"taskType": ["fix_bug", "deploy_code"], "complexity": {"min": 7}, "tags": ["eu"]},
        {"any_of": [{"tags": ["batch"]}, {"workspace": ["berlin"]}], "contentLength": {"max": 20_000}},
        {"timeOfDay": {"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}, "agentType": ["night"]},
        {"contentLength": {"min": 50_000}, "not": {"complexity": ["simple"]}},
    ]
    rules = [
        {
            "id": f"rule-{number:02}",
            "name": f"Rule {number}",
            "condition": conditions[number % len(conditions)],
            "targetModels": [{"modelId": names[number % len(names)]}],
            "priority": 1000 - number,
        }
        for number in range(RULES - 1)
    ]
    last = {"contentLength": {"min": 1, "max": 40_000}, "not": {"tags": ["none"]}}
    return [*rules, {"id": "last", "name": "Last", "condition": last, "policy": "quality", "priority": 1}]


def _entry(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "id": body["name"] if kind == "policy" else body["id"], "body": body}
