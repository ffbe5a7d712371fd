"""The program: the reader, the server, and their end. It may also be part of another program."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.actions.operator_database import OperatorDatabase
from centralcloud.dashboard.actions.reach import REACH_SOURCES
from centralcloud.dashboard.pages.banner import BANNER_SOURCES
from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.reader.lookups import THREADS
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.reader.source import Source
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.server import DashboardServer
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager

log = get_logger(__name__)


class Dashboard:
    """The pages over one database; a context in which they are served.

    Attributes:
        url: the address for a browser on this machine.
        reader: of the database.
    """

    def __init__(
        self,
        database: Database,
        settings: DashboardSettings,
        *,
        pages: Sequence[Page] = PAGES,
        shutdown: Shutdown | None = None,
    ) -> None:
        """Open the port, and reserve connections in the pool of `database`.

        Raises:
            CentralCloudError: the port cannot be opened, or the settings contradict each other.
        """
        settings.check_start()
        url = settings.operator_database
        self._operators = OperatorDatabase(url, database) if url else None
        self.reader = Reader(database, sources_of(pages, *(REACH_SOURCES if url else ())))
        users = UserList(settings.users_file)
        self._server = DashboardServer(settings, users, pages, self.reader, database, self._operators)
        self.url = _url(settings, self._server.port)
        self._supervisor = Supervisor([self.reader], shutdown)
        self._server.on_crash = self._supervisor.on_crash
        self._supervisor.watch(self._server.heartbeat)
        self._database = database
        database.reserve(THREADS)
        self._supervisor.reserve_connections(database)

    @property
    def viewers(self) -> int:
        """The number of pages that are kept up to date now."""
        return len(self._server.hub or ())

    def start(self) -> None:
        """Serve the pages, and begin to read; while the database is unavailable they say so.

        Raises:
            OtherDatabaseError: operators would change another database than the one that the pages show.
        """
        if self._operators is not None:
            try:
                self._operators.compare_at_start()
            except CentralCloudError:
                self.stop()
                raise
        self._server.start()
        self._supervisor.start()
        log.info("dashboard_started", url=self.url)

    def wait(self, service_manager: ServiceManager) -> None:
        """Wait for the shutdown.

        Raises:
            CentralCloudError: a thread has failed.
        """
        self._supervisor.wait(service_manager)

    def stop(self) -> None:
        """Close the port and every connection, within two seconds."""
        self._server.stop()
        self._supervisor.stop(within_seconds=1.0)
        self._database.reserve(-THREADS)
        if self._operators is not None:
            self._operators.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def run_dashboard(settings: DashboardSettings, shutdown: Shutdown) -> None:
    """Serve the pages until the shutdown is requested.

    Raises:
        CentralCloudError: the settings cannot be used, the port cannot be opened, or a thread has failed.
    """
    with Database(settings.database, application_name="centralcloud/dashboard", own_connections=0) as database:
        shutdown.before_forced_exit = database.kill_embedded_server
        service_manager = ServiceManager()
        with Dashboard(database, settings, shutdown=shutdown) as dashboard:
            try:
                dashboard.wait(service_manager)
            finally:
                service_manager.stopping()


def sources_of(pages: Sequence[Page], *more: Source[Any]) -> list[Source[Any]]:
    """Return every source that one of the pages needs, and some more, once each."""
    of_pages = (source for page in pages for source in page.sources)
    return list(dict.fromkeys((*BANNER_SOURCES, *more, *of_pages)))


def _url(settings: DashboardSettings, port: int) -> str:
    address = settings.address
    host = "127.0.0.1" if address in ("0.0.0.0", "::", "") else address  # noqa: S104 - not to listen
    return f"http{'s' if settings.tls_certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}/"
