"""The composition root of `instance-agent serve`: the gateway with everything that it stands on, in one process."""

import asyncio
import gc
from typing import TYPE_CHECKING, Any, Final

from centralcloud.contracts import UPDATES_CHANNEL, CentralCloudError
from centralcloud.contracts.fleet_configuration import CONFIGURATION_CHANNEL, FleetConfiguration
from centralcloud.contracts.target_health import TARGET_HEALTH_CHANNEL
from centralcloud.contracts.task_classifier.trained import CLASSIFIER_CHANNEL
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import refused_login
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import CatalogEntries
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.source import CatalogSource
from instance_agent.catalog.state_lock import StateLock
from instance_agent.gateway.api.analytics import AnalyticsApi
from instance_agent.gateway.api.configuration import configuration_routes
from instance_agent.gateway.api.database_work import DatabaseWork
from instance_agent.gateway.api.decisions import DecisionsApi
from instance_agent.gateway.api.experiments import ExperimentsApi
from instance_agent.gateway.api.health_overview import overview_routes
from instance_agent.gateway.api.registry import RegistryApi
from instance_agent.gateway.api.routing import RoutingApi
from instance_agent.gateway.app import model_routes
from instance_agent.gateway.certificate import check_ca_file, make_reloader
from instance_agent.gateway.decision_memory import DecisionMemory
from instance_agent.gateway.events import EventSink
from instance_agent.gateway.health import HealthPages
from instance_agent.gateway.hooks import load_hooks
from instance_agent.gateway.known_keys import KnownKeys
from instance_agent.gateway.memory_trim import give_memory_back
from instance_agent.gateway.metrics import GatewayMetrics
from instance_agent.gateway.openapi.document import openapi_routes
from instance_agent.gateway.openapi.page import page_routes
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.principals.from_settings import make_certificates, make_outside, make_token_keys
from instance_agent.gateway.server import GatewayServer, event_loop
from instance_agent.gateway.state import GatewayState, StateBuilder
from instance_agent.gateway_report import describe_parts, make_registry
from instance_agent.gateway_start import FirstContact, leave_register
from instance_agent.publisher_assembly import make_publisher
from instance_agent.routing.planner import Planner
from instance_agent.settings import GatewaySettings
from instance_agent.spend.exchange import SPEND_CHANNEL, SpendExchange
from instance_agent.sync.classifier_file import ClassifierFile
from instance_agent.sync.classifier_updater import ClassifierUpdater
from instance_agent.sync.configuration_file import ConfigurationFile
from instance_agent.sync.configuration_updater import ConfigurationUpdater
from instance_agent.sync.daemon_heartbeat import silent_words
from instance_agent.sync.health_exchange import HealthExchange
from instance_agent.sync.instance_claim import InstanceClaim
from instance_agent.sync.score_updater import ScoreUpdater

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client import CollectorRegistry

log = get_logger(__name__)

#: Longest wait before a poll of the configuration: notifications bring a change at once, polls find what they miss.
_POLL_SECONDS: Final = 5.0
#: Objects that a collection of the youngest generation waits for; a request makes some hundred, few of them in cycles.
_COLLECT_AFTER: Final = 10_000
#: Connections for the pages that write to the database.
_PAGE_CONNECTIONS: Final = 4
#: How long the end waits for the database to take the last events; the others stay in the spool.
_FLUSH_SECONDS: Final = 4.0
#: Between two small batches of events, so that at 50 requests a second one batch a second is sent. The events of
#: this time are in the spool.
_GATHER_SECONDS: Final = 1.0


