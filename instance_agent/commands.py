"""The commands of `instance-agent`."""

import signal
import threading
from typing import Annotated

import typer

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from centralcloud.runtime.terminal.checkup_output import print_checkup, progress_line
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_table
from instance_agent.agent import InstanceAgent
from instance_agent.catalog.catalog_file import built_in_text
from instance_agent.catalog_checks import print_gateway_refusal, settings_to_check
from instance_agent.doctor import examine
from instance_agent.effective_catalog import BUILT_IN_NOTE, router_catalog
from instance_agent.settings import AgentSettings, GatewaySettings


def run() -> None:
    """Run the sidecar: fetch learned scores as they are published, and store them for the catalog.

    Continues with the last good scores while the database is unavailable. SIGHUP reads the catalog YAML again; so does a
    change of it. SIGTERM or SIGINT (Ctrl-C) stops it.
    """
    settings = load_settings(AgentSettings)
    settings.require_database()
    configure_logs(settings.log_level, settings.log_format)
    warn_of_unknown_variables(GatewaySettings)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    agent = InstanceAgent(settings, routes=False, shutdown=shutdown)
    # In a thread: the handler may interrupt one that holds the locks it needs.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=agent.read_catalog_again, daemon=True).start())
    agent.run()


def catalog(
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Print the YAML of the built-in catalog, to start a file from.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Show the effective catalog: the models of the YAML with their learned scores. Needs no database.

    INSTANCE_AGENT_CATALOG names the YAML; without it, the built-in catalog is shown. A catalog that `serve` refuses is an
    error, or, where a router of your own may use it, a note.
    """
    if built_in and json_output:
        raise SettingsError("--built-in: found together with --json, expected one of them")
    if built_in:
        for line in built_in_text().splitlines():
            print_line(line)
        return
    settings = load_settings(AgentSettings)
    configure_logs("warning", settings.log_format, at_prompt=True)
    effective = router_catalog(settings).as_json()
    print_gateway_refusal(settings)
    if json_output:
        print_json(effective)
        return
    rows = []
    for model in effective["models"]:
        for complexity, score in sorted(
            model["complexity_scores"].items(), key=lambda each: COMPLEXITIES.index(each[0])
        ):
            learned = model["learned"].get(complexity)
            version = learned["version"] if learned else None
            source = "configured" if learned is None else "learned"
            rows.append((model["name"], model["provider"], complexity, float(score), source, version))
    columns = ("model", "provider", "complexity", "score", "source", "version")
    print_table(columns, rows, empty="no models: add some to the file of INSTANCE_AGENT_CATALOG")
    if settings.catalog is None:
        print_line(BUILT_IN_NOTE)


def doctor(json_output: AsJson = False) -> None:
    """Check the configuration and the database: each check is OK, WARN or FAIL, and says what to do.

    Exit code 1 when a check has failed.
    """
    settings = settings_to_check()
    configure_logs("error", settings.log_format, at_prompt=True)
    with (
        Database(settings.database, application_name="instance-agent/doctor", max_connections=2) as database,
        progress_line() as progress,
    ):
        results = examine(settings, database, progress)
    print_checkup(results, as_json=json_output)
