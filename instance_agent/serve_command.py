"""`instance-agent serve`: the gateway."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.listening import ListenAddressError, listen
from centralcloud.runtime.logs import configure_logs, get_logger
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from instance_agent.catalog.catalog_file import CatalogEntries
from instance_agent.gateway_program import GatewayProgram
from instance_agent.settings import GatewaySettings

log = get_logger(__name__)


def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one. Without it 3003.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Serve HTTPS with this certificate, a PEM file.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of the certificate, a PEM file.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Serve simulated models: no provider is called, and no key is needed.")
    ] = False,
    simulate_seed: Annotated[int, typer.Option(help="Seed of their answers and times, a whole number.")] = 1,
    simulate_speed: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Divides their times: 10 answers in a tenth of the time.")
    ] = 1.0,
    simulate_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Their port on this machine, for its control; 0 takes a free one.")
    ] = 0,
) -> None:
    """Run the gateway: serve the fleet's models over HTTP, in the protocols of OpenAI and Anthropic.

    INSTANCE_AGENT_CATALOG names the catalog, a YAML file; without it the built-in one is used.
    INSTANCE_AGENT_GATEWAY_PORT, else PORT, is the port, and INSTANCE_AGENT_GATEWAY_ADDRESS the address. SIGTERM or SIGINT
    (Ctrl-C) stops it: it takes no new requests, and waits for those that run. SIGHUP reads the catalog, the keys of
    providers and the certificate again.
    """
    settings = load_settings(
        GatewaySettings, gateway_port=port, gateway_tls_certificate=tls_certificate, gateway_tls_key=tls_key
    )
    settings.require_database()
    configure_logs(settings.log_level, settings.log_format)
    warn_of_unknown_variables(GatewaySettings)
    for variable, value in (("REDIS_URL", settings.redis_url), ("NODE_ENV", settings.node_env)):
        if value is not None:
            log.info("setting_not_needed", variable=variable, effect="none: PostgreSQL is the only store")
    _require_free_port(settings)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    if not simulate:
        _run(settings, shutdown)
        return
    if settings.catalog is not None:
        log.warning("catalog_not_used", path=str(settings.catalog), reason="--simulate serves simulated models alone")
    from instance_agent.simulation.providers import SimulatedProviders

    settings = settings.model_copy(update={"gateway_discovery_seconds": 0.0})
    with SimulatedProviders(seed=simulate_seed, speed=simulate_speed, port=simulate_port) as simulated:
        _run(settings, shutdown, simulated.entries())


def _require_free_port(settings: GatewaySettings) -> None:
    """Raise when the port cannot be opened, before anything is created for it."""
    try:
        listen(settings.gateway_address, settings.gateway_port).close()
    except ListenAddressError as error:
        expected = "expected an address of this machine in INSTANCE_AGENT_GATEWAY_ADDRESS, such as 127.0.0.1 or 0.0.0.0"
        raise CentralCloudError(f"{error}; {expected}") from None
    except CentralCloudError as error:
        expected = (
            "expected a free port: set --port or INSTANCE_AGENT_GATEWAY_PORT (address: INSTANCE_AGENT_GATEWAY_ADDRESS)"
        )
        raise CentralCloudError(f"{error}; {expected}") from None


def _run(settings: GatewaySettings, shutdown: Shutdown, entries: CatalogEntries | None = None) -> None:
    program = GatewayProgram(settings, shutdown, entries)
    # In a thread: the handler may interrupt one that holds the locks it needs.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=program.read_again, daemon=True).start())
    program.run()
