"""The server of the dashboard: aiohttp in a thread and an event loop of its own, as for the other programs."""

import resource
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.handlers import Handlers
from centralcloud.dashboard.web.headers import SECURITY_HEADERS
from centralcloud.dashboard.web.live import Hub
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.rendering import Renderer
from centralcloud.dashboard.web.views import View, ViewKey, Views
from centralcloud.runtime.http.connections import Connections, Limits
from centralcloud.runtime.http.exchange import exchange_within
from centralcloud.runtime.http.server import HttpServer
from centralcloud.runtime.postgres.database import Database

PROGRAM: Final = "centralcloud-dashboard"
#: Each viewer keeps one.
_MOST_CONNECTIONS: Final = 4096


class DashboardServer(HttpServer):
    """Serves the pages of one reader.

    Attributes:
        hub: of the viewers; None before the start.
    """

    def __init__(self, address: str, port: int, pages: Sequence[Page], reader: Reader, database: Database) -> None:
        """Open the port; raises CentralCloudError where it cannot be opened."""
        super().__init__(address, port, [], program=PROGRAM, limits=_limits(), name="dashboard-http")
        self._pages = pages
        self._reader = reader
        self._database = database
        self.hub: Hub | None = None

    def make_app(self, connections: Connections) -> web.Application:
        """Create the application, in the event loop."""
        assets = Assets()
        renderer = Renderer(assets, self._pages)
        lookups = Lookups(self._database)
        by_path = {page.path: page for page in self._pages}

        def create_view(key: ViewKey) -> View:
            return View(by_path[key.path], key, renderer, lookups)

        hub = self.hub = Hub(self._reader)
        handlers = Handlers(self._pages, self._reader, Views(create_view), hub, renderer, assets)
        app = web.Application(
            client_max_size=self._limits.body_bytes,
            middlewares=[exchange_within(connections, PROGRAM)],
        )
        app.add_routes(handlers.routes())

        async def begin(_app: web.Application) -> None:
            hub.start()

        async def end(_app: web.Application) -> None:
            await hub.close()

        app.on_response_prepare.append(_add_headers)
        app.on_startup.append(begin)
        app.on_shutdown.append(end)
        return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer, also of errors and of the start of a WebSocket."""
    response.headers.update(SECURITY_HEADERS)


def _limits() -> Limits:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(connections=max(16, min(_MOST_CONNECTIONS, descriptors // 2)))
