"""The program: the reader, the server, and their end."""

from collections.abc import Sequence
from typing import Any

from centralcloud.dashboard.pages.banner import BANNER_SOURCES
from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.reader.lookups import THREADS
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.reader.source import Source
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.server import DashboardServer
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager

log = get_logger(__name__)


class Dashboard:
    """The pages over one database.

    Attributes:
        reader: a background task; whoever supervises the other tasks of a program may supervise it too.
        server: the pages.
    """

    def __init__(self, database: Database, *, address: str, port: int, pages: Sequence[Page] = PAGES) -> None:
        """Open the port; raises CentralCloudError where it cannot be opened."""
        self.reader = Reader(database, sources_of(pages))
        self.server = DashboardServer(address, port, pages, self.reader, database)
        self._address = address
        database.reserve(THREADS)

    @property
    def tasks(self) -> list[BackgroundTask]:
        """The background tasks, for a supervisor, which starts and stops them and reserves their connections."""
        return [self.reader]

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = "127.0.0.1" if self._address in ("0.0.0.0", "::", "") else self._address  # noqa: S104 - not to listen
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server.port}/"


def sources_of(pages: Sequence[Page]) -> list[Source[Any]]:
    """Return every source that one of the pages needs, once each."""
    return list(dict.fromkeys(source for page in pages for source in (*BANNER_SOURCES, *page.sources)))


def run_dashboard(settings: DashboardSettings, shutdown: Shutdown) -> None:
    """Serve the pages until the shutdown is requested. While the database is unavailable they say so.

    Raises:
        CentralCloudError: the settings cannot be used, the port cannot be opened, or a thread has failed.
    """
    settings.check_start()
    with Database(settings.database, application_name="centralcloud/dashboard", own_connections=0) as database:
        shutdown.before_forced_exit = database.kill_embedded_server
        dashboard = Dashboard(database, address=settings.address, port=settings.port)
        supervisor = Supervisor(dashboard.tasks, shutdown)
        supervisor.reserve_connections(database)
        dashboard.server.on_crash = supervisor.on_crash
        service_manager = ServiceManager()
        dashboard.server.start()
        log.info("dashboard_started", url=dashboard.url)
        try:
            supervisor.start()
            supervisor.wait(service_manager)
        finally:
            service_manager.stopping()
            dashboard.server.stop()
            supervisor.stop()
