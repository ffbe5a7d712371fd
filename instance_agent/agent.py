"""The composition root of an instance: a sidecar program, or a library inside a router's process."""

from types import TracebackType
from typing import TYPE_CHECKING

from centralcloud.contracts import UPDATES_CHANNEL
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.routing.router import ModelRouter
from instance_agent.settings import AgentSettings
from instance_agent.sync.event_publisher import EventPublisher
from instance_agent.sync.score_updater import ScoreUpdater

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = get_logger(__name__)


class InstanceAgent:
    """Keeps the catalog of one instance at the newest scores; as a library it also routes and reports.

    Use it as a context manager, once per process: entering starts its threads, leaving sends the remaining events and stops.
    Routing never waits for the database and never fails because of it.

    Example:
        with InstanceAgent(AgentSettings()) as agent:
            decision = agent.router.route("complex", capabilities=["vision"])
            ...  # call decision.model.name of decision.model.provider
            agent.router.report_outcome(decision, success=True, response_time_ms=840)

    Attributes:
        catalog: the effective catalog.
        router: chooses models, and publishes its decisions unless EX_LLM_PGMQ_ENABLED is false.
        updater: receives learned scores in the background; `updater.learned` has the newest.
        publisher: sends events in the background and counts them (`sent`, `waiting`, `dropped`); None when nothing is
            published.
    """

    def __init__(
        self,
        settings: AgentSettings,
        database: Database | None = None,
        *,
        routes: bool = True,
        shutdown: Shutdown | None = None,
    ) -> None:
        """Create the parts of an instance; connects to nothing yet.

        Args:
            settings: usually `AgentSettings()`, from the environment.
            database: to share one; it is not closed at the end. None: a new one for `settings.database`.
            routes: false for the sidecar, which publishes nothing: another program routes and publishes.
            shutdown: ends `run()`, usually on signals.

        Raises:
            SettingsError: no database is set, or the catalog YAML is invalid.
        """
        self._settings = settings
        models = read_catalog_file(settings.catalog) if settings.catalog else []
        if not models:
            log.warning("catalog_empty", expected="a YAML file with models in INSTANCE_AGENT_CATALOG")
        self._owns_database = database is None
        name = f"instance-agent/{settings.instance_id}"
        self._database = database or Database(settings.database, application_name=name, own_connections=0)
        self.updater = ScoreUpdater(
            self._database,
            instance_id=settings.instance_id,
            file=LearnedScoresFile(settings.state_folder),
            poll_interval_seconds=settings.poll_interval_seconds,
            reconcile_interval_seconds=settings.reconcile_interval_seconds,
            catalog_models=lambda: {model.name for model in self.catalog.models},
        )
        self.catalog = ModelCatalog(models, learned=self.updater.learned, ignore_learned=settings.ignore_learned)
        self.updater.on_change = self.catalog.use
        self.publisher: EventPublisher | None = None
        if routes and settings.pgmq_enabled:
            self.publisher = EventPublisher(self._database, queue_size=settings.publish_queue_size)
        self.router = ModelRouter(
            self.catalog,
            instance_id=settings.instance_id,
            publisher=self.publisher,
            selection=settings.selection,
            exploration=settings.exploration,
        )
        self._listener = NotificationListener(self._database, UPDATES_CHANNEL, self.updater.wake)
        tasks: list[BackgroundTask] = [self.updater, self._listener]
        if self.publisher:
            tasks.append(self.publisher)
        self._supervisor = Supervisor(tasks, shutdown)
        self._supervisor.reserve_connections(self._database)

    def start(self) -> None:
        """Start every background task in its thread, and the HTTP server if a port is set. Connects in the background.

        Raises:
            CentralCloudError: the HTTP port cannot be opened.
        """
        if self._settings.http_port:  # without a port nothing loads what metrics need
            self._supervisor.serve(
                self._settings,
                registry=self._registry(),
                not_ready=self._not_ready,
                pages={"/catalog": self.catalog.as_json},
            )
        self._supervisor.start()

    def stop(self) -> None:
        """Send the events that are still in memory, and stop. Takes a few seconds at most; what cannot be sent is lost."""
        self._supervisor.stop()
        if self.publisher:
            self.publisher.give_up("the database did not accept them before the program stopped")
        if self._owns_database:
            self._database.close()

    def run(self) -> None:
        """Run until the shutdown is requested, or until a background task fails.

        Raises:
            CentralCloudError: the HTTP port cannot be opened, or a background task failed.
        """
        service_manager = ServiceManager()
        try:
            self.start()
            self._supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            self.stop()

    def __enter__(self) -> "InstanceAgent":
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _not_ready(self) -> list[str]:
        """Ready with the scores of the last contact, however old they are: an instance routes without the database."""
        learned: LearnedScores = self.updater.learned
        return [] if learned.epoch is not None else ["no scores from the database yet"]

    def _registry(self) -> "CollectorRegistry":
        from prometheus_client import CollectorRegistry

        from centralcloud.runtime.http.metrics import show_listener, show_program

        registry = CollectorRegistry()
        metrics = show_program(registry, "instance_agent", self._database)
        show_listener(metrics, self._listener)
        metrics.gauge("applied_version", "Newest score version applied", lambda: self.updater.learned.version)
        metrics.counter("updates_refused", "Score updates refused since the start", lambda: self.updater.refused)
        if publisher := self.publisher:
            metrics.counter("events_sent", "Routing events sent since the start", lambda: publisher.sent)
            metrics.gauge("events_waiting", "Routing events in memory", lambda: publisher.waiting)
            metrics.counter("events_dropped", "Routing events lost since the start", lambda: publisher.dropped)
        return registry
