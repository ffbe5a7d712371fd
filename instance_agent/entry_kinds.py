"""The kinds of entries that have commands: their names, and the columns of their tables."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

Columns = Mapping[str, Callable[[dict[str, Any]], Any]]


class EntryCommands(Struct, frozen=True, kw_only=True):
    """The commands of one kind of entries.

    Attributes:
        name: of the commands.
        kind: of the entries.
        word, plural: for one entry and for all of them in messages and help.
        columns: of the table that `list` prints, from the JSON form of an entry.
        example: of the JSON of an entry, for the help.
        order: of the entries in it; None: by id.
        id_field: that names an entry.
    """

    name: str
    kind: str
    word: str
    plural: str
    columns: Columns
    example: str
    order: Callable[[dict[str, Any]], Any] | None = None
    id_field: str = "id"


def _field(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: entry.get(name)


def _fields(*names: str) -> Columns:
    return {name: _field(name) for name in names}


def _models(entry: dict[str, Any]) -> str:
    models = sorted(entry["models"], key=lambda each: each["priority"])
    return ", ".join("/".join(filter(None, (each.get("provider"), each["model"]))) for each in models)


def _target(entry: dict[str, Any]) -> str:
    names = ", ".join(each["modelId"] for each in entry["targetModels"])
    return names or f"policy:{entry['policy']}"


def _listed(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: ", ".join(entry[name]) or None


def _limits(entry: dict[str, Any]) -> str | None:
    return ", ".join(f"{amount:g} USD {period}" for period, amount in entry["budgetLimits"].items()) or None


def _set_with(entry: dict[str, Any]) -> str:
    """Return the name of the commands that change a budget: limits of a workspace are changed with it."""
    return "workspaces" if entry.get("ofWorkspaceConfig") else "budgets"


GROUPS: Final = (
    EntryCommands(
        name="models",
        plural="models of the fleet's registry",
        kind="model",
        word="model",
        example='{"name": "My model", "version": "my-model-1", "provider": "lm_studio"}',
        columns=_fields("id", "name", "provider", "version", "modelType", "status"),
    ),
    EntryCommands(
        name="endpoints",
        plural="endpoints of registered models",
        kind="endpoint",
        word="endpoint",
        example='{"modelId": "my-model-1", "url": "https://api.openai.com/v1/chat/completions"}',
        columns=_fields("id", "modelId", "url", "type", "weight", "provider"),
    ),
    EntryCommands(
        name="rules",
        plural="rules of routing",
        kind="rule",
        word="rule",
        example='{"name": "Reviewers", "condition": {"agentType": ["reviewer"]}, "policy": "code"}',
        columns={**_fields("id", "name", "priority", "enabled"), "to": _target},
        order=lambda entry: (-entry["priority"], entry["id"]),
    ),
    EntryCommands(
        name="policies",
        plural="policies of routing",
        kind="policy",
        word="policy",
        example='{"name": "review", "models": [{"model": "gpt-4o"}], "max_cost_per_task": 0.25}',
        columns={**_fields("name", "order"), "models": _models, **_fields("max_cost_per_task", "is_active")},
        id_field="name",
    ),
    EntryCommands(
        name="tasks",
        plural="the policies of task types",
        kind="task",
        word="task type",
        example='{"id": "review_code", "policy": "code"}',
        columns=_fields("id", "policy"),
    ),
    EntryCommands(
        name="agents",
        plural="preferences of agent types",
        kind="agent",
        word="agent type",
        example='{"id": "writer", "preferredModels": ["gpt-4o"], "fallbackModels": ["gpt-4o-mini"]}',
        columns={"id": _field("id"), "preferred": _listed("preferredModels"), "fallback": _listed("fallbackModels")},
    ),
    EntryCommands(
        name="workspaces",
        plural="configurations of workspaces",
        kind="workspace",
        word="workspace",
        example='{"id": "search", "budgetLimits": {"daily": 20, "monthly": 400}}',
        columns={
            **_fields("id", "policy", "onLimit"),
            "limits": _limits,
            "restricted_to": _listed("modelRestrictions"),
            "compliance": _listed("complianceRequirements"),
        },
    ),
    EntryCommands(
        name="budgets",
        plural="budgets",
        kind="budget",
        word="budget",
        example='{"scope": "fleet", "period": "monthly", "limit": 500}',
        columns={**_fields("id", "scope", "of", "period", "limit", "onLimit", "enabled"), "set_with": _set_with},
    ),
)
