"""The server of the dashboard: aiohttp in a thread and an event loop of its own, as for the other programs."""

import resource
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from centralcloud.dashboard.actions.operator_database import OperatorDatabase
from centralcloud.dashboard.actions.pages import ActionPages
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.security.access import Access
from centralcloud.dashboard.security.login import LoginPages
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.handlers import Handlers
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

    def __init__(
        self,
        settings: DashboardSettings,
        users: UserList,
        pages: Sequence[Page],
        reader: Reader,
        database: Database,
        operators: OperatorDatabase | None,
    ) -> None:
        """Open the port.

        Args:
            settings: after `DashboardSettings.check_start`.
            users: who log in with a password.
            operators: for their actions; None: there are none.

        Raises:
            CentralCloudError: the port cannot be opened, or the certificate cannot be used.
        """
        tls = settings.load_tls()
        address, port = settings.address, settings.port
        super().__init__(address, port, [], program=PROGRAM, limits=_limits(), name="dashboard-http", tls=tls)
        self._settings = settings
        self._users = users
        self._pages = pages
        self._reader = reader
        self._database = database
        self._operators = operators
        self.hub: Hub | None = None

    def make_app(self, connections: Connections) -> web.Application:
        """Create the application, in the event loop."""
        assets = Assets()
        renderer = Renderer(assets, self._pages)
        reader = self._reader

        def outage() -> str | None:
            return reader.snapshot.outage.reason if reader.snapshot.outage else None

        lookups = Lookups(self._database, outage=outage)
        by_path = {page.path: page for page in self._pages}

        def create_view(key: ViewKey) -> View:
            return View(by_path[key.path], key, renderer, lookups)

        hub = self.hub = Hub(self._reader)
        handlers = Handlers(self._pages, self._reader, Views(create_view), hub, renderer, assets)
        app = web.Application(
            client_max_size=self._limits.body_bytes,
            middlewares=[exchange_within(connections, PROGRAM)],
        )
        access = Access(self._settings, self._users)
        access.add_to(app)
        LoginPages(access, handlers.render).add_to(app)
        actions = ActionPages(
            self._operators, self._database, self._reader, lookups, access, handlers.render, handlers.render_error
        )
        actions.add_to(app)
        app.add_routes(handlers.routes(access, actions))

        async def begin(_app: web.Application) -> None:
            hub.start()

        async def end(_app: web.Application) -> None:
            await hub.close()

        app.on_startup.append(begin)
        app.on_shutdown.append(end)
        return app


def _limits() -> Limits:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(connections=max(16, min(_MOST_CONNECTIONS, descriptors // 2)))
