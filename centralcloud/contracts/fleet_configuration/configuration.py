"""The configuration of the fleet as one immutable value, built from its entries and validated as a whole. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.addresses import PRIVATE_ALLOWED
from centralcloud.contracts.fleet_configuration.agent import AgentPreferences, parse_agent
from centralcloud.contracts.fleet_configuration.budget import Budget, parse_budget
from centralcloud.contracts.fleet_configuration.endpoint import RegisteredEndpoint, parse_endpoint
from centralcloud.contracts.fleet_configuration.experiment import MAX_RUNNING, Experiment, parse_experiment
from centralcloud.contracts.fleet_configuration.health import ModelHealth
from centralcloud.contracts.fleet_configuration.key import ApiKey, parse_key
from centralcloud.contracts.fleet_configuration.model import RegisteredModel, parse_model
from centralcloud.contracts.fleet_configuration.policy import (
    RoutingPolicy,
    TaskPolicy,
    parse_policy,
    parse_task_policy,
)
from centralcloud.contracts.fleet_configuration.references import check_policies, path_in
from centralcloud.contracts.fleet_configuration.rule import RoutingRule, parse_rule
from centralcloud.contracts.fleet_configuration.values import to_body
from centralcloud.contracts.fleet_configuration.workspace import Workspace, parse_workspace

#: NOTIFY channel: the configuration or the posted health has changed.
CONFIGURATION_CHANNEL: Final = "centralcloud_configuration"
#: Most entries of a configuration, and most bytes of all of them: every gateway keeps them in memory and in a file.
MAX_ENTRIES: Final = 20_000
MAX_CONFIGURATION_BYTES: Final = 32_000_000

#: Kind and id of an entry.
EntryKey: TypeAlias = tuple[str, str]
#: The JSON form of every entry.
Bodies: TypeAlias = Mapping[EntryKey, Mapping[str, Any]]


class Kind(NamedTuple):
    """A kind of entries.

    Attributes:
        section: its name in paths and exports.
        parse: from the stored JSON, and the path that begins those in errors, to the entry.
    """

    section: str
    parse: Callable[[Any, str], msgspec.Struct]


def _parse_stored_endpoint(value: Any, path: str) -> RegisteredEndpoint:
    """Parse an endpoint that a writer has accepted: whether private addresses are allowed was its decision."""
    return parse_endpoint(value, path, policy=PRIVATE_ALLOWED)


#: Every kind that this version can read. One that is not here makes the configuration unreadable: to leave it out could
#: lift a restriction.
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "model": Kind("models", parse_model),
        "endpoint": Kind("endpoints", _parse_stored_endpoint),
        "key": Kind("keys", parse_key),
        "policy": Kind("routingPolicies", parse_policy),
        "task": Kind("taskMapping", parse_task_policy),
        "rule": Kind("routingRules", parse_rule),
        "agent": Kind("agentPreferences", parse_agent),
        "workspace": Kind("workspaceConfigs", parse_workspace),
        "budget": Kind("budgets", parse_budget),
        "experiment": Kind("experiments", parse_experiment),
    }
)
_KIND_OF: Final[Mapping[type[Any], str]] = MappingProxyType(
    {
        RegisteredModel: "model",
        RegisteredEndpoint: "endpoint",
        ApiKey: "key",
        RoutingPolicy: "policy",
        TaskPolicy: "task",
        RoutingRule: "rule",
        AgentPreferences: "agent",
        Workspace: "workspace",
        Budget: "budget",
        Experiment: "experiment",
    }
)

#: An entry of the configuration, of any kind.
ConfigurationEntry: TypeAlias = (
    RegisteredModel
    | RegisteredEndpoint
    | ApiKey
    | RoutingPolicy
    | TaskPolicy
    | RoutingRule
    | AgentPreferences
    | Workspace
    | Budget
    | Experiment
)


class Change(NamedTuple):
    """A change of one entry. `entry` is None to remove it."""

    kind: str
    id: str
    entry: msgspec.Struct | None

    @property
    def body(self) -> dict[str, Any] | None:
        """The entry in its JSON form."""
        return None if self.entry is None else to_body(self.entry)


def put(entry: ConfigurationEntry) -> Change:
    """Return the change that adds or replaces an entry."""
    return Change(_KIND_OF[type(entry)], entry.id, entry)


def remove(kind: str, entry_id: str) -> Change:
    """Return the change that removes an entry."""
    return Change(kind, entry_id, None)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfiguration:
    """The configuration at one version, and the posted health of the moment.

    Attributes:
        version: 0: nothing was ever configured.
        models: by id.
        endpoints: by the id of the model; in the order of their ids.
        keys: by prefix, those that are no longer valid included.
        policies: by name.
        task_policies: the name of a policy by task type; ``*`` for every other type that a caller names.
        rules: those that are enabled and those that are not, in the order in which they are tried.
        agents: preferences by agent type.
        workspaces: by id.
        budgets: by id, the limits of the workspaces included.
        experiments: in the order in which they are asked, those that have ended included.
        health: by the id of the model; reports that have expired may be left in it, see `health_of`.
    """

    version: int = 0
    models: Mapping[str, RegisteredModel] = field(default_factory=_nothing)
    endpoints: Mapping[str, tuple[RegisteredEndpoint, ...]] = field(default_factory=_nothing)
    keys: Mapping[str, ApiKey] = field(default_factory=_nothing)
    policies: Mapping[str, RoutingPolicy] = field(default_factory=_nothing)
    task_policies: Mapping[str, str] = field(default_factory=_nothing)
    rules: tuple[RoutingRule, ...] = ()
    agents: Mapping[str, AgentPreferences] = field(default_factory=_nothing)
    workspaces: Mapping[str, Workspace] = field(default_factory=_nothing)
    budgets: Mapping[str, Budget] = field(default_factory=_nothing)
    experiments: tuple[Experiment, ...] = ()
    health: Mapping[str, ModelHealth] = field(default_factory=_nothing)

    def with_health(self, health: Mapping[str, ModelHealth]) -> "FleetConfiguration":
        """Return the same configuration with the health of its models."""
        known = {model: each for model, each in health.items() if model in self.models}
        return replace(self, health=MappingProxyType(known))

    def health_of(self, model_id: str, now: float) -> ModelHealth | None:
        """Return the health that was posted for a model; None if there is none that counts at `now` (`time.monotonic`)."""
        health = self.health.get(model_id)
        return health if health is not None and now < health.expires_at else None


#: Entries that were parsed before, with the JSON form that each was parsed from.
ParsedEntries: TypeAlias = dict[EntryKey, tuple[Mapping[str, Any], Any]]


def read_configuration(version: int, bodies: Bodies, parsed: ParsedEntries | None = None) -> FleetConfiguration:
    """Build the configuration from all of its entries.

    Args:
        parsed: the entries of earlier calls, which are not parsed again; those that are new are added, and those that are
            gone are removed.

    Raises:
        ContractError: an entry is invalid, of an unknown kind, or refers to one that does not exist; names the path, such as
            ``endpoints["ep-1"].modelId``.
    """
    if len(bodies) > MAX_ENTRIES:
        raise ContractError("configuration", f"{len(bodies):,} entries", f"at most {MAX_ENTRIES:,}")
    entries: dict[str, dict[str, Any]] = {name: {} for name in KINDS}
    parsed = {} if parsed is None else parsed
    for gone in parsed.keys() - bodies.keys():
        del parsed[gone]
    for (kind, entry_id), body in sorted(bodies.items(), key=lambda each: each[0]):
        before = parsed.get((kind, entry_id))
        if before is not None and before[0] == body:
            entries[kind][entry_id] = before[1]
            continue
        if kind not in KINDS:
            expected = f"a kind that this version knows: {', '.join(KINDS)}"
            raise ContractError(f"{kind}[{quote(entry_id)}]", "entries of this kind", expected)
        path = entry_path(kind, entry_id)
        entry: Any = KINDS[kind].parse(body, path)
        if entry.id != entry_id:
            raise ContractError(f"{path}.id", quote(entry.id), quote(entry_id))
        entries[kind][entry_id] = entry
        parsed[kind, entry_id] = body, entry
    endpoints: dict[str, list[RegisteredEndpoint]] = {}
    for endpoint in entries["endpoint"].values():
        if endpoint.model_id not in entries["model"]:
            expected = "the id of a registered model"
            raise ContractError(f"{entry_path('endpoint', endpoint.id)}.modelId", quote(endpoint.model_id), expected)
        endpoints.setdefault(endpoint.model_id, []).append(endpoint)
    check_policies(entries)
    _check_running(entries["experiment"])
    return FleetConfiguration(
        version=version,
        models=MappingProxyType(entries["model"]),
        endpoints=MappingProxyType({model: tuple(each) for model, each in endpoints.items()}),
        keys=MappingProxyType(entries["key"]),
        policies=MappingProxyType(entries["policy"]),
        task_policies=MappingProxyType({task: mapped.policy for task, mapped in entries["task"].items()}),
        rules=tuple(sorted(entries["rule"].values(), key=lambda rule: (-rule.priority, rule.id))),
        agents=MappingProxyType(entries["agent"]),
        workspaces=MappingProxyType(entries["workspace"]),
        budgets=MappingProxyType(_all_budgets(entries)),
        experiments=tuple(entries["experiment"].values()),
    )


def _all_budgets(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Budget]:
    budgets: dict[str, Budget] = dict(entries["budget"])
    for workspace in entries["workspace"].values():
        for budget in workspace.budgets():
            if budget.id in budgets:
                raise ContractError(
                    f"{entry_path('budget', budget.id)}.id",
                    f"{quote(budget.id)}, which budgetLimits of the workspace {quote(workspace.id)} make too",
                    "another id, or no such limit of the workspace",
                )
            budgets[budget.id] = budget
    return budgets


def _check_running(experiments: Mapping[str, Experiment]) -> None:
    running = sum(each.is_open for each in experiments.values())
    if running > MAX_RUNNING:
        raise ContractError("experiments", f"{running} that run or are paused", f"at most {MAX_RUNNING}")


def entry_path(kind: str, entry_id: str) -> str:
    """Return the path of an entry in messages: ``models["gpt-4o"]``."""
    return path_in(KINDS[kind].section, entry_id)


def apply_changes(bodies: Bodies, changes: Iterable[Change]) -> dict[EntryKey, Mapping[str, Any]]:
    """Return the entries after some changes.

    Raises:
        ContractError: together they are larger than a configuration may be.
    """
    after = dict(bodies)
    for change in changes:
        if (body := change.body) is None:
            after.pop((change.kind, change.id), None)
        else:
            after[change.kind, change.id] = body
    size = len(msgspec.json.encode(list(after.values())))
    if size > MAX_CONFIGURATION_BYTES:
        raise ContractError("configuration", f"{size:,} bytes", f"at most {MAX_CONFIGURATION_BYTES:,}")
    return after
