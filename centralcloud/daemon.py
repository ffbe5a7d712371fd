"""The composition root: settings become parts, parts become threads, and signals end them."""

import os
import signal
import threading
import time
import traceback
from typing import Any, Final

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry

from centralcloud import __version__
from centralcloud.contracts import DECISIONS_CHANNEL, CentralCloudError
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.statistics import IngestStatistics
from centralcloud.learning.learner import Learner
from centralcloud.learning.statistics import LearningStatistics
from centralcloud.operations.maintenance import Maintenance
from centralcloud.runtime.database import Database, is_outage
from centralcloud.runtime.health import HealthServer
from centralcloud.runtime.loops import Part
from centralcloud.runtime.notifications import NotificationListener
from centralcloud.settings import Settings
from centralcloud.store.schema import check_schema

log = structlog.get_logger(__name__)

#: Stopping takes at most this long: what is in hand by then is rolled back, and done by the next start.
_STOP_SECONDS: Final = 4.0
#: A loop that has not come round for this long beyond its interval does not live.
_STUCK_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 1.0


class Daemon:
    """Consumers, learner, maintenance and listener over one database.

    Usable as a library too: `start()`, `stop()`; `run()` adds the signals and blocks.
    """

    def __init__(self, settings: Settings, database: Database, *, ingest: bool = True, learn: bool = True) -> None:
        self._settings = settings
        self._database = database
        self._crash: BaseException | None = None
        self._over = threading.Event()
        self.registry = CollectorRegistry()
        self._maintenance = Maintenance(
            database,
            weeks_ahead=settings.partitions_ahead_weeks,
            resend_window_days=settings.resend_window_days,
            score_update_retention_days=settings.score_update_retention_days,
        )
        self._parts: list[Part] = [self._maintenance]
        self._scheduler = BackgroundScheduler()
        self._schedule(self._maintenance, settings.maintenance_interval_seconds)
        self._health: HealthServer | None = None
        if ingest:
            self._add_consumers()
        if learn:
            learner = Learner(database, settings.rule, statistics=LearningStatistics(self.registry))
            self._schedule(learner, settings.learn_interval_seconds)
            self._parts.append(learner)
        for part in self._parts:
            part.on_crash = self._on_crash

    def start(self) -> None:
        """Start every part in its thread.

        Raises:
            CentralCloudError: the HTTP port cannot be opened.
        """
        if self._settings.http_port:
            self._health = HealthServer(
                self._settings.http_address,
                self._settings.http_port,
                checks={"/livez": self._stuck_parts, "/readyz": self._not_ready},
                registry=self.registry,
            )
            self._health.start()
        for part in self._parts:
            part.start()
        self._scheduler.start()
        log.info("started", version=__version__, parts=[part.name for part in self._parts])

    def stop(self) -> None:
        """End every part after the work in hand, within a few seconds. Safe to call twice."""
        self._over.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for part in self._parts:
            part.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        unfinished = [part.name for part in self._parts if not part.join(max(0.0, deadline - time.monotonic()))]
        if unfinished:
            log.warning("stopped_with_work_in_hand", parts=unfinished, effect="rolled back by the database")
        if self._health:
            self._health.stop()
            self._health = None

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until a part dies. A second signal ends the process at once.

        Raises:
            CentralCloudError: the schema does not fit, the port is taken, or a part died.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._wait_for_schema():
            self.start()
            self._over.wait()
            self.stop()
        log.info("stopped")
        if self._crash is not None:
            raise CentralCloudError(f"stopped because a part died: {type(self._crash).__name__}: {self._crash}")

    def _add_consumers(self) -> None:
        statistics = IngestStatistics(self.registry)
        consumers = [
            Consumer(
                self._database,
                batch_size=self._settings.batch_size,
                poll_interval_seconds=self._settings.poll_interval_seconds,
                statistics=statistics,
                name=f"consumer-{number}",
            )
            for number in range(1, self._settings.consumers + 1)
        ]

        def wake() -> None:
            for consumer in consumers:
                consumer.wake()

        self._parts += [*consumers, NotificationListener(self._database, DECISIONS_CHANNEL, wake)]

    def _schedule(self, part: Part, interval_seconds: float) -> None:
        """The schedule only wakes the part: stopping, outages and crashes are the loop's business."""
        self._scheduler.add_job(part.wake, "interval", seconds=interval_seconds, id=part.name, misfire_grace_time=None)

    def _wait_for_schema(self) -> bool:
        """Wait until the database is there and its schema fits; False when told to stop meanwhile."""
        while not self._over.is_set():
            try:
                check_schema(self._database)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._database.mark_away(error)
                self._over.wait(_RETRY_SECONDS)
            else:
                self._database.mark_back()
                return True
        return False

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._over.is_set():
            os._exit(128 + number)
        self._over.set()

    def _on_crash(self, part: str, error: BaseException) -> None:
        log.error("part_died", part=part, error=repr(error), traceback=traceback.format_exception(error))
        self._crash = error
        self._over.set()

    def _stuck_parts(self) -> list[str]:
        return [
            f"{part.name} has not advanced for {part.seconds_since_advance:.0f} seconds"
            for part in self._parts
            if part.interval_seconds is not None and part.seconds_since_advance > part.interval_seconds + _STUCK_SECONDS
        ]

    def _not_ready(self) -> list[str]:
        if self._over.is_set():
            return ["stopping"]
        return ["the database is away"] if self._database.away else []
