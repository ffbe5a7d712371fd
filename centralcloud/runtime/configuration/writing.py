"""The one write path of the configuration: validates the whole, then writes all changes in one version.

A login needs no right to a table: it may execute the functions of migration 0015, which add the history, the row in the log
of operators' actions, and the notification. Writers wait for each other: a change is validated against the state that it is
written to.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.fleet_configuration import (
    Bodies,
    Change,
    FleetConfiguration,
    HealthReport,
    ParsedEntries,
    apply_changes,
    check_models,
    read_configuration,
    to_body,
)
from centralcloud.runtime.configuration.reading import read_since
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import NOT_MIGRATED, lacking, summarize_error
from centralcloud.runtime.postgres.query import Query

_LOCK_CONFIGURATION = Query(__package__, "lock_configuration", row=int)
_WRITE_CONFIGURATION = Query(__package__, "write_configuration", row=int)
_REPORT_MODEL_HEALTH = Query(__package__, "report_model_health", row=datetime)
#: SQLSTATE of report_model_health for a model that is not registered.
_UNKNOWN_MODEL = "CC404"


class ConfigurationConflictError(CentralCloudError):
    """The configuration has changed since the caller has read it."""


class ConfigurationRightError(CentralCloudError):
    """The login may not do this."""


class ConfigurationMissingError(CentralCloudError):
    """The database lacks a table or function of the configuration: it was not migrated, or not to this version."""


class UnknownModelError(CentralCloudError):
    """The model is not registered."""


@dataclass(frozen=True, slots=True)
class Author:
    """A person or program that changes the configuration.

    Attributes:
        who: the user of the operating system, or the label of the key. The database adds its role.
        via: a command, a page, a request to a gateway, or the daemon by itself.
        source: the host, or the address of the client.
        reason: why, in the author's words.
    """

    who: str
    via: Literal["cli", "web", "api", "daemon"]
    source: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The configuration that a change is made to. No other writer changes it meanwhile.

    Attributes:
        configuration: validated.
        bodies: its entries in their JSON form.
    """

    configuration: FleetConfiguration
    bodies: Bodies


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a change.

    Attributes:
        configuration: after the change; of a dry run as it would be, with the version of now.
        changed: whether there was a difference, and so a new version.
    """

    configuration: FleetConfiguration
    changed: bool


#: From the configuration now, the changes to make; none: nothing is written. May raise to refuse.
Decide: TypeAlias = Callable[[Current], Sequence[Change]]


def change_configuration(
    database: Database,
    author: Author,
    decide: Decide,
    *,
    expected_version: int | None = None,
    is_known: Callable[[str], bool] | None = None,
    dry_run: bool = False,
) -> Written:
    """Change the configuration in one transaction and one version.

    Args:
        decide: called with the configuration now, while no other writer changes it.
        expected_version: the version that the caller has seen; None: any.
        is_known: whether the writer's catalog has a model under a name, registered or not: an alias, or a name of its file.
            A new reference to another name is refused. None: the writer has no catalog, so it cannot say; then only a
            reference to a model that the change removes is refused.
        dry_run: validate the change, and write nothing.

    Raises:
        ConfigurationConflictError: the configuration is at another version than the expected one.
        ConfigurationRightError: this login may not change it.
        ConfigurationMissingError: the database lacks the migration.
        ContractError: the configuration would not be valid; names the path.
        UnreadableConfigurationError: the answer of the database cannot be read.
        psycopg.Error: for example, the database is unavailable.
    """
    with rights("change the configuration", "centralcloud_configurator"), database.transaction() as connection:
        version = _LOCK_CONFIGURATION.one(connection)
        if expected_version is not None and version != expected_version:
            raise ConfigurationConflictError(
                f"the configuration is at version {version}, expected {expected_version}: "
                "read it again, and repeat the change"
            )
        bodies: Bodies = {row.key: row.body for row in read_since(connection).entries if row.body is not None}
        parsed: ParsedEntries = {}
        current = Current(read_configuration(version, bodies, parsed), bodies)
        changes = decide(current)
        after = apply_changes(bodies, changes)
        valid = read_configuration(version, after, parsed)
        if not changes:
            return Written(current.configuration, changed=False)
        check_models(current.configuration, valid, _knowledge(current.configuration, valid, is_known))
        if dry_run:
            return Written(valid, changed=False)
        new_version = _write(connection, author, version, changes)
        return Written(replace(valid, version=new_version), changed=new_version != version)


def report_health(database: Database, model_id: str, report: HealthReport, ttl_seconds: float) -> datetime:
    """Post the health of a model, which every gateway receives; returns when it expires, by the server's clock.

    Raises:
        UnknownModelError: the model is not registered.
        ConfigurationRightError: this login may not post health.
        ConfigurationMissingError: the database lacks the migration.
        psycopg.Error: for example, the database is unavailable.
    """
    values = {"model_id": model_id, "health": Jsonb(to_body(report)), "ttl_seconds": ttl_seconds}
    try:
        with rights("post health", "centralcloud_gateway"), database.transaction() as connection:
            return _REPORT_MODEL_HEALTH.one(connection, values)
    except psycopg.Error as error:
        if error.sqlstate != _UNKNOWN_MODEL:
            raise
        raise UnknownModelError(summarize_error(error)) from None


def read_whole(database: Database) -> Current:
    """Read the configuration as it is now.

    Raises:
        ConfigurationRightError: this login may not read it.
        ConfigurationMissingError: the database lacks the migration.
        ContractError: this version cannot read it; names the path.
        psycopg.Error: for example, the database is unavailable.
    """
    with rights("read the configuration", "centralcloud_gateway"), database.connection() as connection:
        page = read_since(connection)
    bodies: Bodies = {row.key: row.body for row in page.entries if row.body is not None}
    return Current(read_configuration(page.version, bodies), bodies)


def _knowledge(
    before: FleetConfiguration, after: FleetConfiguration, is_known: Callable[[str], bool] | None
) -> Callable[[str], bool]:
    """Return whether a name is one of a model, beyond the ids of registered ones."""
    removed = before.models.keys() - after.models.keys()

    def knows(name: str) -> bool:
        provider, separator, model = name.partition("/")
        if separator and provider in _providers_of(after, model):
            return True
        return name not in removed if is_known is None else is_known(name)

    return knows


def _providers_of(configuration: FleetConfiguration, model_id: str) -> set[str | None]:
    """Return the providers of a registered model; none for another one."""
    model = configuration.models.get(model_id)
    return (
        set() if model is None else {model.provider, *(e.provider for e in configuration.endpoints.get(model_id, ()))}
    )


def _write(connection: psycopg.Connection[Any], author: Author, version: int, changes: Sequence[Change]) -> int:
    rows = [{"kind": change.kind, "id": change.id, "body": change.body} for change in changes]
    return _WRITE_CONFIGURATION.one(
        connection,
        {
            "expected_version": version,
            "changes": Jsonb(rows),
            "who": author.who,
            "via": author.via,
            "source": author.source,
            "reason": author.reason,
        },
    )


@contextmanager
def rights(action: str, role: str) -> Iterator[None]:
    """Turn a missing right, function or table into one line that says what to do.

    Raises:
        ConfigurationRightError, ConfigurationMissingError: in place of the errors of the database.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationRightError(
            f"this login may not {action} ({summarize_error(error)}): expected one with the rights of {role}, which "
            "`centralcloud grants --apply` creates"
        ) from None
    except NOT_MIGRATED as error:
        raise ConfigurationMissingError(
            f"the database has no configuration of this version ({lacking(error)}): run `centralcloud migrate` on it"
        ) from None
