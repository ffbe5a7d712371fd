"""Starting and stopping a program made of background tasks: failures, deadlines, health."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import LoginRefusedError, summarize_error
from centralcloud.runtime.process.background import BackgroundTask, describe_degradation
from centralcloud.runtime.process.heartbeat import Heartbeat
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.runtime.settings import ProgramSettings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from centralcloud.runtime.http.server import HttpServer

log = get_logger(__name__)

#: Tasks have this long to stop. A run that is unfinished then is rolled back, and repeated after the next start.
_STOP_SECONDS: Final = 4.0
#: How often stalled tasks are looked for when no watchdog asks for it sooner.
_WATCH_SECONDS: Final = 10.0


class Supervisor:
    """Runs background tasks until it is stopped or one of them fails."""

    def __init__(self, tasks: Sequence[BackgroundTask], shutdown: Shutdown | None = None) -> None:
        """Take `tasks` in the order in which they start and stop; `shutdown` when signals should stop them."""
        self._tasks = tasks
        self._crashed: tuple[str, BaseException] | None = None
        self._http: HttpServer | None = None
        self._started = False
        self._reported: set[str] = set()
        self._reserved_in: Database | None = None
        self.shutdown = shutdown or Shutdown()
        self._watched: list[Heartbeat] = []
        for task in tasks:
            task.on_crash = self.on_crash

    @property
    def connections(self) -> int:
        """Pooled connections that all tasks use at the same time. HTTP pages use none: they read memory only."""
        return sum(task.connections for task in self._tasks)

    def reserve_connections(self, database: Database) -> None:
        """Make the pool of `database` large enough for every task, until `stop`."""
        database.reserve(self.connections)
        self._reserved_in = database

    def serve(
        self,
        settings: ProgramSettings,
        *,
        registry: "CollectorRegistry",
        not_ready: Callable[[], list[str]],
        pages: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        """Answer over HTTP until `stop`, when the settings name a port. Not ready before `start`.

        A degraded task is a detail of ``/readyz``, and not a reason against it: the program does its work.

        Raises:
            CentralCloudError: the port cannot be opened.
        """
        if not settings.http_port:
            return
        # Imported here, because aiohttp takes 0.2 seconds and a library or a command without a port does not need it.
        from centralcloud.runtime.http.routes import health_routes
        from centralcloud.runtime.http.server import HttpServer

        checks = {"/livez": self.stalled_tasks, "/readyz": lambda: self._not_running() + not_ready()}
        routes = health_routes(checks, registry, pages, details={"/readyz": self.degraded_tasks})
        self._http = HttpServer(settings.http_address, settings.http_port, routes, program=settings.program)
        self._http.on_crash = self.on_crash
        self._http.start()

    def start(self) -> None:
        """Start every task in its thread."""
        self._started = True
        for task in self._tasks:
            task.start()
        log.info("started", tasks=[task.name for task in self._tasks])

    def stop(self, within_seconds: float = _STOP_SECONDS) -> None:
        """Stop every task after its current run, within a few seconds. Safe to call twice."""
        self.shutdown.request()
        if self._started:
            self._stop_tasks(within_seconds)
        if self._http:
            self._http.stop()
            self._http = None
        if self._reserved_in is not None:
            self._reserved_in.reserve(-self.connections)
            self._reserved_in = None
        if self._started:
            log.info("stopped")

    def abandon(self) -> None:
        """Close the port in the child of a fork: its parent goes on to serve it."""
        if self._http is not None:
            self._http.abandon()

    def _stop_tasks(self, within_seconds: float) -> None:
        log.info("stopping")
        for task in self._tasks:
            task.stop()
        deadline = time.monotonic() + within_seconds
        unfinished = [task.name for task in self._tasks if not task.join(max(0.0, deadline - time.monotonic()))]
        if unfinished:
            log.warning("shutdown_timeout", tasks=unfinished, effect="the database rolls back their transactions")

    def wait(self, service_manager: ServiceManager) -> None:
        """Wait for the shutdown. Meanwhile log stalled tasks, and notify the service manager while there are none.

        Raises:
            CentralCloudError: a background task failed.
        """
        service_manager.ready()
        seconds = min(service_manager.heartbeat_seconds or _WATCH_SECONDS, _WATCH_SECONDS)
        while not self.shutdown.wait(seconds):
            self._log_stalled_tasks()
            service_manager.heartbeat(self.stalled_tasks())
        if self._crashed is not None:
            name, error = self._crashed
            if isinstance(error, LoginRefusedError):
                raise error
            raise CentralCloudError(
                f"stopped because the background task {name} failed: {type(error).__name__}: {summarize_error(error)}"
            )

    def stalled_tasks(self) -> list[str]:
        """Return one line for each loop whose heartbeat is too old, that of the HTTP server included. Never waits."""
        return [str(heartbeat) for heartbeat in self._heartbeats() if heartbeat.stalled]

    def degraded_tasks(self) -> list[str]:
        """Return one line for each task whose runs fail while the others go on. Never waits."""
        return [line for task in self._tasks if (line := describe_degradation(task))]

    def _heartbeats(self) -> list[Heartbeat]:
        http = self._http
        own = [http.heartbeat] if http else []
        return [*(task.heartbeat for task in self._tasks), *own, *self._watched]

    def _log_stalled_tasks(self) -> None:
        """Log each stall once."""
        stalled = {heartbeat.name: heartbeat for heartbeat in self._heartbeats() if heartbeat.stalled}
        for name in sorted(stalled.keys() - self._reported):
            log.error(
                "background_task_stalled",
                task=name,
                heartbeat_age_seconds=round(stalled[name].age_seconds),
                limit_seconds=round(stalled[name].limit_seconds),
            )
        for name in sorted(self._reported - stalled.keys()):
            log.info("background_task_resumed", task=name)
        self._reported = set(stalled)

    def _not_running(self) -> list[str]:
        if self.shutdown.requested:
            return ["stopping"]
        return [] if self._started else ["starting"]

    def fail(self, task: str, error: CentralCloudError) -> None:
        """End the program with `error`, as if `task` had failed."""
        self.on_crash(task, error)

    def watch(self, heartbeat: Heartbeat) -> None:
        """Count a loop that is not a task among those that may stall."""
        self._watched.append(heartbeat)

    def on_crash(self, task: str, error: BaseException) -> None:
        """End the program because `task` has ended with `error`."""
        # Our own errors say what is wrong; any other needs a traceback.
        where = {} if isinstance(error, CentralCloudError) else {"traceback": traceback.format_exception(error)}
        log.error("background_task_failed", task=task, error=repr(error), **where)
        self._crashed = self._crashed or (task, error)  # the first one is the cause
        self.shutdown.request()
