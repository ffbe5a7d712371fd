"""`centralcloud run`: the daemon."""

import signal
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings


def run(
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Only ingest events.")] = False,
    no_ingest: Annotated[bool, typer.Option("--no-ingest", help="Only learn and publish scores.")] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Also serve the dashboard, as `centralcloud dashboard` does.")
    ] = False,
) -> None:
    """Run the daemon.

    It ingests events, learns on schedule, and maintains the database.

    SIGTERM or SIGINT (Ctrl-C) finishes the batch in flight and ends within 5 seconds; a second signal ends at once.
    Any number of replicas may run on one database.
    """
    from centralcloud.daemon import Daemon
    from centralcloud.ingest.garbage_collection import tune_garbage_collector

    if no_learn and no_ingest:
        raise SettingsError("--no-learn and --no-ingest together leave nothing to do: expected at most one of them")
    settings = read_settings(background=True)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    tune_garbage_collector()
    with open_database(settings, "run", checked=False) as database:
        daemon = Daemon(settings, database, ingest=not no_ingest, learn=not no_learn, shutdown=shutdown)
        with _dashboard(database) if dashboard else nullcontext():
            daemon.run()


def _dashboard(database: Database) -> AbstractContextManager[object]:
    """Return the dashboard on the daemon's database, served in its context."""
    from centralcloud.dashboard.program import Dashboard
    from centralcloud.dashboard.settings import DashboardSettings

    return Dashboard(database, load_settings(DashboardSettings))
