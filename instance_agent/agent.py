"""The composition root of an instance: a sidecar program, or a library inside a router's process."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from centralcloud.contracts import CentralCloudError, RoutingEvent
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import refused_login
from centralcloud.runtime.process.lifecycle import at_exit, leave_behind, on_sigterm, watch_forks
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent.agent_tasks import AgentTasks
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.state_lock import StateLock
from instance_agent.routing.router import ModelRouter
from instance_agent.settings import AgentSettings
from instance_agent.sync.event_publisher import EventPublisher
from instance_agent.sync.score_updater import ScoreUpdater

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = get_logger(__name__)

#: How long the end of a `with` block, of the process, or SIGTERM waits for events that are still in memory.
FLUSH_SECONDS: Final = 2.0


class InstanceAgent:
    """Keeps the catalog of one instance at the newest scores; as a library it also routes and reports.

    Use it as a context manager: entering starts its threads, leaving sends the remaining events and stops. So does the
    end of the process. The child of a fork may use the agent of its parent: it has an empty queue, and its own threads and
    connections from its first use on. Routing never waits for the database and never fails because of it.

    Example:
        with InstanceAgent(AgentSettings()) as agent:
            agent.flush_on_sigterm()
            decision = agent.router.route("complex", capabilities=["vision"])
            ...  # call decision.model.name of decision.model.provider
            agent.router.report_outcome(decision, success=True, response_time_ms=840)

    Attributes:
        catalog: the effective catalog.
        router: chooses models, and publishes its decisions unless EX_LLM_PGMQ_ENABLED is false.
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
        self._shared = database
        self._publishes = routes and settings.pgmq_enabled
        models = read_catalog_file(settings.catalog) if settings.catalog else []
        if not models:
            log.warning("catalog_empty", expected="a YAML file with models in INSTANCE_AGENT_CATALOG")
        self._lock = threading.RLock()
        self._change_lock = threading.Lock()
        self._state_lock = StateLock(settings.state_folder)
        self._tasks: AgentTasks | None = AgentTasks(
            settings,
            database,
            publishes=self._publishes,
            reload=self._reload,
            shutdown=shutdown,
            catalog_models=self._catalog_models,
        )
        self.catalog = ModelCatalog(
            models,
            learned=self._tasks.updater.learned,
            path=settings.catalog,
            ignore_learned=settings.ignore_learned,
        )
        self._tasks.updater.on_change = self._use
        self._tasks.updater.may_store = self._may_store
        self._tasks.claim.holds_folder = lambda: self._state_lock.held
        self.router = ModelRouter(
            self.catalog,
            instance_id=settings.instance_id,
            publisher=_Sink(self._publisher_for_event) if self._publishes else None,
            selection=settings.selection,
            exploration=settings.exploration,
        )
        self._folder_in_use = False
        self._running = False
        self._stopped = False
        self._cancel_exit: Callable[[], None] | None = None
        self._learned: LearnedScores | None = None
        self._conninfo: str | None = None
        watch_forks(self, before=InstanceAgent._before_fork, in_child=InstanceAgent._after_fork_in_child)

    @property
    def updater(self) -> ScoreUpdater:
        """Receives learned scores in the background; `updater.learned` has the newest."""
        return self._current().updater

    @property
    def publisher(self) -> EventPublisher | None:
        """Sends events in the background and counts them (`sent`, `waiting`, `dropped`); None when nothing is published."""
        return self._current().publisher

    def start(self) -> None:
        """Start every background task in its thread, and the HTTP server if a port is set. Connects in the background.

        Another process that uses the same state folder is logged: it keeps the file of learned scores up to date. This one
        does when the other one has ended.

        Raises:
            CentralCloudError: the HTTP port cannot be opened.
        """
        tasks = self._current()
        if (holder := self._state_lock.acquire()) is not None:
            self._folder_in_use = True
            log.warning("state_folder_in_use", **self._conflict(holder))
        try:
            if self._settings.http_port:  # without a port nothing loads what metrics need
                tasks.supervisor.serve(
                    self._settings,
                    registry=self._registry(),
                    not_ready=self._not_ready,
                    pages={"/catalog": self.catalog.as_json},
                    details=tasks.problems,
                )
            self._start(tasks)
        except BaseException:
            self._state_lock.release()
            raise

    def stop(self, within_seconds: float = FLUSH_SECONDS) -> None:
        """Send the events that are still in memory, and stop. Safe to call twice.

        Args:
            within_seconds: longest wait for the database, about. Events that it has not accepted then stay in the spool, or
                are lost without one; both are logged.
        """
        with self._lock:
            cancel, self._cancel_exit = self._cancel_exit, None
            self._running = False
            self._stopped = True
            tasks = self._tasks
        if cancel is not None:
            cancel()
        self.catalog.before_use = None
        if tasks is not None:
            tasks.stop(within_seconds)
        with self._lock:
            self._state_lock.release()

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every event was sent. From a coroutine: ``await asyncio.to_thread(agent.flush)``.

        Args:
            timeout_seconds: longest wait; the events that still wait then are sent later.

        Returns:
            False when events still wait after `timeout_seconds`.
        """
        publisher = self.publisher
        return publisher is None or publisher.flush(timeout_seconds)

    def flush_on_sigterm(self) -> None:
        """On SIGTERM send the events in memory within 2 seconds, then do what the process did on SIGTERM before.

        Call it once, in the main thread, after your program has set its own handler of SIGTERM, which is called afterwards;
        without one the process ends by the signal. Nothing else in this package handles a signal of a library's process.

        Raises:
            ValueError: this is not the main thread.
        """
        on_sigterm(self._before_end)

    def read_catalog_again(self) -> None:
        """Read the catalog YAML now, in the background, whether or not it has changed. Not for a signal handler."""
        if (reloader := self._current().reloader) is not None:
            reloader.read_again()

    def run(self) -> None:
        """Run until the shutdown is requested, or until a background task fails.

        Raises:
            CentralCloudError: another process uses the state folder, the HTTP port cannot be opened, the database refuses
                the login at the first contact, or a background task failed.
        """
        if (holder := self._state_lock.acquire()) is not None:
            words = self._conflict(holder)
            raise CentralCloudError(f"{holder} uses the state folder {words['path']}: expected {words['expected']}")
        service_manager = ServiceManager()
        if not self._settings.wait_for_login:
            self._current().database.on_login_refused = self._end_refused
        try:
            self.start()
            self._current().supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            self.stop()

    def _end_refused(self, error: BaseException) -> None:
        """End the program at the first contact with the database. A library goes on: its process has other work."""
        if refused := refused_login(error):
            self._current().supervisor.fail("login", refused)

    def __enter__(self) -> "InstanceAgent":
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _current(self) -> AgentTasks:
        """Return the tasks of this process; in the child of a fork, create and start them."""
        tasks = self._tasks
        return self._resume_in_child() if tasks is None else tasks

    def _start(self, tasks: AgentTasks) -> None:
        with self._lock:
            tasks.supervisor.start()
            self._running = True
            self._stop_at_exit()

    def _stop_at_exit(self) -> None:
        if self._cancel_exit is None and not self._stopped:
            self._cancel_exit = at_exit(self.stop)

    def _publisher_for_event(self) -> EventPublisher | None:
        publisher = self._current().publisher
        if not self._running:  # the publisher logs that nothing sends; the end of the process does
            self._stop_at_exit()
        return publisher

    def _before_fork(self) -> None:
        """Nothing to wait for: a child replaces everything that has a thread, a lock or a connection."""

    def _after_fork_in_child(self) -> None:
        """Leave the queue, the threads, the connections and the files to the parent."""
        self._lock = threading.RLock()
        self._change_lock = threading.Lock()
        self._cancel_exit = None
        self._state_lock.release()
        self.catalog.after_fork()
        self.router.after_fork()
        if (tasks := self._tasks) is None:
            return  # the child of a child that has not used the agent
        tasks.abandon()
        leave_behind(tasks)
        if self._shared is not None:
            leave_behind(self._shared)
        self._learned = tasks.updater.learned
        self._conninfo = None if self._shared is None else self._shared.conninfo
        self._tasks = None
        if self._running:
            self.catalog.before_use = self._resume_in_child

    def _resume_in_child(self) -> AgentTasks:
        with self._lock:
            if self._tasks is not None:
                return self._tasks
            database = None
            if self._conninfo is not None:
                name = f"instance-agent/{self._settings.instance_id}"
                database = Database(self._conninfo, application_name=name, own_connections=0)
            tasks = AgentTasks(
                self._settings,
                database,
                publishes=self._publishes,
                reload=self._reload,
                learned=self._learned,
                catalog_models=self._catalog_models,
            )
            tasks.updater.on_change = self._use
            tasks.updater.may_store = self._may_store
            tasks.claim.holds_folder = lambda: self._state_lock.held
            self._tasks = tasks
            if self._running:
                self._start(tasks)
            return tasks

    def _before_end(self, ends: bool) -> None:
        tasks = self._tasks
        publisher = None if tasks is None else tasks.publisher
        if publisher is None:
            return
        publisher.flush(FLUSH_SECONDS)
        if ends:
            publisher.give_up(
                f"the process received SIGTERM, and the database did not accept them in {FLUSH_SECONDS:g} s"
            )
        else:
            publisher.keep_in_spool()

    def _catalog_models(self) -> set[str]:
        return {model.name for model in self.catalog.models}

    def _use(self, learned: LearnedScores) -> None:
        """Route by other scores from now on; the router computes what it needs for them before."""
        with self._change_lock:
            self.router.prepare(self.catalog.next(learned=learned))
            self.catalog.use(learned)

    def _reload(self, forced: bool) -> None:
        models = self.catalog.read_models(force=forced)
        if models is not None:
            with self._change_lock:
                self.router.prepare(self.catalog.next(models=models))
                self.catalog.use_models(models)

    def _may_store(self) -> bool:
        """Whether this process holds the state folder, or takes it now because no other process holds it any more."""
        with self._lock:
            if self._state_lock.held:
                return True
            if self._stopped or self._state_lock.acquire() is not None:
                return False
            if self._folder_in_use:
                self._folder_in_use = False
                log.info("state_folder_taken_over", path=str(self._settings.state_folder))
            return True

    def _conflict(self, holder: str) -> dict[str, str]:
        folder = str(self._settings.state_folder)
        expected = (
            f"one agent for the instance {self._settings.instance_id} and its folder: stop the other one, or set"
            " INSTANCE_ID and INSTANCE_AGENT_STATE_DIR to others"
        )
        return {"path": folder, "holder": holder, "expected": expected}

    def _not_ready(self) -> list[str]:
        """Ready with the scores of the last contact, however old they are: an instance routes without the database."""
        learned: LearnedScores = self.updater.learned
        return [] if learned.epoch is not None else ["no scores from the database yet"]

    def _registry(self) -> "CollectorRegistry":
        from prometheus_client import CollectorRegistry

        from centralcloud.runtime.http.metrics import show_listener, show_program
        from instance_agent.sync.publisher_metrics import show_publisher

        registry = CollectorRegistry()
        tasks = self._current()
        metrics = show_program(registry, "instance_agent", tasks.database)
        show_listener(metrics, tasks.listener)
        metrics.gauge(
            "catalog_invalid", "Whether the newest edit is not used", lambda: self.catalog.problem is not None
        )
        metrics.gauge("applied_version", "Newest score version applied", lambda: self.updater.learned.version)
        metrics.gauge(
            "learned_scores_not_written",
            "Whether the current scores are not in the file",
            lambda: self.updater.not_stored is not None,
        )
        metrics.counter("updates_refused", "Score updates refused since the start", lambda: self.updater.refused)
        if publisher := self.publisher:
            show_publisher(metrics, publisher)
            metrics.counter("events_resent", "Routing events sent again", lambda: publisher.resent)
            metrics.gauge("events_publisher_up", "Whether a thread sends the events", lambda: publisher.sending)
            metrics.counter("spool_records_skipped", "Damaged records of the spool", lambda: publisher.skipped_records)
        return registry


class _Sink:
    """Hands events to the publisher of this process, which is another one in the child of a fork."""

    def __init__(self, publisher: Callable[[], EventPublisher | None]) -> None:
        self._publisher = publisher

    def publish(self, event: RoutingEvent) -> None:
        if (publisher := self._publisher()) is not None:
            publisher.publish(event)
