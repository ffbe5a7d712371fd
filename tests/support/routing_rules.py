"""Configurations of the fleet with rules, policies, agents and workspaces, compiled for a catalog, for tests of plans."""

from typing import Any

import pytest

from centralcloud.contracts.fleet_configuration import (
    FleetConfiguration,
    parse_agent,
    parse_experiment,
    parse_policy,
    parse_rule,
    parse_task_policy,
    parse_workspace,
    put,
    read_configuration,
)
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.task import TaskHints
from support.planning import a_planner, model, request, snapshot

_PARSERS = {
    "rules": parse_rule,
    "policies": parse_policy,
    "tasks": parse_task_policy,
    "agents": parse_agent,
    "workspaces": parse_workspace,
    "experiments": parse_experiment,
}


def configured(**entries: list[dict[str, Any]]) -> FleetConfiguration:
    """Return a configuration of entries in their JSON form: rules, policies, tasks, agents, workspaces, experiments."""
    changes = [put(_PARSERS[kind](value)) for kind, values in entries.items() for value in values]
    return read_configuration(1, {(each.kind, each.id): each.body for each in changes if each.body is not None})


def compiled(known: CatalogSnapshot, **entries: list[dict[str, Any]]) -> RoutingRules:
    """Return such a configuration, compiled for a catalog."""
    assert known.configuration is not None
    return RoutingRules(configured(**entries), known.configuration)


def policy(name: str, *models: str, **fields: Any) -> dict[str, Any]:
    """Return a policy of these models, by priority in this order."""
    listed = [{"model": each, "priority": number} for number, each in enumerate(models, start=1)]
    return {"name": name, "models": listed, **fields}


def rule(rule_id: str, *targets: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a rule with these targets; names alone have the weight 1 and follow each other after a failure."""
    models = [
        {"modelId": each, "fallbackOrder": number} if isinstance(each, str) else each
        for number, each in enumerate(targets, start=1)
    ]
    return {"id": rule_id, "name": rule_id, **({"targetModels": models} if models else {}), **fields}


#: The catalog of most tests: four models, each with one score for every complexity.
MODELS = [model("a", 5.0), model("b", 4.0), model("c", 3.0), model("d", 2.0, provider="q")]
KNOWN = snapshot(*MODELS, aliases={"old-c": "c"})


def plan(rules: RoutingRules, asked: RoutingRequest | None = None, known: Any = KNOWN, **options: Any) -> Plan:
    """Return the plan of a request; by default one of medium complexity."""
    return a_planner().plan(asked or request(), known, rules=rules, **options)


def refused(rules: RoutingRules, asked: RoutingRequest, known: Any = KNOWN) -> PlanError:
    """Return the error of a request that has no plan."""
    with pytest.raises(PlanError) as found:
        plan(rules, asked, known)
    return found.value


def hints(**fields: Any) -> RoutingRequest:
    """Return a request of medium complexity with headers."""
    return RoutingRequest(headers=TaskHints(level="medium", **fields))
