"""The database and the author of commands that change the fleet's configuration."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from centralcloud.contracts import SettingsError
from centralcloud.runtime.commands.arguments import logged_text, this_user
from centralcloud.runtime.configuration.writing import Author
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings
from instance_agent.settings import AgentSettings

#: A comment for the log of operators' actions.
Why = Annotated[str | None, typer.Option("--reason", help="Why, for the log that `centralcloud history` shows.")]


@contextmanager
def open_configuration(command: str) -> Iterator[Database]:
    """Open the database of the settings; one that is unavailable is reported at once."""
    settings = load_settings(AgentSettings)
    settings.require_database()
    configure_logs("warning", settings.log_format, at_prompt=True)
    with Database(settings.database, application_name=f"instance-agent/{command}", max_connections=1) as database:
        database.connect().close()
        yield database


def author(reason: str | None) -> Author:
    """Return the user of the command, with the reason.

    Raises:
        SettingsError: the reason is empty, or not text on one line.
    """
    if reason is not None and not reason.strip():
        raise SettingsError("--reason is empty: expected why, or no --reason")
    return Author(who=this_user(), via="cli", source=socket.gethostname(), reason=logged_text(reason, "--reason"))
