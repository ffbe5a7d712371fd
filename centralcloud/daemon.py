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
from centralcloud.operations.maintenance import Maintenance, Retention
from centralcloud.runtime.database import Database, is_outage
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from centralcloud.runtime.notifications import NotificationListener
from centralcloud.runtime.shutdown import Shutdown
from centralcloud.runtime.supervisor import Supervisor
from centralcloud.settings import Settings
from centralcloud.store.schema import check_schema

log = get_logger(__name__)

_RETRY_SECONDS: Final = 1.0


class Daemon:
    """Consumers, learner, maintenance and listener over one database.

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
        parts: list[Part] = [self._maintenance()]
        if ingest:
            parts += self._consumers()
        if learn:
            parts.append(self._learner())
        self._supervisor = Supervisor(parts, shutdown)

    def start(self) -> None:
        """Start every part in its thread.

        Raises:
            CentralCloudError: the HTTP port cannot be opened.
        """
        log.info("starting", version=__version__)
        self._supervisor.serve(self._settings, registry=self.registry, not_ready=self._not_ready)
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
        if not self._wait_for_schema():
            return
        self.start()
        try:
            self._supervisor.wait()
        finally:
            self.stop()

    def _maintenance(self) -> Part:
        part = Maintenance(
            self._database,
            weeks_ahead=self._settings.partitions_ahead_weeks,
            retention=Retention(
                records_days=self._settings.retention_days,
                decision_ids_days=self._settings.resend_window_days,
                score_updates_days=self._settings.score_update_retention_days,
                roll_ups_days=self._settings.performance_retention_days,
                dead_letters_days=self._settings.dead_letter_retention_days,
            ),
        )
        return self._scheduled(part, self._settings.maintenance_interval_seconds)

    def _learner(self) -> Part:
        part = Learner(self._database, self._settings.rule, statistics=LearningStatistics(self.registry))
        return self._scheduled(part, self._settings.learn_interval_seconds)

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

        return [*consumers, NotificationListener(self._database, DECISIONS_CHANNEL, wake)]

    def _scheduled(self, part: Part, interval_seconds: float) -> Part:
        """The schedule only wakes the part: stopping, outages and crashes are the loop's business."""
        self._scheduler.add_job(part.wake, "interval", seconds=interval_seconds, id=part.name, misfire_grace_time=None)
        return part

    def _wait_for_schema(self) -> bool:
        """Wait until the database is there and its schema fits; False when told to stop meanwhile."""
        shutdown = self._supervisor.shutdown
        while not shutdown.requested:
            try:
                check_schema(self._database)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._database.mark_away("start", error)
                shutdown.wait(_RETRY_SECONDS)
            else:
                self._database.mark_back("start")
                return True
        return False

    def _not_ready(self) -> list[str]:
        return ["the database is away"] if self._database.away else []
