"""The program: the reader, the server, and their end."""

from collections.abc import Sequence
from typing import Any

from centralcloud.dashboard.pages.banner import BANNER_SOURCES
from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.reader.lookups import THREADS
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.reader.source import Source
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.server import DashboardServer
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask


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
