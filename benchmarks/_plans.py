"""Processor time of plans and of the classifier, for benchmarks/gateway.py."""

import itertools
import random
import sys
import time
from typing import Any, Final

from planning import microseconds, snapshot

from centralcloud.contracts.experiment_arms import position_of
from centralcloud.contracts.fleet_configuration import (
    FleetConfiguration,
    parse_experiment,
    parse_policy,
    parse_rule,
    parse_workspace,
    put,
    read_configuration,
)
from centralcloud.contracts.task_classifier import classify
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.task import hints_from_headers

_REQUESTS: Final = 20_000
#: One request in so many comes with another state of health.
_CHANGE_EVERY: Final = 500
_RULES: Final = 100
_POLICIES: Final = 10
_TEXT_BYTES: Final = 20_000
_WORDS: Final = "Compare the two proposals below and say which one has the lower risk for a small team. "


def plan_times(models: int = 20) -> dict[str, Any]:
    """Return the times of a plan with a set that was seen and with a new one, and the share of new ones in a mixed load.

    With rules: 100 rules, of which the last one is for the request, 10 policies and the restrictions of a workspace. Each
    request has other numbers of tokens, another length, another session and another agent type that no rule names.

    With experiments: `assignment_us` is what a request of control costs more than the same plan without experiments, in the
    same run; `without_us` and `without_again_us` are that plan, before and after: their difference is the noise.

    In the load, requests need a capability or not and have prompts of many lengths, and every 500th comes with another model
    unhealthy. A plan that takes more than a third of the time of a new set is a miss.
    """
    known = snapshot(models)
    headers = hints_from_headers({"x-centralcloud-complexity": "7", "x-centralcloud-task-type": "analysis"})
    request = RoutingRequest(headers=headers, needs=("vision",), input_tokens=3_000)
    planner = Planner(rng=random.Random(1))
    seen = microseconds(lambda: planner.plan(request, known))
    pairs = itertools.combinations([model.name for model in known.models], 2)
    views = (HealthView(unhealthy=dict.fromkeys(pair, "slow")) for pair in pairs)
    new = microseconds(lambda: planner.plan(request, known, next(views)), 25, 5)
    text = (_WORDS * (_TEXT_BYTES // len(_WORDS) + 1))[:_TEXT_BYTES]
    return {
        "models": models,
        "plan_us": seen,
        **_with_rules(models),
        "experiments": _with_experiments(models),
        "new_set_us": new,
        "misses": _share_of_misses(models, new / 3e6),
        "classifier_us": microseconds(lambda: classify(text), 200),
    }


def _with_rules(models: int) -> dict[str, float]:
    """Return the time of a plan by a policy, by a rule with shares, by learned selection, and of a rule's first match."""
    known = snapshot(models)
    assert known.configuration is not None
    compiled = RoutingRules(_configuration(models), known.configuration)
    planner = Planner(rng=random.Random(1))
    numbers = itertools.count(1)
    hints = [
        hints_from_headers({"x-centralcloud-complexity": "7", "x-centralcloud-agent-type": f"agent-{number}"})
        for number in range(50)
    ]

    def plan(**fields: Any) -> None:
        number = next(numbers)
        request = RoutingRequest(
            headers=hints[number % 50],
            needs=("vision",),
            input_tokens=1_000 + number % 3_000,
            characters=3_500 + number % 10_000,
            session=f"session-{number % 1_000}",
            at=1_800_000_000.0 + number / 100,
            **fields,
        )
        planner.plan(request, known, rules=compiled)

    pairs = itertools.combinations(range(_RULES - 1), 2)

    def match() -> None:
        plan(workspace="acme", tags=("canary", *(f"tag-{number}" for number in next(pairs))))

    return {
        "rule_us": microseconds(lambda: plan(workspace="acme", tags=("canary",))),
        "policy_us": microseconds(lambda: plan(workspace="policies")),
        "learned_with_rules_us": microseconds(lambda: plan(workspace="acme")),
        "first_match_us": microseconds(match, 300),
    }


def _with_experiments(models: int) -> dict[str, float]:
    """Return the times of plans without experiments, and in each arm of one; and of the hash alone."""
    known = snapshot(models)
    assert known.configuration is not None
    began = "2026-11-20T12:00:00Z"
    stage = {"status": "running", "share": 0.5, "since": began, "began": began}
    treatments = {
        "model": {"model": "model-7"},
        "policy": {"policy": "policy-1"},
        "table": {"scoreTable": [{"modelId": "model-7", "complexity": "medium", "score": 4, "mean": 0.8, "nEff": 500}]},
    }

    def rules(treatment: dict[str, Any] | None, share: float = 0.5) -> RoutingRules:
        entries = [put(parse_policy({"name": "policy-1", "models": [{"model": f"model-{n}"} for n in range(8)]}))]
        if treatment is not None:
            value = {"id": "e1", "name": "e", "salt": "s", "treatments": [{"name": "new", **treatment}]}
            entries.append(put(parse_experiment({**value, "stage": {**stage, "share": share}})))
        bodies = {(each.kind, each.id): each.body for each in entries if each.body is not None}
        return RoutingRules(read_configuration(1, bodies), known.configuration)

    hints = hints_from_headers({"x-centralcloud-complexity": "5"})
    planner = Planner(rng=random.Random(1))
    requests = [RoutingRequest(headers=hints, id=f"id-{number}", input_tokens=1_000) for number in range(2_000)]

    def cost(compiled: RoutingRules, arm: str | None) -> float:
        of_arm = [each for each in requests if planner.plan(each, known, rules=compiled).arm == arm]
        following = itertools.cycle(of_arm)
        return microseconds(lambda: planner.plan(next(following), known, rules=compiled))

    plain = rules(None)
    before = cost(plain, None)
    found = {f"control_of_{name}_us": cost(rules(treatment), "control") for name, treatment in treatments.items()}
    found |= {f"treated_by_{name}_us": cost(rules(treatment), "new") for name, treatment in treatments.items()}
    after = cost(plain, None)
    numbers = itertools.count()
    return {
        "without_us": before,
        "without_again_us": after,
        **found,
        "assignment_us": round(found["control_of_model_us"] - (before + after) / 2, 2),
        "hash_us": microseconds(lambda: position_of("e1", "s", f"id-{next(numbers)}")),
    }


def _configuration(models: int) -> FleetConfiguration:
    """Return 100 rules with all kinds of conditions, 10 policies and two workspaces."""
    conditions: list[dict[str, Any]] = [
        {"agentType": ["creative"], "requestType": ["completion", "chat"], "contentLength": {"min": 100, "max": 2000}},
        {"taskType": ["fix_bug", "deploy_code"], "complexity": {"min": 7}},
        {"any_of": [{"tags": ["eu"]}, {"workspace": ["berlin"]}], "not": {"complexity": ["simple"]}},
        {"timeOfDay": {"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}, "tags": ["batch"]},
    ]
    names = [f"model-{number}" for number in range(models)]
    rules = [
        {"id": f"rule-{number:03}", "name": "r", "policy": f"policy-{number % _POLICIES}",
         "condition": {**conditions[number % 4], "tags": [f"tag-{number}"]}, "priority": 1000 - number}
        for number in range(_RULES - 1)
    ]  # fmt: skip
    targets = [{"modelId": name, "weight": 1, "fallbackOrder": place} for place, name in enumerate(names[:5])]
    split = {"primary": 80, "canary": 20}
    last = {"id": "last", "name": "l", "targetModels": targets, "trafficSplit": split, "priority": 1}
    policies = [
        {"name": f"policy-{number}", "max_cost_per_task": 0.5, "max_tokens": 4000,
         "models": [{"model": name} for name in names[number % models :][:8]]}
        for number in range(_POLICIES)
    ]  # fmt: skip
    entries = [
        *(put(parse_rule(each)) for each in [*rules, {**last, "condition": {"tags": ["canary"]}}]),
        *(put(parse_policy(each)) for each in policies),
        put(parse_workspace({"id": "acme", "deniedModels": names[:1]})),
        put(parse_workspace({"id": "policies", "policy": "policy-1"})),
    ]
    return read_configuration(1, {(each.kind, each.id): each.body for each in entries if each.body is not None})


def _share_of_misses(models: int, slow_seconds: float) -> float:
    rng = random.Random(2)
    known = snapshot(models)
    planner = Planner(rng=random.Random(1))
    levels = [hints_from_headers({"x-centralcloud-complexity": str(level)}) for level in range(1, 11)]
    view = HealthView()
    times = []
    for number in range(_REQUESTS):
        if number % _CHANGE_EVERY == 0:
            view = HealthView(unhealthy={f"model-{rng.randrange(models)}": "slow"})
        needs = rng.choice(((), (), ("vision",), ("function_calling", "vision")))
        request = RoutingRequest(headers=rng.choice(levels), needs=needs, input_tokens=int(rng.lognormvariate(7, 1.2)))
        began = time.thread_time()
        planner.plan(request, known, view)
        times.append(time.thread_time() - began)
    return round(sum(each > slow_seconds for each in times) / len(times), 4)


if __name__ == "__main__":
    print(plan_times(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
