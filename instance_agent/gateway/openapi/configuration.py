"""The operations on the fleet's configuration, and the schemas that no type describes, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from instance_agent.gateway.openapi.operation import OF_FLEET, Operation

_RULE_EXAMPLE: Final = {
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
_POLICY_EXAMPLE: Final = {
    "name": "normal",
    "description": "Balanced cost and performance",
    "models": [
        {"model": "gpt-4o-mini", "priority": 1},
        {"model": "claude-3-5-sonnet", "priority": 2},
    ],
    "max_cost_per_task": 0.10,
    "max_tokens": 4000,
    "temperature": 0.7,
}
_AGENT_EXAMPLE: Final = {
    "preferredModels": ["gpt-4", "claude-3-sonnet"],
    "fallbackModels": ["gpt-3.5-turbo"],
    "requiredCapabilities": ["text-generation"],
    "performanceRequirements": {"maxLatency": 5000, "minSuccessRate": 0.95, "maxCostPerToken": 0.01},
}
_WORKSPACE_EXAMPLE: Final = {
    "modelRestrictions": ["gpt-4", "claude-3-sonnet"],
    "budgetLimits": {"daily": 100, "weekly": 500, "monthly": 2000},
    "qualityRequirements": {"minSuccessRate": 0.95, "maxLatency": 5000},
    "complianceRequirements": ["gdpr", "ccpa", "hipaa"],
}
_OWN: Final = "A key of a workspace sees its own alone."


def _read(summary: str, answer: str, *, one: bool = False, **fields: Any) -> Operation:
    fields = {"role": "viewer", "errors": ("404",) if one else (), **fields}
    return Operation(tag="configuration", summary=summary, answer=answer, **fields)


def _change(summary: str, body: str | None, answer: str, errors: tuple[str, ...], **fields: Any) -> Operation:
    text = " ".join(filter(None, [fields.pop("text", ""), OF_FLEET]))
    return Operation(
        tag="configuration", summary=summary, text=text, role="admin", body=body, answer=answer, errors=errors, **fields
    )


def _remove(summary: str) -> Operation:
    return _change(summary, None, "DeletedEntry", ("404", "409"), text="409 while another entry names it.")


_PATCH: Final = "A JSON merge patch: objects are merged, null removes a field, everything else replaces."

CONFIGURATION_OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/api/routing/rules"): _read(
        "List the rules",
        "RuleList",
        text="In the order in which they are tried: the greatest priority first, then the least id. A key of a workspace "
        "does not see rules that name another one.",
    ),
    ("POST", "/api/routing/rules"): _change(
        "Add a rule",
        "NewRoutingRule",
        "RoutingRule",
        ("400", "409", "422"),
        example=_RULE_EXAMPLE,
        status="201",
        text="The greatest priority counts.",
    ),
    ("GET", "/api/routing/rules/{id}"): _read("Show a rule", "RoutingRule", one=True),
    ("PATCH", "/api/routing/rules/{id}"): _change(
        "Change a rule", "RulePatch", "RoutingRule", ("400", "404", "422"), example={"enabled": False}, text=_PATCH
    ),
    ("DELETE", "/api/routing/rules/{id}"): _remove("Remove a rule"),
    ("GET", "/api/routing/policies"): _read("List the policies", "PolicyList"),
    ("POST", "/api/routing/policies"): _change(
        "Add or replace a policy",
        "RoutingPolicy",
        "RoutingPolicy",
        ("400", "422"),
        example=_POLICY_EXAMPLE,
        created=True,
        text="201 for a new one. The least priority of a model is first.",
    ),
    ("GET", "/api/routing/policies/{name}"): _read("Show a policy", "RoutingPolicy", one=True),
    ("PATCH", "/api/routing/policies/{name}"): _change(
        "Change a policy",
        "PolicyPatch",
        "RoutingPolicy",
        ("400", "404", "422"),
        example={"max_cost_per_task": 0.2},
        text=_PATCH,
    ),
    ("DELETE", "/api/routing/policies/{name}"): _remove("Remove a policy"),
    ("GET", "/api/routing/tasks"): _read("Show the policy of each task type", "TaskMapping"),
    ("PUT", "/api/routing/tasks"): _change(
        "Replace the task mapping",
        "TaskMapping",
        "TaskMapping",
        ("400", "422"),
        example={"taskMapping": {"fix_bug": "code", "*": "normal"}},
        text="`*` stands for every other type that a caller names.",
    ),
    ("GET", "/api/agents/{agentType}/preferences"): _read(
        "Show the preferences of an agent type", "AgentPreferences", one=True
    ),
    ("POST", "/api/agents/{agentType}/preferences"): _change(
        "Set the preferences of an agent type",
        "NewAgentPreferences",
        "AgentPreferences",
        ("400", "404", "422"),
        example=_AGENT_EXAMPLE,
    ),
    ("DELETE", "/api/agents/{agentType}/preferences"): _remove("Remove the preferences of an agent type"),
    ("GET", "/api/agents/{agentType}/models"): _read(
        "List the models for an agent type",
        "AgentModels",
        one=True,
        text="The preferred ones, then the fallbacks, each usable now on this replica, or with the reason why not; without "
        "preferences every active model.",
    ),
    ("GET", "/api/workspaces"): _read("List the configured workspaces", "WorkspaceList", text=_OWN),
    ("GET", "/api/workspaces/{workspaceId}/config"): _read(
        "Show the configuration of a workspace", "Workspace", one=True, text=_OWN
    ),
    ("POST", "/api/workspaces/{workspaceId}/config"): _change(
        "Set the configuration of a workspace",
        "NewWorkspace",
        "Workspace",
        ("400", "404", "422"),
        example=_WORKSPACE_EXAMPLE,
    ),
    ("DELETE", "/api/workspaces/{workspaceId}/config"): _remove("Remove the configuration of a workspace"),
    ("GET", "/api/budgets"): _read(
        "List the budgets",
        "BudgetList",
        text="With the limits of workspaces. A key of a workspace does not see those of others.",
    ),
    ("POST", "/api/budgets"): _change(
        "Add or replace a budget",
        "NewBudget",
        "Budget",
        ("400", "422"),
        example={"scope": "fleet", "period": "daily", "limit": 50, "onLimit": "stop"},
        created=True,
        text="201 for a new one. Without an `id` it is SCOPE:OF:PERIOD.",
    ),
    ("GET", "/api/budgets/{id}"): _read("Show a budget", "Budget", one=True),
    ("DELETE", "/api/budgets/{id}"): _remove("Remove a budget"),
    ("GET", "/api/config/export"): _read(
        "Export the whole configuration", "Document", role="operator", text=f"Without keys. {OF_FLEET}"
    ),
    ("POST", "/api/config/import"): _change(
        "Import a configuration",
        "Import",
        "Imported",
        ("400", "422"),
        example={"config": {"models": [], "routingRules": [], "agentPreferences": {}, "workspaceConfigs": {}}},
        text="All entries in one version, or none. Other entries stay unless `replace` is true; keys always stay.",
    ),
}

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_YES_NO: Final = {"type": "boolean"}
_PATCHED: Final = {"type": "object", "description": "Some fields of the entry."}


def _of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(name: str, item: str) -> dict[str, Any]:
    return _object(f"{name} count", **{name: {"type": "array", "items": _of(item)}, "count": _WHOLE})


def _by_id(item: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": item}


_SECTIONS: Final = {
    "type": "object",
    "properties": {
        "models": {"type": "array", "items": _of("RegisteredModel")},
        "endpoints": {"type": "array", "items": _of("RegisteredEndpoint")},
        "routingPolicies": {"type": "array", "items": _of("RoutingPolicy")},
        "taskMapping": _by_id(_TEXT),
        "routingRules": {"type": "array", "items": _of("RoutingRule")},
        "agentPreferences": _by_id(_of("NewAgentPreferences")),
        "workspaceConfigs": _by_id(_of("NewWorkspace")),
        "budgets": {"type": "array", "items": _of("Budget")},
    },
}
_CHANGE: Final = _object("kind id change", kind=_TEXT, id=_TEXT, change={"enum": ["added", "removed", "changed"]})

CONFIGURATION_SCHEMAS: Final[Mapping[str, Any]] = {
    "RuleList": _list("rules", "RoutingRule"),
    "PolicyList": _list("policies", "RoutingPolicy"),
    "WorkspaceList": _list("workspaces", "Workspace"),
    "BudgetList": _list("budgets", "Budget"),
    "RulePatch": _PATCHED,
    "PolicyPatch": _PATCHED,
    "TaskMapping": _object("taskMapping", taskMapping=_by_id(_TEXT)),
    "AgentModels": _object(
        "agentType models count",
        agentType=_TEXT,
        count=_WHOLE,
        models={
            "type": "array",
            "items": _object(
                "modelId preference usable",
                modelId=_TEXT,
                preference={"enum": ["preferred", "fallback", "any"]},
                resolvedTo={**_TEXT, "description": "The model that an alias stands for."},
                provider=_TEXT,
                status=_TEXT,
                usable=_YES_NO,
                reason=_TEXT,
                missingCapabilities={"type": "array", "items": _TEXT},
            ),
        },
    ),
    "DeletedEntry": _object("id deleted", id=_TEXT, deleted=_YES_NO),
    "Document": _object("config", config=_SECTIONS),
    "Import": _object("config", config=_SECTIONS, replace=_YES_NO, dryRun=_YES_NO),
    "Imported": _object(
        "configVersion dryRun changes",
        configVersion=_WHOLE,
        dryRun=_YES_NO,
        changes={"type": "array", "items": _CHANGE},
    ),
}
