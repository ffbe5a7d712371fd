"""The context of every command: the settings, the database with the schema of this version, and the operator."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from centralcloud.contracts import SettingsError
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.runtime.commands.arguments import logged_text, this_user
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from centralcloud.runtime.terminal.results import result_matters
from centralcloud.settings import FleetSettings, Settings
from centralcloud.store.operator_actions import Operator


def read_settings(*, background: bool = False) -> Settings:
    """Read the settings and set up the logs: everything for the daemon, only warnings for a command at a prompt."""
    settings = load_settings(Settings)
    if background:
        settings.require_database()
    quiet = not background and settings.log_level == "info"
    configure_logs("warning" if quiet else settings.log_level, settings.log_format, at_prompt=not background)
    if background:
        warn_of_unknown_variables(Settings, DashboardSettings)
    return settings


@contextmanager
def open_database(settings: Settings, command: str, *, checked: bool = True) -> Iterator[Database]:
    """Open the database of the settings, and check that it has the schema of this version."""
    from centralcloud.store.schema_revision import check_schema

    # Only the tasks of the daemon use its pool, and each of them reserves what it needs.
    own = {"own_connections": 0} if command == "run" else {}
    with Database(settings.database, application_name=f"centralcloud/{command}", **own) as database:
        if command != "run":  # the daemon waits for a database that is unavailable; a command reports it at once
            database.connect().close()
        if checked:
            check_schema(database)
        yield database


def read_fleet_settings(settings: Settings, database: Database) -> FleetSettings:
    """Read the fleet's settings from the database, whatever the environment of this command sets.

    Raises:
        SettingsError: a value cannot be used by this version.
    """
    with database.transaction() as connection:
        return FleetSettingsSource(settings).read(connection)


def this_operator(reason: str | None = None) -> Operator:
    """Return the person at the prompt: the user of the operating system, or the one who used sudo, and the host.

    Raises:
        SettingsError: the reason is not text.
    """
    result_matters()
    if reason is not None and not reason.strip():
        raise SettingsError("--reason is empty: expected why, or no --reason")
    return Operator(who=this_user(), via="cli", source=socket.gethostname(), reason=logged_text(reason, "--reason"))
