"""`instance-agent models`, `endpoints`, `rules`, `policies`, `tasks`, `agents`, `workspaces`, `budgets`.

Entries of the fleet's configuration: one implementation for all kinds but keys, whose text is never in a file.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import Struct

from centralcloud.contracts import CentralCloudError, ContractError, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    KINDS,
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    Change,
    EntryKey,
    FleetConfiguration,
    to_body,
)
from centralcloud.contracts.fleet_configuration.references import still_named
from centralcloud.runtime.commands.json_input import read_json_input
from centralcloud.runtime.configuration.difference import EntryDifference, difference_of
from centralcloud.runtime.configuration.document import changes_to, entry_body
from centralcloud.runtime.configuration.writing import Author, Current, Written, change_configuration, read_whole
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import AsJson, print_document, print_json, print_line, print_rows
from centralcloud.runtime.wording import printable_json
from instance_agent.configuration_session import Why, author, open_configuration
from instance_agent.effective_catalog import gateway_configuration
from instance_agent.entry_kinds import GROUPS, EntryCommands
from instance_agent.settings import GatewaySettings

_JSON: Final = "a JSON object, or a list of them"


class UnknownEntryError(CentralCloudError):
    """The configuration has no such entry."""


class RefusedEntryError(CentralCloudError):
    """A model or an endpoint has a provider or an address that is refused, or an entry cannot be removed."""


def _app(group: EntryCommands) -> typer.Typer:
    """Return the commands of a kind."""
    app = typer.Typer(help=f"List, show, set and remove {group.plural}.", no_args_is_help=True, rich_markup_mode=None)
    entry_id = f"The {group.id_field} of the {group.word}."

    @app.command("list", help=f"List {group.plural}.")
    def list_entries(json_output: AsJson = False) -> None:
        _list(group, json_output=json_output)

    @app.command(help=f"Show one {group.word} as JSON.")
    def show(name: Annotated[str, typer.Argument(metavar="ID", help=entry_id)], json_output: AsJson = False) -> None:
        _show(group, name, json_output=json_output)

    @app.command(
        "set", help=f"Add or replace {group.plural}: {_JSON}, all of them or none.\n\nFor example: {group.example}"
    )
    def set_entries(
        file: Annotated[str, typer.Argument(metavar="FILE", help="A file with JSON; - reads standard input.")],
        name: Annotated[str | None, typer.Option("--id", help=f"{entry_id} For JSON that does not have it.")] = None,
        any_model: Annotated[
            bool,
            typer.Option("--any-model", help="Accept names of models that the catalog of this machine does not have."),
        ] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate it, and write nothing.")] = False,
        reason: Why = None,
        json_output: AsJson = False,
    ) -> None:
        wanted, who = _parse(group, read_json_input(file), name), author(reason)
        written, made = _set(group, wanted, who, any_model=any_model, dry_run=dry_run)
        changes = {each.id: each.change for each in made}
        entries = [{"id": each, "change": changes.get(each, "unchanged")} for _, each in wanted]
        if json_output:
            print_json({"version": written.configuration.version, "dry_run": dry_run, "entries": entries})
            return
        for each in entries:
            would_be = "would be " if dry_run and each["id"] in changes else ""
            print_line(f"{would_be}{each['change']}: {group.word} {each['id']}")

    @app.command(help=f"Remove {group.plural}, all of them or none; the history of the configuration keeps them.")
    def remove(
        names: Annotated[list[str], typer.Argument(metavar="ID...", help=entry_id)],
        reason: Why = None,
        json_output: AsJson = False,
    ) -> None:
        removed = list(dict.fromkeys(names))
        written = _remove(group, removed, author(reason))
        if json_output:
            print_json({"version": written.configuration.version, "removed": removed})
            return
        for each in removed:
            print_line(f"removed: {group.word} {each}")

    return app


def _list(group: EntryCommands, *, json_output: bool) -> None:
    entries = _entries(group)
    if json_output:
        print_json(entries)
        return
    rows = [{name: value(entry) for name, value in group.columns.items()} for entry in entries]
    empty = f"no {group.plural}: `instance-agent {group.name} set FILE` adds them"
    print_rows(rows, dict.fromkeys(group.columns), empty=empty)


def _show(group: EntryCommands, name: str, *, json_output: bool) -> None:
    entry = next((each for each in _entries(group) if each[group.id_field] == name), None)
    if entry is None:
        raise _unknown(group, name)
    if json_output:
        print_json(entry)
    else:
        print_document(printable_json(msgspec.json.format(msgspec.json.encode(entry), indent=2).decode()))


def _set(
    group: EntryCommands, wanted: Mapping[EntryKey, Struct], who: Author, *, any_model: bool, dry_run: bool
) -> tuple[Written, list[EntryDifference]]:
    """Add or replace entries, checked against the catalog that a gateway would have with the settings of this command."""
    from instance_agent.gateway.api.registry_changes import check_registry
    from instance_agent.gateway.errors import InvalidFieldError  # what they stand on takes long to import

    settings = load_settings(GatewaySettings)
    catalog, _ = gateway_configuration(settings)
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

    is_known = _any if any_model else catalog.knows
    with open_configuration(group.name) as database:
        return change_configuration(database, who, decide, is_known=is_known, dry_run=dry_run), made


def _remove(group: EntryCommands, names: Sequence[str], who: Author) -> Written:
    def decide(current: Current) -> Sequence[Change]:
        for each in names:
            if (group.kind, each) not in current.bodies:
                raise _not_removable(group, each, current.configuration)
        return [Change(group.kind, each, None) for each in names]

    with open_configuration(group.name) as database:
        try:
            return change_configuration(database, who, decide)
        except ContractError as error:
            raise RefusedEntryError(still_named(error)) from None


def _entries(group: EntryCommands) -> list[dict[str, Any]]:
    with open_configuration(group.name) as database:
        whole = read_whole(database)
    found = [
        entry_body(kind, entry_id, body)
        for (kind, entry_id), body in sorted(whole.bodies.items())
        if kind == group.kind
    ]
    if group.kind == "budget":
        limits = [each for workspace in whole.configuration.workspaces.values() for each in workspace.budgets()]
        found += [{**to_body(each), "ofWorkspaceConfig": True} for each in limits]
        found.sort(key=lambda entry: entry["id"])
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


def _not_removable(group: EntryCommands, name: str, fleet: FleetConfiguration) -> CentralCloudError:
    """Return the error of an entry that is not there, or that is a part of a workspace."""
    if group.kind == "budget" and name in fleet.budgets:
        workspace = fleet.budgets[name].of or ""
        return RefusedEntryError(
            f"the budget {quote(name)} is a limit of the workspace {quote(workspace)}, expected a change of its "
            f"budgetLimits: `instance-agent workspaces show {workspace}`"
        )
    return _unknown(group, name)


def _any(_name: str) -> bool:
    return True


#: By the name of the command.
apps: Final = {group.name: _app(group) for group in GROUPS}
