"""`centralcloud dashboard`: the web pages of the fleet."""

import signal
from typing import Annotated

import typer

from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables


def dashboard(
    address: Annotated[
        str | None, typer.Option(help="Address to listen on; CENTRALCLOUD_DASHBOARD_ADDRESS, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port; CENTRALCLOUD_DASHBOARD_PORT, else 8480. 0: a free one.")
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="Database, with the role of the dashboard; else that of the settings."),
    ] = None,
) -> None:
    """Serve the pages of the fleet, until SIGTERM or Ctrl-C.

    It reads with the rights of centralcloud_dashboard, and changes nothing, unless operators have a login of their own.
    """
    from centralcloud.dashboard.program import run_dashboard
    from centralcloud.dashboard.settings import DashboardSettings

    given = {"address": address, "port": port, "database_url": database_url}
    settings = load_settings(DashboardSettings, **{name: value for name, value in given.items() if value is not None})
    settings.require_database()
    configure_logs(settings.log_level, settings.log_format)
    warn_of_unknown_variables(DashboardSettings)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    run_dashboard(settings, shutdown)
