"""The composition root: settings become background tasks, and the tasks become a program."""

from typing import Any, Final

import psycopg
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry

from centralcloud import __version__
from centralcloud.administration.overtaken_canaries import stop_overtaken
from centralcloud.administration.promoted_scores import has_unpublished, publish_promoted
from centralcloud.administration.score_canaries import ScoreCanaries
from centralcloud.contracts import DECISIONS_CHANNEL
from centralcloud.experiments.task import ExperimentTask
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.ingest.batch_limits import BatchLimits
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.metrics import IngestMetrics
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.learning.learner import Learner
from centralcloud.learning.metrics import LearningMetrics
from centralcloud.maintenance.clock import ServerClock
from centralcloud.maintenance.clock_monitor import ClockMonitor
from centralcloud.maintenance.maintenance import Maintenance, MaintenanceSettings
from centralcloud.monitoring.alert_sender import AlertSender
from centralcloud.monitoring.doctor import preflight
from centralcloud.monitoring.finding_detector import FindingDetector, FindingMetrics
from centralcloud.monitoring.fleet_minutes import FLEET_MINUTE_SECONDS, FleetMinuteRecorder
from centralcloud.monitoring.history_monitor import HistoryMonitor
from centralcloud.monitoring.schema_monitor import SchemaMonitor
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.monitoring.task_health import TaskHealthMetrics, TaskHealthReporter
from centralcloud.runtime.http.metrics import show_listener, show_program
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import Outage, is_outage, refused_login
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.schedule import parse_crontab
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.settings import Settings
from centralcloud.store.sequences import SEQUENCE_BEHIND

log = get_logger(__name__)

_RETRY_SECONDS: Final = 1.0
#: One attempt to reach an unavailable database, and the wait after it, take less than this.
_ATTEMPT_SECONDS: Final = 60.0


