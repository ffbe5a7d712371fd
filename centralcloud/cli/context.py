"""What every command stands on: the settings, and the database with the schema of this version."""

from collections.abc import Iterator
from contextlib import contextmanager

from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from centralcloud.settings import Settings


def read_settings(*, background: bool = False) -> Settings:
    """The settings, with logs set up: all of them for the daemon, only what is amiss for a command at a prompt."""
    settings = load_settings(Settings)
    quiet = not background and settings.log_level == "info"
    configure_logs("warning" if quiet else settings.log_level, settings.log_format)
    if background:
        warn_of_unknown_variables(Settings)
    return settings


@contextmanager
def open_database(settings: Settings, command: str, *, checked: bool = True) -> Iterator[Database]:
    """The database of the settings, with the schema of this version."""
    from centralcloud.store.schema import check_schema

    with Database(settings.database, application_name=f"centralcloud/{command}") as database:
        if command != "run":  # the daemon waits for a database that is away; a command says so at once
            database.connect().close()
        if checked:
            check_schema(database)
        yield database
