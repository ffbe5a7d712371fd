"""The configuration as one JSON document, to be exported and imported. Pure.

The sections are those of the model router service (`models`, `routingRules`, `agentPreferences`, `workspaceConfigs`) and, in
the same manner, `endpoints`, `routingPolicies`, `taskMapping` and `budgets`. Keys are in none: a secret is not exported, nor
its hash. Nor are experiments, which have commands of their own. Equal configurations have equal documents, byte for byte.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration import (
    KINDS,
    Bodies,
    Change,
    ConfigurationEntry,
    EntryKey,
    FleetConfiguration,
    TaskPolicy,
    model_references,
    put,
    to_body,
)
from centralcloud.contracts.fleet_configuration.configuration import entry_path

#: The kind whose hashes are never shown.
KEY_KIND: Final = "key"
#: The kinds that are never exported, and that an import or a rollback leaves as they are.
KEPT_KINDS: Final = frozenset({KEY_KIND, "experiment"})
#: Sections that are an object by id; the others are a list.
_BY_ID: Final = ("agent", "workspace")
_KIND_OF_SECTION: Final[Mapping[str, str]] = {
    kind.section: name for name, kind in KINDS.items() if name not in KEPT_KINDS
}
ROOT: Final = "config"


def to_document(bodies: Bodies) -> dict[str, Any]:
    """Return the document of a configuration: ``{"config": {SECTION: ...}}``, with every section, also where it is empty.

    Raises:
        ContractError: an entry is invalid; names the path.
    """
    sections: dict[str, Any] = {
        section: {} if kind in _BY_ID or kind == "task" else [] for section, kind in _KIND_OF_SECTION.items()
    }
    for (kind, entry_id), body in sorted(bodies.items(), key=lambda each: each[0]):
        if kind in KEPT_KINDS:
            continue
        shown = entry_body(kind, entry_id, body)
        section = sections[KINDS[kind].section]
        if kind == "task":
            section[entry_id] = shown["policy"]
        elif kind in _BY_ID:
            section[entry_id] = {name: value for name, value in shown.items() if name != "id"}
        else:
            section.append(shown)
    return {ROOT: sections}


def bodies_of(configuration: FleetConfiguration) -> dict[EntryKey, Mapping[str, Any]]:
    """Return the entries of a configuration in their JSON form, but keys and experiments."""
    of_workspaces = {each.id for workspace in configuration.workspaces.values() for each in workspace.budgets()}
    entries: list[ConfigurationEntry] = [
        *configuration.models.values(),
        *(endpoint for endpoints in configuration.endpoints.values() for endpoint in endpoints),
        *configuration.policies.values(),
        *(TaskPolicy(task_type, policy) for task_type, policy in configuration.task_policies.items()),
        *configuration.rules,
        *configuration.agents.values(),
        *configuration.workspaces.values(),
        *(budget for budget in configuration.budgets.values() if budget.id not in of_workspaces),
    ]
    changes = map(put, entries)
    return {(change.kind, change.id): change.body for change in changes if change.body is not None}


def to_text(document: Mapping[str, Any]) -> bytes:
    """Return the text of a document: indented, with a line end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def entry_body(kind: str, entry_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON form of an entry in the order of its fields, which the database does not keep."""
    return to_body(KINDS[kind].parse(body, entry_path(kind, entry_id)))


def read_document(value: Any) -> dict[EntryKey, msgspec.Struct]:
    """Return the entries of a document; sections that are left out have none.

    Raises:
        ContractError: names the path, such as ``config.routingRules[2].priority``.
    """
    if not isinstance(value, dict):
        raise ContractError(ROOT, quote(value), 'an object: {"config": {...}}')
    for name in value:
        if name != ROOT:
            raise ContractError(name, quote(value[name]), f"only {ROOT}")
    sections = value.get(ROOT)
    if not isinstance(sections, dict):
        raise ContractError(ROOT, quote(sections) if ROOT in value else "nothing", "an object with sections")
    entries: dict[EntryKey, msgspec.Struct] = {}
    for section, content in sections.items():
        path = f"{ROOT}.{section}"
        kind = _KIND_OF_SECTION.get(section)
        if kind is None:
            expected = f"one of the sections {', '.join(_KIND_OF_SECTION)}"
            if section in (KINDS[kept].section for kept in KEPT_KINDS):
                expected += f"; {section} are not imported"
            raise ContractError(path, quote(content), expected)
        for where, body in _items(kind, content, path):
            entry: Any = KINDS[kind].parse(body, where)
            if (kind, entry.id) in entries:
                raise ContractError(where, f"{quote(entry.id)} a second time", "each entry once")
            entries[kind, entry.id] = entry
    return entries


def changes_to(current: Bodies, wanted: Mapping[EntryKey, msgspec.Struct], *, replace: bool) -> Sequence[Change]:
    """Return the changes that make a configuration have these entries; keys and experiments stay as they are.

    Args:
        replace: remove every other entry; False: the others stay.
    """
    changes = [
        Change(kind, entry_id, entry)
        for (kind, entry_id), entry in sorted(wanted.items(), key=lambda each: each[0])
        if current.get((kind, entry_id)) != to_body(entry)
    ]
    if replace:
        gone = sorted(key for key in current if key[0] not in KEPT_KINDS and key not in wanted)
        changes += [Change(kind, entry_id, None) for kind, entry_id in gone]
    return changes


def unknown_names(configuration: FleetConfiguration, known: Collection[str]) -> list[str]:
    """Return the names of models that entries refer to, and that are neither registered nor among `known`."""
    named = {name for _, name in model_references(configuration)}
    return sorted(named - configuration.models.keys() - set(known))


def _items(kind: str, content: Any, path: str) -> list[tuple[str, Any]]:
    """Return the JSON form of each entry of a section, with its path."""
    if kind not in _BY_ID and kind != "task":
        if not isinstance(content, list):
            raise ContractError(path, quote(content), "a list")
        return [(f"{path}[{position}]", body) for position, body in enumerate(content)]
    if not isinstance(content, dict):
        raise ContractError(path, quote(content), "an object by id")
    items: list[tuple[str, Any]] = []
    for entry_id, body in content.items():
        where = f"{path}[{quote(entry_id)}]"
        if kind == "task":
            items.append((where, {"id": entry_id, "policy": body}))
            continue
        if not isinstance(body, dict):
            raise ContractError(where, quote(body), "an object")
        if body.get("id", entry_id) != entry_id:
            raise ContractError(f"{where}.id", quote(body["id"]), quote(entry_id))
        items.append((where, {**body, "id": entry_id}))
    return items
