"""The composition root: settings become parts, and parts become a program."""

from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry

from centralcloud import __version__
from centralcloud.contracts import DECISIONS_CHANNEL
from centralcloud.ingest.careful_path import CarefulPath
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.statistics import IngestStatistics
from centralcloud.ingest.workers import WorkerRegister
from centralcloud.learning.learner import Learner
from centralcloud.learning.statistics import LearningStatistics
from centralcloud.operations.doctor import refuse_to_start
from centralcloud.operations.findings import FindingStatistics, FindingWatch
from centralcloud.operations.maintenance import Maintenance, Retention
from centralcloud.operations.observation import Observer
from centralcloud.operations.schema_watch import SchemaWatch
from centralcloud.runtime.database import Database, is_outage
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from centralcloud.runtime.metrics import show_listener, show_program
from centralcloud.runtime.notifications import NotificationListener
from centralcloud.runtime.service_manager import ServiceManager
from centralcloud.runtime.shutdown import Shutdown
from centralcloud.runtime.supervisor import Supervisor
from centralcloud.settings import Settings

log = get_logger(__name__)

_RETRY_SECONDS: Final = 1.0
#: One attempt to reach a database that is away, and the wait after it, take less than this.
_ATTEMPT_SECONDS: Final = 60.0


class Daemon:
    """Consumers, learner, watch for findings, maintenance and listener over one database.

    `run()` is the program; `start()` and `stop()` embed the daemon in another one.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        ingest: bool = True,
        learn: bool = True,
        shutdown: Shutdown | None = None,
    ) -> None:
        """`shutdown` is what ends `run()`, usually on signals."""
        self._settings = settings
        self._database = database
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self.registry = CollectorRegistry()
        self._readings = show_program(self.registry, "centralcloud", database)
        parts: list[Part] = [SchemaWatch(database), self._maintenance(), self._observer()]
        if ingest:
            parts += self._consumers()
        if learn:
            parts += [self._learner(), self._finding_watch()]
        self._supervisor = Supervisor(parts, shutdown)

    def start(self) -> None:
        """Start every part in its thread.

        Raises:
            CentralCloudError: the HTTP port cannot be opened.
        """
        self._serve()
        self._start_parts()

    def _serve(self) -> None:
        self._supervisor.serve(self._settings, registry=self.registry, not_ready=self._not_ready)

    def _start_parts(self) -> None:
        log.info("starting", version=__version__)
        self._supervisor.start()
        self._scheduler.start()

    def stop(self) -> None:
        """End every part after the work in hand, within a few seconds."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._supervisor.stop()

    def run(self) -> None:
        """Run until the shutdown is asked for, or until a part dies.

        Raises:
            CentralCloudError: the schema does not fit, the port is taken, or a part died.
        """
        service_manager = ServiceManager()
        try:
            self._serve()  # first: who waits for the database lives, and is not to be ended for it
            if self._wait_for_schema(service_manager):
                self._start_parts()
                self._supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            self.stop()

    def _maintenance(self) -> Part:
        part = Maintenance(
            self._database,
            weeks_ahead=self._settings.partitions_ahead_weeks,
            references=self._settings.references,
            retention=Retention(
                records_days=self._settings.retention_days,
                decision_ids_days=self._settings.resend_window_days,
                score_updates_days=self._settings.score_update_retention_days,
                roll_ups_days=self._settings.performance_retention_days,
                dead_letters_days=self._settings.dead_letter_retention_days,
                findings_days=self._settings.finding_retention_days,
                score_history_days=self._settings.score_history_retention_days,
            ),
        )
        return self._scheduled(part, self._settings.maintenance_interval_seconds)

    def _learner(self) -> Part:
        part = Learner(
            self._database,
            self._settings.rules,
            references=self._settings.references,
            limits=self._settings.safety_limits,
            after_outcomes=self._settings.learn_after_outcomes,
            statistics=LearningStatistics(self.registry),
        )
        return self._scheduled(part, self._settings.learn_interval_seconds)

    def _finding_watch(self) -> Part:
        interval = self._settings.learn_interval_seconds
        part = FindingWatch(
            self._database,
            limits=self._settings.symptom_limits,
            statistics=FindingStatistics(self.registry),
            every_seconds=interval,
        )
        return self._scheduled(part, interval)

    def _consumers(self) -> list[Part]:
        statistics = IngestStatistics(self.registry)
        careful_path = CarefulPath(self._database, max_attempts=self._settings.max_attempts)
        register = WorkerRegister(self._database, batch_size=self._settings.batch_size)
        consumers = [
            Consumer(
                self._database,
                batch_size=self._settings.batch_size,
                poll_interval_seconds=self._settings.poll_interval_seconds,
                careful_path=careful_path,
                register=register,
                statistics=statistics,
                name=f"consumer-{number}",
            )
            for number in range(1, self._settings.consumers + 1)
        ]

        def wake() -> None:
            for consumer in consumers:
                consumer.wake()

        listener = NotificationListener(self._database, DECISIONS_CHANNEL, wake)
        show_listener(self._readings, listener)
        return [*consumers, listener]

    def _observer(self) -> Part:
        interval = self._settings.observation_interval_seconds
        return Observer(self._database, interval_seconds=interval, registry=self.registry)

    def _scheduled(self, part: Part, interval_seconds: float) -> Part:
        """The schedule only wakes the part: stopping, outages and crashes are the loop's business."""
        self._scheduler.add_job(part.wake, "interval", seconds=interval_seconds, id=part.name, misfire_grace_time=None)
        return part

    def _wait_for_schema(self, service_manager: ServiceManager) -> bool:
        """Wait until the database is there and its schema fits; False when told to stop meanwhile."""
        shutdown = self._supervisor.shutdown
        while not shutdown.requested:
            try:
                refuse_to_start(self._database)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._database.mark_away("start", error)
                service_manager.waiting("waiting for the database", _ATTEMPT_SECONDS)
                shutdown.wait(_RETRY_SECONDS)
            else:
                self._database.mark_back("start")
                return True
        return False

    def _not_ready(self) -> list[str]:
        why = self._database.why_away
        return [f"the database is away: {why}"] if why else []
