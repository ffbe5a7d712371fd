"""The history of the configuration: its versions with their authors, each state that it has had, and the way back to one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg
from msgspec import Struct
from msgspec.structs import replace

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.authorship import way_of
from centralcloud.contracts.fleet_configuration import KINDS, Bodies, Change
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.runtime.configuration.document import KEPT_KINDS
from centralcloud.runtime.configuration.reading import EntryRow
from centralcloud.runtime.configuration.writing import Current, rights
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_CONFIGURATION_AT: Query[Any] = Query(__package__, "configuration_at", row=str)


class UnknownVersionError(CentralCloudError):
    """The configuration was never at this version."""


class ConfigurationVersion(Struct, frozen=True, kw_only=True):
    """A version of the configuration.

    Attributes:
        who: the user of the command or the label of the key, and the database role.
        via: ``cli``, ``web``, ``api`` or ``migration``; None where the log of operators' actions has no such row.
        source: the host, or the address of the client.
        changed: how many entries.
        entries: kind/id of the first 100 of them.
    """

    version: int
    at: datetime
    who: str
    via: str | None
    source: str | None
    reason: str | None
    changed: int
    entries: list[str]


_CHANGES: Final = Query(__package__, "configuration_changes", row=ConfigurationVersion)


class _State(Struct, frozen=True):
    version: int
    entries: list[EntryRow]


_DECODER: Final = msgspec.json.Decoder(_State)


def list_versions(
    database: Database, *, most: int, kind: str | None = None, entry_id: str | None = None
) -> list[ConfigurationVersion]:
    """Return the newest versions, newest first.

    Args:
        most: at most this many.
        kind, entry_id: only versions that changed entries of this kind, or this entry.

    Raises:
        ConfigurationRightError, ConfigurationMissingError: as for `change_configuration`.
    """
    wanted = {"most": most, "kind": kind, "id": entry_id}
    with (
        rights("read the history of the configuration", "centralcloud_configurator"),
        database.connection() as connection,
    ):
        versions = _CHANGES.all(connection, wanted)
    return [replace(each, via=way_of(each.who, each.via, each.source)) for each in versions]


def read_at(database: Database, version: int) -> Bodies:
    """Return the entries as they were at a version; 0: none.

    Raises:
        UnknownVersionError: the version does not exist yet.
        ConfigurationRightError, ConfigurationMissingError: as for `change_configuration`.
    """
    with (
        rights("read the history of the configuration", "centralcloud_configurator"),
        database.connection() as connection,
    ):
        return _read_at(connection, version)


def _read_at(connection: psycopg.Connection[Any], version: int) -> Bodies:
    state = _DECODER.decode(_CONFIGURATION_AT.one(connection, {"version": version}))
    if not 0 <= version <= state.version:
        raise UnknownVersionError(f"found version {version}, expected 0 to {state.version}, the newest one")
    return {row.key: row.body for row in state.entries if row.body is not None}


def changes_back(current: Current, then: Bodies) -> Sequence[Change]:
    """Return the changes that bring every entry back to an earlier state, but keys and experiments.

    A key that was revoked stays revoked, and an experiment that has ended does not run again.

    Raises:
        ContractError: this version of the program cannot read an entry of that state.
    """
    changes = [
        Change(kind, entry_id, KINDS[kind].parse(body, entry_path(kind, entry_id)))
        for (kind, entry_id), body in sorted(then.items(), key=lambda each: each[0])
        if kind not in KEPT_KINDS and current.bodies.get((kind, entry_id)) != body
    ]
    gone = sorted(key for key in current.bodies if key[0] not in KEPT_KINDS and key not in then)
    return [*changes, *(Change(kind, entry_id, None) for kind, entry_id in gone)]
