"""Starting and ending a program made of parts: crashes, deadlines, health."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.server import Check, HealthServer
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.runtime.settings import ProgramSettings

log = get_logger(__name__)

#: Stopping takes at most this long: what is in hand by then is rolled back, and done by the next start.
_STOP_SECONDS: Final = 4.0
#: A loop that is overdue for this long does not live.
_STUCK_SECONDS: Final = 60.0


class Supervisor:
    """Runs parts until it is told to stop or one of them dies."""

    def __init__(self, tasks: Sequence[BackgroundTask], shutdown: Shutdown | None = None) -> None:
        """`parts` in the order in which they start and are asked to stop; `shutdown` when signals are to end them."""
        self._tasks = tasks
        self._crash: BaseException | None = None
        self._health: HealthServer | None = None
        self._started = False
        self.shutdown = shutdown or Shutdown()
        for task in tasks:
            task.on_crash = self._on_crash

    def serve(
        self,
        settings: ProgramSettings,
        *,
        registry: CollectorRegistry,
        not_ready: Check,
        pages: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        """Answer over HTTP until `stop`, when the settings name a port. Ready from `start` on.

        Raises:
            CentralCloudError: the port cannot be opened.
        """
        if settings.http_port:
            checks = {"/livez": self.stalled_tasks, "/readyz": lambda: self._not_running() + not_ready()}
            self._health = HealthServer(
                settings.http_address, settings.http_port, checks=checks, registry=registry, pages=pages
            )
            self._health.start()

    def start(self) -> None:
        """Start every part in its thread."""
        self._started = True
        for task in self._tasks:
            task.start()
        log.info("started", tasks=[task.name for task in self._tasks])

    def stop(self) -> None:
        """End every part after the work in hand, within a few seconds. Safe to call twice."""
        self.shutdown.request()
        if self._started:
            self._stop_tasks()
        if self._health:
            self._health.stop()
            self._health = None
        if self._started:
            log.info("stopped")

    def _stop_tasks(self) -> None:
        log.info("stopping")
        for task in self._tasks:
            task.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        unfinished = [task.name for task in self._tasks if not task.join(max(0.0, deadline - time.monotonic()))]
        if unfinished:
            log.warning("shutdown_timeout", tasks=unfinished, effect="the database rolls it back")

    def wait(self, service_manager: ServiceManager) -> None:
        """Wait until the end is asked for, and tell the service manager meanwhile that all parts advance.

        Raises:
            CentralCloudError: a part died.
        """
        service_manager.ready()
        while not self.shutdown.wait(service_manager.heartbeat_seconds):
            service_manager.heartbeat(self.stalled_tasks())
        if self._crash is not None:
            raise CentralCloudError(
                f"stopped because a part died: {type(self._crash).__name__}: {summarize_error(self._crash)}"
            )

    def stalled_tasks(self) -> list[str]:
        """The parts whose loop no longer comes round, a line each. Asks nothing of the database."""
        return [
            f"{task.name} is {task.seconds_overdue:.0f} seconds overdue"
            for task in self._tasks
            if task.seconds_overdue > _STUCK_SECONDS
        ]

    def _not_running(self) -> list[str]:
        if self.shutdown.requested:
            return ["stopping"]
        return [] if self._started else ["starting"]

    def _on_crash(self, task: str, error: BaseException) -> None:
        # What we raise ourselves says what is wrong; of everything else we want to know where it came from.
        where = {} if isinstance(error, CentralCloudError) else {"traceback": traceback.format_exception(error)}
        log.error("background_task_failed", task=task, error=repr(error), **where)
        self._crash = error
        self.shutdown.request()