class Daemon:
    """Consumers, learner, finding detector, maintenance, recorder, monitors and listener on one database.

    `run()` is the program; `start()` and `stop()` embed the daemon in another program.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        ingest: bool = True,
        learn: bool = True,
        shutdown: Shutdown | None = None,
        fleet_minute_seconds: float = FLEET_MINUTE_SECONDS,
    ) -> None:
        """Create the tasks, and reserve their connections in the pool of `database`. `shutdown` ends `run()`.

        `fleet_minute_seconds`, 0.1 to 60: how often the row of the minute that runs is renewed in `fleet_minutes`.
        """
        self._settings = settings
        self._database = database
        self._fleet = FleetSettingsSource(settings)
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self.registry = CollectorRegistry()
        self._callback_metrics = show_program(self.registry, "centralcloud", database)
        clock = ServerClock(database)
        monitors = [self._history_monitor(), ClockMonitor(database, clock)]
        recorder = FleetMinuteRecorder(database, interval_seconds=fleet_minute_seconds)
        upkeep = [self._maintenance(clock), self._table_metrics(), recorder]
        learning = self._learning() if learn else []
        self._let_degrade([*monitors, *upkeep, *learning])
        consumers = self._consumers() if ingest else []
        tasks: list[BackgroundTask] = [SchemaMonitor(database), *monitors, *upkeep, *consumers, *learning]
        self._supervisor = Supervisor(tasks, shutdown)
        self._supervisor.reserve_connections(database)

    def start(self) -> None:
        """Start every task in its thread.

        Raises:
            CentralCloudError: the HTTP port cannot be opened, or a fleet setting cannot be used.
        """
        self._serve()
        self._fleet.adopt(self._database)
        self._start_tasks()

    def _serve(self) -> None:
        self._supervisor.serve(self._settings, registry=self.registry, not_ready=self._not_ready)

    def _start_tasks(self) -> None:
        log.info("starting", version=__version__)
        self._supervisor.start()
        self._scheduler.start()

    def stop(self) -> None:
        """Stop every task after its current run, within a few seconds."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._supervisor.stop()

    def run(self) -> None:
        """Run until the shutdown is requested, or until a background task fails.

        Raises:
            CentralCloudError: the schema does not fit, the login is refused, the port is taken, or a background task failed.
        """
        service_manager = ServiceManager()
        try:
            self._serve()  # first: a daemon that waits for the database is alive, and must not be restarted for it
            if self._wait_for_schema(service_manager):
                self._start_tasks()
                self._supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            self.stop()

    def _let_degrade(self, tasks: list[BackgroundTask]) -> None:
        """Let each task fail alone. The schema monitor and ingest stop the daemon: they say that it cannot do its work."""
        reporter = TaskHealthReporter(self._database)
        for task in tasks:
            task.may_degrade = True
            task.on_state = reporter.report
        self.registry.register(TaskHealthMetrics(tasks))

    def _maintenance(self, clock: ServerClock) -> BackgroundTask:
        schedule = self._settings.maintenance_schedule
        task = Maintenance(
            self._database,
            weeks_ahead=self._settings.partitions_ahead_weeks,
            read_settings=self._read_maintenance_settings,
            clock=clock,
            interval_seconds=None if schedule else self._settings.maintenance_interval_seconds,
        )
        self._wake_by_calendar(task, schedule)
        return task

    def _read_maintenance_settings(self, connection: psycopg.Connection[Any]) -> MaintenanceSettings:
        fleet = self._fleet.read_usable(connection)
        return MaintenanceSettings(fleet.retention, fleet.reference)

    def _learner(self) -> BackgroundTask:
        schedule = self._settings.learn_schedule
        task = Learner(
            self._database,
            read_settings=self._fleet.read,
            gate=ScoreCanaries(),
            after_outcomes=self._settings.learn_after_outcomes,
            schedule_seconds=None if schedule else self._settings.learn_interval_seconds,
            metrics=LearningMetrics(self.registry),
        )
        self._wake_by_calendar(task, schedule)
        return task

    def _learning(self) -> list[BackgroundTask]:
        return [self._learner(), self._experiments(), self._finding_detector(), *self._alert_sender()]

    def _experiments(self) -> BackgroundTask:
        interval = self._settings.experiments_interval_seconds
        return ExperimentTask(self._database, interval_seconds=interval, after_round=self._look_after_scores)

    def _look_after_scores(self) -> None:
        """Stop the canaries of learned scores that were overtaken, and publish what experiments have promoted."""
        with self._database.transaction() as connection:
            fleet = self._fleet.read_usable(connection)
            is_due = has_unpublished(connection)
        stop_overtaken(self._database, fleet.publication, fleet.rule)
        if is_due:
            publish_promoted(self._database, fleet.rules, fleet.reference)

    def _finding_detector(self) -> BackgroundTask:
        return FindingDetector(
            self._database,
            metrics=FindingMetrics(self.registry),
            interval_seconds=self._settings.learn_interval_seconds,
            read_thresholds=lambda connection: self._fleet.read_usable(connection).finding,
        )

    def _alert_sender(self) -> list[BackgroundTask]:
        url, secret = self._settings.webhook_url, self._settings.webhook_secret
        return [AlertSender(self._database, url, secret)] if url else []

    def _consumers(self) -> list[BackgroundTask]:
        metrics = IngestMetrics(self.registry)
        slow_path = SlowPath(self._database, max_attempts=self._settings.max_attempts)
        limits = BatchLimits(self._settings.batch_size, self._settings.batch_bytes).share(self._settings.consumers)
        registry = WorkerRegistry(self._database, batch_size=limits.messages)
        consumers = [
            Consumer(
                self._database,
                batch_size=limits.messages,
                batch_bytes=limits.bytes,
                poll_interval_seconds=self._settings.poll_interval_seconds,
                slow_path=slow_path,
                registry=registry,
                metrics=metrics,
                name=f"consumer-{number}",
            )
            for number in range(1, self._settings.consumers + 1)
        ]

        def wake() -> None:
            for consumer in consumers:
                consumer.wake()

        listener = NotificationListener(self._database, {DECISIONS_CHANNEL: wake})
        show_listener(self._callback_metrics, listener)
        return [*consumers, listener]

    def _history_monitor(self) -> BackgroundTask:
        monitor = HistoryMonitor(self._database)
        self._callback_metrics.gauge(
            "database_histories_alternate",
            "1: a history of the database answered within an hour that another one had replaced; 0: none did",
            lambda: monitor.alternating,
        )
        self._callback_metrics.gauge(
            "sequences_behind", "Sequences that are behind their tables", lambda: monitor.behind
        )
        return monitor

    def _table_metrics(self) -> BackgroundTask:
        interval = self._settings.table_metrics_interval_seconds
        return TableMetricsCollector(self._database, interval_seconds=interval, registry=self.registry)

    def _wake_by_calendar(self, task: BackgroundTask, schedule: str | None) -> None:
        """Wake a task by a crontab schedule. The scheduler does nothing else: the task handles outages and its stop."""
        if schedule:
            self._scheduler.add_job(task.wake, parse_crontab(schedule), id=task.name, misfire_grace_time=None)

    def _wait_for_schema(self, service_manager: ServiceManager) -> bool:
        """Wait until the database is available and its schema fits; False when the shutdown is requested meanwhile."""
        shutdown = self._supervisor.shutdown
        while not shutdown.requested:
            try:
                preflight(self._database)
                self._fleet.adopt(self._database)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._database.mark_unavailable("start", error)
                if not self._settings.wait_for_login and (refused := refused_login(error)):
                    raise refused from None
                service_manager.waiting("waiting for the database", _ATTEMPT_SECONDS)
                shutdown.wait(_RETRY_SECONDS)
            else:
                self._database.mark_available("start")
                return True
        return False

    def _not_ready(self) -> list[str]:
        reason = self._database.unavailable_reason
        if not reason:
            return []
        # Otherwise the database answers, and a sequence, a table, the login or the process itself keeps the tasks waiting.
        named = reason.startswith((SEQUENCE_BEHIND, *(f"{kind}:" for kind in Outage)))
        return [f"{'tasks wait' if named else 'the database is unavailable'}: {reason}"]
