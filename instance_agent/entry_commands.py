"""`instance-agent models`, `endpoints`, `rules`, `policies`, `tasks`, `agents`, `workspaces`, `budgets`.

Entries of the fleet's configuration: one implementation for all kinds but keys, whose text is never in a file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import Struct

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import KINDS, PRIVATE_ALLOWED, PUBLIC_ONLY, Change, EntryKey
from centralcloud.runtime.commands.json_input import read_json_input
from centralcloud.runtime.configuration.difference import EntryDifference, difference_of
from centralcloud.runtime.configuration.document import changes_to, entry_body
from centralcloud.runtime.configuration.writing import Current, change_configuration, read_whole
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import AsJson, print_document, print_json, print_line, print_rows
from centralcloud.runtime.wording import printable_json
from instance_agent.configuration_session import Why, author, open_configuration
from instance_agent.effective_catalog import gateway_configuration
from instance_agent.settings import GatewaySettings

_JSON: Final = "a JSON object, or a list of them"
Columns = Mapping[str, Callable[[dict[str, Any]], Any]]


class UnknownEntryError(CentralCloudError):
    """The configuration has no such entry."""


class RefusedEntryError(CentralCloudError):
    """A model or an endpoint has a provider or an address that is refused."""


class EntryCommands(Struct, frozen=True, kw_only=True):
    """The commands of one kind of entries.

    Attributes:
        name: of the commands.
        kind: of the entries.
        word: for one entry in messages.
        columns: of the table that `list` prints, from the JSON form of an entry.
        order: of the entries in it; None: by id.
        id_field: that names an entry.
    """

    name: str
    kind: str
    word: str
    columns: Columns
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


GROUPS: Final = (
    EntryCommands(
        name="models",
        kind="model",
        word="model",
        columns=_fields("id", "name", "provider", "version", "modelType", "status"),
    ),
    EntryCommands(
        name="endpoints",
        kind="endpoint",
        word="endpoint",
        columns=_fields("id", "modelId", "url", "type", "weight", "provider"),
    ),
    EntryCommands(
        name="rules",
        kind="rule",
        word="rule",
        columns={**_fields("id", "name", "priority", "enabled"), "to": _target},
        order=lambda entry: (-entry["priority"], entry["id"]),
    ),
    EntryCommands(
        name="policies",
        kind="policy",
        word="policy",
        columns={**_fields("name", "order"), "models": _models, **_fields("max_cost_per_task", "is_active")},
        id_field="name",
    ),
    EntryCommands(name="tasks", kind="task", word="task type", columns=_fields("id", "policy")),
    EntryCommands(
        name="agents",
        kind="agent",
        word="agent type",
        columns={"id": _field("id"), "preferred": _listed("preferredModels"), "fallback": _listed("fallbackModels")},
    ),
    EntryCommands(
        name="workspaces",
        kind="workspace",
        word="workspace",
        columns={
            **_fields("id", "policy", "onLimit"),
            "limits": _limits,
            "restricted_to": _listed("modelRestrictions"),
            "compliance": _listed("complianceRequirements"),
        },
    ),
    EntryCommands(
        name="budgets",
        kind="budget",
        word="budget",
        columns=_fields("id", "scope", "of", "period", "limit", "onLimit", "enabled"),
    ),
)


def _app(group: EntryCommands) -> typer.Typer:
    """Return the commands of a kind."""
    app = typer.Typer(
        help=f"List, show, set and remove {_PLURAL[group.name]}.", no_args_is_help=True, rich_markup_mode=None
    )
    entry_id = f"The {group.id_field} of the {group.word}."

    @app.command("list", help=f"List {_PLURAL[group.name]}.")
    def list_entries(json_output: AsJson = False) -> None:
        entries = _entries(group)
        if json_output:
            print_json(entries)
            return
        rows = [{name: value(entry) for name, value in group.columns.items()} for entry in entries]
        print_rows(rows, dict.fromkeys(group.columns), empty=f"no {_PLURAL[group.name]}")

    @app.command(help=f"Show one {group.word} as JSON.")
    def show(
        name: Annotated[str, typer.Argument(metavar="ID", help=entry_id)],
        json_output: AsJson = False,
    ) -> None:
        for entry in _entries(group):
            if entry[group.id_field] == name:
                if json_output:
                    print_json(entry)
                else:
                    print_document(printable_json(msgspec.json.format(msgspec.json.encode(entry), indent=2).decode()))
                return
        raise _unknown(group, name)

    @app.command("set", help=f"Add or replace {_PLURAL[group.name]}: {_JSON}, all of them or none.")
    def set_entries(
        file: Annotated[str, typer.Argument(help="A file with JSON; - reads standard input.")],
        name: Annotated[str | None, typer.Option("--id", help=f"{entry_id} For JSON that does not have it.")] = None,
        any_model: Annotated[
            bool,
            typer.Option("--any-model", help="Accept names of models that the catalog of this machine does not have."),
        ] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate it, and write nothing.")] = False,
        reason: Why = None,
        json_output: AsJson = False,
    ) -> None:
        from instance_agent.gateway.errors import InvalidFieldError  # what they stand on takes long to import
        from instance_agent.gateway.registry_changes import check_registry

        wanted = _parse(group, read_json_input(file), name)
        settings = load_settings(GatewaySettings)
        catalog = gateway_configuration(settings)
        addresses = PRIVATE_ALLOWED if settings.gateway_private_endpoints else PUBLIC_ONLY
        made: list[EntryDifference] = []

        def decide(current: Current) -> Sequence[Change]:
            changes = changes_to(current.bodies, wanted, replace=False)
            try:
                check_registry(changes, current, catalog.providers, addresses)
            except InvalidFieldError as error:
                raise RefusedEntryError(error.message) from None
            made[:] = difference_of(current.bodies, changes)
            return changes

        who = author(reason)
        with open_configuration(group.name) as database:
            written = change_configuration(
                database, who, decide, is_known=_any if any_model else catalog.knows, dry_run=dry_run
            )
        changed = {each.id: each.change for each in made}
        ids = [entry_id for _, entry_id in wanted]
        if json_output:
            entries = [{"id": each, "change": changed.get(each, "unchanged")} for each in ids]
            print_json({"version": written.configuration.version, "dry_run": dry_run, "entries": entries})
            return
        for each in ids:
            word = changed.get(each, "unchanged")
            print_line(f"{'would be ' if dry_run and word != 'unchanged' else ''}{word}: {group.word} {each}")

    @app.command(
        help=f"Remove {_PLURAL[group.name]}, all of them or none; the history of the configuration keeps them."
    )
    def remove(
        names: Annotated[list[str], typer.Argument(metavar="ID...", help=entry_id)],
        reason: Why = None,
        json_output: AsJson = False,
    ) -> None:
        def decide(current: Current) -> Sequence[Change]:
            for each in names:
                if (group.kind, each) not in current.bodies:
                    raise _unknown(group, each)
            return [Change(group.kind, each, None) for each in dict.fromkeys(names)]

        who = author(reason)
        with open_configuration(group.name) as database:
            written = change_configuration(database, who, decide)
        if json_output:
            print_json({"version": written.configuration.version, "removed": list(dict.fromkeys(names))})
            return
        for each in dict.fromkeys(names):
            print_line(f"removed: {group.word} {each}")

    return app


def _entries(group: EntryCommands) -> list[dict[str, Any]]:
    with open_configuration(group.name) as database:
        bodies = read_whole(database).bodies
    found = [
        entry_body(kind, entry_id, body) for (kind, entry_id), body in sorted(bodies.items()) if kind == group.kind
    ]
    return found if group.order is None else sorted(found, key=group.order)


def _parse(group: EntryCommands, value: Any, name: str | None) -> dict[EntryKey, Struct]:
    """Return the entries of a JSON document.

    Raises:
        SettingsError: it is not an object or a list, or `name` is given for more than one.
        ContractError: an entry is invalid, or there twice; names the path.
    """
    single = isinstance(value, dict)
    if not single and not (isinstance(value, list) and value):
        raise SettingsError(f"FILE: found {quote(value)}, expected {_JSON}")
    if name is not None and not single:
        raise SettingsError("--id: found with a list, expected it with one object")
    entries: dict[EntryKey, Struct] = {}
    for position, each in enumerate([value] if single else value):
        path = "FILE" if single else f"FILE[{position}]"
        if name is not None and each.setdefault(group.id_field, name) != name:
            raise SettingsError(f"--id: found {quote(name)}, expected {quote(each[group.id_field])}, as in the file")
        entry: Any = KINDS[group.kind].parse(each, path)
        if (group.kind, entry.id) in entries:
            raise SettingsError(f"{path}.{group.id_field}: found {quote(entry.id)} a second time, expected each once")
        entries[group.kind, entry.id] = entry
    return entries


def _unknown(group: EntryCommands, name: str) -> UnknownEntryError:
    shown = f"`instance-agent {group.name} list` shows them"
    return UnknownEntryError(f"found no {group.word} {quote(name)}, expected one that is configured; {shown}")


def _any(_name: str) -> bool:
    return True


_PLURAL: Final[Mapping[str, str]] = {
    "models": "models of the fleet's registry",
    "endpoints": "endpoints of registered models",
    "rules": "rules of routing",
    "policies": "policies of routing",
    "tasks": "the policies of task types",
    "agents": "preferences of agent types",
    "workspaces": "configurations of workspaces",
    "budgets": "budgets",
}
#: By the name of the command.
apps: Final = {group.name: _app(group) for group in GROUPS}