class GatewayProgram:
    """One gateway, from its start to its end."""

    def __init__(self, settings: GatewaySettings, shutdown: Shutdown, entries: CatalogEntries | None = None) -> None:
        """Create the parts; connects to nothing yet. `entries` replace the catalog, see `CatalogSource`.

        Raises:
            SettingsError: no database is set, the catalog YAML is invalid, or the file of certificates cannot be used.
        """
        self.settings = settings
        name = f"instance-agent/{settings.instance_id}"
        self.database = Database(settings.database, application_name=name, own_connections=_PAGE_CONNECTIONS)
        certificates = make_certificates(settings)
        self.certificate = make_reloader(
            self.database, settings.gateway_tls_certificate, settings.gateway_tls_key, certificates
        )
        self.token_keys = make_token_keys(settings, self.database)
        self._certificates = certificates
        self._hooks = load_hooks(
            settings.gateway_hooks, seconds=settings.gateway_hook_seconds, fail_mode=settings.gateway_hook_fail_mode
        )
        check_ca_file(settings.gateway_ca_file)
        self._state_lock = StateLock(settings.state_folder)
        self.source = CatalogSource(settings.catalog, entries=entries)
        self.scores = ScoreUpdater(
            self.database,
            instance_id=settings.instance_id,
            file=LearnedScoresFile(settings.state_folder),
            poll_interval_seconds=settings.poll_interval_seconds,
            reconcile_interval_seconds=settings.reconcile_interval_seconds,
            catalog_models=self._catalog_models,
        )
        self.catalog = ModelCatalog((), learned=self.scores.learned, ignore_learned=settings.ignore_learned)
        self.planner = Planner(selection=settings.selection, exploration=settings.exploration)
        self.builder = StateBuilder(
            self.database,
            self.source,
            self.catalog,
            self.planner,
            private=settings.gateway_private_endpoints,
            interval_seconds=min(settings.poll_interval_seconds, _POLL_SECONDS),
        )
        self.configuration = ConfigurationUpdater(
            self.database,
            file=ConfigurationFile(settings.state_folder),
            poll_interval_seconds=min(settings.poll_interval_seconds, _POLL_SECONDS),
            on_change=self._on_configuration,
        )
        self.keys = KnownKeys(self.configuration, settings.gateway_key_grace_seconds)
        if self.configuration.loaded:
            self.builder.use_fleet(self.configuration.configuration)
        self.scores.on_change = self.builder.use_learned
        self.classifier = ClassifierUpdater(
            self.database,
            file=ClassifierFile(settings.state_folder),
            poll_interval_seconds=settings.poll_interval_seconds,
            on_change=self.builder.use_classifier,
        )
        self.builder.use_classifier(self.classifier.classifier)
        self.publisher = (
            make_publisher(settings, self.database, gather_seconds=_GATHER_SECONDS) if settings.pgmq_enabled else None
        )
        self.exchange = HealthExchange(self.database, instance_id=settings.instance_id)
        self.spend = SpendExchange(self.database, instance_id=settings.instance_id)
        self.claim = InstanceClaim(settings.instance_id, settings.state_folder)
        self.claim.holds_folder = lambda: self._state_lock.held
        self.listener = NotificationListener(
            self.database,
            {
                UPDATES_CHANNEL: self.scores.wake,
                CONFIGURATION_CHANNEL: self.configuration.wake,
                CLASSIFIER_CHANNEL: self.classifier.wake,
                TARGET_HEALTH_CHANNEL: self.exchange.notified,
                SPEND_CHANNEL: lambda: None,
            },
        )
        self.listener.on_working = self.claim.check
        tasks: list[BackgroundTask] = [
            self.configuration,
            self.scores,
            self.classifier,
            self.builder,
            self.exchange,
            self.spend,
            self.listener,
        ]
        tasks += [each for each in (self.publisher, self.certificate, self.token_keys) if each is not None]
        self.supervisor = Supervisor(tasks, shutdown)
        self.supervisor.reserve_connections(self.database)
        self._first_contact = FirstContact(
            settings,
            self.configuration,
            self.keys,
            self.builder,
            shutdown,
            keys_only=certificates is None and self.token_keys is None,
        )
        self.memory = DecisionMemory()
        self.server: GatewayServer | None = None
        self._discovery: asyncio.Task[None] | None = None
        self._first_state: GatewayState | None = None
        self._metrics: GatewayMetrics | None = None

    def run(self) -> None:
        """Run until the shutdown is requested, or until a background task fails.

        Raises:
            CentralCloudError: another process uses the state folder, a port cannot be opened, there is no key although the
                gateway should listen elsewhere than on this machine, or a background task failed.
        """
        if (holder := self._state_lock.acquire()) is not None:
            folder = self.settings.state_folder
            raise CentralCloudError(
                f"{holder} uses the state folder {folder}: expected one process for the instance "
                f"{self.settings.instance_id} and its folder: stop the other one, or set INSTANCE_ID and "
                "INSTANCE_AGENT_STATE_DIR to others"
            )
        service_manager = ServiceManager()
        if not self.settings.wait_for_login:
            self.database.on_login_refused = self._end_refused
        try:
            self._first_state = self.builder.build()
            registry = self._registry()
            self.supervisor.serve(self.settings, registry=registry, not_ready=self.not_ready, details=self.problems)
            self.supervisor.start()
            self._first_contact.wait_for_keys(service_manager)
            if not self.supervisor.shutdown.requested:
                self._serve(registry)
            self.supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            self._stop()

    def read_again(self) -> None:
        """Read the catalog, the keys of providers and the certificate now, changed or not. From any thread."""
        self.builder.read_again()
        if self.certificate is not None:
            self.certificate.read_again()
        if self.token_keys is not None:
            self.token_keys.read_again()

    def not_ready(self) -> list[str]:
        """Return why the gateway cannot serve, one line each. Ready without the database, by the last good copies."""
        reasons = []
        parts = self.server.parts if self.server is not None else None
        state = parts.state if parts is not None else self.builder.current
        if state is not None and (unknown := self.keys.unknown(state)) is not None:
            reasons.append(unknown)
        if self.server is None:
            reasons.append("starting")
        return reasons

    def problems(self) -> list[str]:
        """Return a line for each problem with which the gateway still does its work."""
        other = self.claim.other
        found = [] if other is None else [f"another program uses the same INSTANCE_ID: {other}"]
        if self.token_keys is not None and self.token_keys.problem is not None:
            found.append(self.token_keys.problem)
        if self.configuration.running_experiments and self.configuration.daemon_heartbeat.is_silent():
            found.append(silent_words(self.configuration.daemon_heartbeat.age_seconds))
        if (parts := self.server.parts if self.server is not None else None) is not None:
            found += [f"not enforced: {limit}" for limit in parts.admission.unenforced]
        return found

    def _serve(self, registry: "CollectorRegistry") -> None:
        settings, certificate = self.settings, self.certificate
        new_loop = event_loop(settings.gateway_event_loop)
        server = GatewayServer(
            settings.gateway_address,
            settings.gateway_port,
            self._make_parts,
            self.routes(registry),
            tls=certificate.context if certificate else None,
            new_loop=new_loop,
        )
        if certificate is not None:
            certificate.on_loaded = server.use_tls
            server.use_tls(certificate.context)  # it may have been renewed meanwhile
        server.on_crash = self.supervisor.on_crash
        self.supervisor.watch(server.heartbeat)
        # Otherwise the collector would look again and again at everything that lives as long as the process.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 20, 50)
        server.start()
        self.server = server
        self.builder.on_built = server.use
        if (state := self.builder.current) is not None:
            server.use(state)
        self._first_contact.announce(
            self.not_ready,
            address=self.settings.gateway_address,
            port=server.port,
            tls=certificate is not None,
            event_loop="asyncio" if new_loop is None else "uvloop",
        )
        if not self.settings.gateway_discovery_seconds:
            self._warn_without_providers()

    def routes(self, registry: "CollectorRegistry") -> "list[web.RouteDef]":
        """Return every route of the gateway; `registry`: of the metrics that one of them shows."""
        work = DatabaseWork(self.database)
        return [
            *HealthPages(self.not_ready, self._details, registry).routes(),
            *model_routes(),
            *RegistryApi(work, private=self.settings.gateway_private_endpoints).routes(),
            *configuration_routes(work, private=self.settings.gateway_private_endpoints),
            *ExperimentsApi(work).routes(),
            *RoutingApi().routes(),
            *DecisionsApi(work, self.memory).routes(),
            *AnalyticsApi(work).routes(),
            *overview_routes(),
            *openapi_routes(),
            *page_routes(),
        ]

    def _make_parts(self) -> GatewayParts:
        """Create the parts of the application, in its event loop."""
        settings, metrics, state = self.settings, self._metrics, self.builder.current or self._first_state
        assert metrics is not None
        assert state is not None
        sink = EventSink(self.publisher, metrics, self.planner.sessions, settings.instance_id, self.memory)
        outside = make_outside(settings, self.token_keys, self._certificates)
        parts = GatewayParts(settings, self.planner, sink, metrics, state, self.spend, self.exchange, outside)
        self.listener.on_payload[SPEND_CHANNEL] = parts.admission.spender.recalled
        parts.keys_unknown = self.keys.unknown
        parts.daemon_silent = self.configuration.daemon_heartbeat.is_silent
        if self._hooks is not None:
            self._hooks.on_failure = lambda hook: metrics.hook_failures.labels(hook).inc()
            parts.hooks = self._hooks
        parts.background(give_memory_back())
        if settings.gateway_discovery_seconds:
            parts.background(self._discover(parts))
        if settings.gateway_health_check_seconds:
            parts.background(self._check_health(parts))
        return parts

    async def _check_health(self, parts: GatewayParts) -> None:
        from instance_agent.gateway.health_checks import check_health

        await check_health(
            parts.calls,
            parts.fleet_health,
            seconds=self.settings.gateway_health_check_seconds,
            timeout_seconds=self.settings.gateway_health_check_timeout_seconds,
        )

    async def _discover(self, parts: GatewayParts) -> None:
        from instance_agent.gateway.discovery import discover

        def found(models: Any) -> None:
            self.source.use_found(models)
            self.builder.wake()

        await discover(
            parts.calls,
            lambda: parts.state.catalog.configuration,
            found,
            seconds=self.settings.gateway_discovery_seconds,
            on_looked=parts.fleet_health.looked,
            on_first_look=lambda local: None if local else self._warn_without_providers(),
        )

    def _warn_without_providers(self) -> None:
        """Warn once, at the start, when every request would be a 503."""
        state = self.builder.current
        configuration = state.catalog.configuration if state else None
        reason = configuration.no_provider() if configuration else None
        if reason is not None:
            effect = "requests are answered 503 until a key is set or a local provider answers"
            log.warning("gateway_without_providers", reason=reason, effect=effect)

    def _stop(self) -> None:
        """End what runs, send the last events, and release everything."""
        if (server := self.server) is not None:
            server.drain(self.settings.gateway_drain_seconds)
            server.stop()
        publisher = self.publisher
        if publisher is not None and publisher.sending:
            publisher.flush(_FLUSH_SECONDS)
        self.supervisor.stop(_FLUSH_SECONDS)
        if not self.database.unavailable and self.configuration.reached:
            leave_register(self.database, self.claim, self.settings.instance_id)
        if publisher is not None:
            publisher.give_up(f"the database did not accept them in {_FLUSH_SECONDS:g} s")
        self.database.close()
        self._state_lock.release()

    def _on_configuration(self, fleet: FleetConfiguration) -> None:
        self.builder.use_fleet(fleet)

    def _end_refused(self, error: BaseException) -> None:
        """End the program at the first contact with the database."""
        if refused := refused_login(error):
            self.supervisor.fail("login", refused)

    def _catalog_models(self) -> set[str]:
        return {model.name for model in self.catalog.models}

    def _details(self) -> dict[str, Any]:
        return {
            **describe_parts(
                self.database, self.configuration, self.builder, self.scores, self.publisher, self.classifier
            ),
            "degraded": self.supervisor.degraded_tasks(),
        }

    def _registry(self) -> "CollectorRegistry":
        registry, self._metrics = make_registry(
            self.database,
            self.configuration,
            self.builder,
            self.scores,
            self.publisher,
            self.planner,
            self.exchange,
            self.spend,
            self.classifier,
            lambda: self.server.parts if self.server is not None else None,
        )
        return registry
