"""A server with the login of the dashboard and a few pages, and a browser that sends what it is told to send."""

import asyncio
import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jinja2
import pytest
from aiohttp import web
from support.repository import REPOSITORY

from centralcloud.dashboard.security.access import Access, check_change, known
from centralcloud.dashboard.security.attempts import Attempts
from centralcloud.dashboard.security.login import LoginPages
from centralcloud.dashboard.security.passwords import Cost, hash_password
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.settings import DashboardSettings

PASSWORD = "correct horse battery"
_HASHES = {name: hash_password(PASSWORD, Cost(2, 1, 1)) for name in ("ada", "vera")}
_PAGE = "<!doctype html><title>{% block title %}{% endblock %}</title>{% block content %}{% endblock %}"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def location(self) -> str | None:
        return self.headers["Location"]

    @property
    def cookie(self) -> str:
        return self.headers.get("Set-Cookie", "")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """The server. It changes something with each POST to /act that may."""

    def __init__(self, settings: DashboardSettings, users: UserList) -> None:
        self.clock = Clock()
        self.changes: list[str] = []
        self.access = Access(settings, users, self.clock)
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader(
                [
                    jinja2.DictLoader({"page.html": _PAGE}),
                    jinja2.FileSystemLoader(REPOSITORY / "centralcloud/dashboard/templates"),
                ]
            ),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        self.port = 0
        self.attempts = Attempts()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(30)
        assert self.port

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        self.access.add_to(app)
        LoginPages(self.access, self._render, self.attempts).add_to(app)
        app.router.add_get("/scores", self._page)
        app.router.add_get("/healthz", self._healthy)
        app.router.add_get("/static/{name}", self._healthy)
        app.router.add_get("/live", self._live)
        app.router.add_post("/act", self._act)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    def _render(self, _request: web.Request, template: str, model: object, status: int) -> web.Response:
        text = self._templates.get_template(template).render(m=model)
        return web.Response(text=text, status=status, content_type="text/html")

    async def _page(self, request: web.Request) -> web.Response:
        viewer, token = known(request)
        return web.Response(text=f"{viewer.name} {viewer.role} token={token}")

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="open")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        viewer, is_welcome = known(request).viewer, self.access.welcome(request)
        async for _ in socket:
            if not is_welcome():
                break
            await socket.send_str(f"{viewer.name} {viewer.role}")
        await socket.close(code=4401)
        return socket

    async def _act(self, request: web.Request) -> web.Response:
        form = await request.post()
        check_change(request, form)
        self.changes.append(str(form.get("what")))
        return web.Response(text="done")


class Browser:
    """Sends requests as they are given, with the cookies that it was given."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.site.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        return self.send(method, path, dict(headers or {}))

    def post(
        self, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Post a form as a browser does from a page of this server; `headers` replace its own, None omits one."""
        sent: dict[str, str | None] = {
            "Origin": self.origin,
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/x-www-form-urlencoded",
            **(headers or {}),
        }
        return self.send("POST", path, {name: value for name, value in sent.items() if value is not None}, form or {})

    def send(self, method: str, path: str, headers: dict[str, str], form: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=10)
        sent = self.headers | headers
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        try:
            connection.request(method, path, urlencode(form) if form is not None else None, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if "Max-Age=0" in cookie:
                del self.cookies[name]
        return answer

    def log_in(self, name: str = "ada", password: str = PASSWORD, **form: str) -> Answer:
        return self.post("/login", {"name": name, "password": password, **form})

    def token(self) -> str:
        """Return the token of the forms of a page."""
        found = re.search(r"token=(\S*)", self.get("/scores").text)
        assert found is not None
        return found.group(1)


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(f"ada:operator:{_HASHES['ada']}\nvera:viewer:{_HASHES['vera']}\n")
    return path


@pytest.fixture
def make_site(users_file: Path) -> Iterator[Callable[..., Site]]:
    """Start a server with these settings, and stop it at the end."""
    sites = []

    def make(**settings: Any) -> Site:
        made = DashboardSettings(**{"users_file": users_file, "read_needs_login": True, **settings})
        made.check_start()
        sites.append(Site(made, UserList(made.users_file)))
        return sites[-1]

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def browser(make_site: Callable[..., Site]) -> Browser:
    """A browser of a server whose pages need a login."""
    return Browser(make_site())
