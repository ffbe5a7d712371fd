"""A fleet with its roles, a dashboard that may act, and a browser of an operator."""

import html
import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from support.dashboards import a_dashboard
from support.events import outcomes
from support.fleet import Fleet, a_fleet
from support.ingest import ingest
from support.servers import execute
from support.waiting import eventually

from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.security.passwords import Cost, hash_password
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database

PASSWORD = "correct horse battery"
_HASH = hash_password(PASSWORD, Cost(2, 1, 1))
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z]+)" value="([^"]*)"')


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def location(self) -> str | None:
        return self.headers["Location"]

    @property
    def form(self) -> dict[str, str]:
        """The hidden fields of the form of an action, and its choices as they are selected."""
        content = self.text[self.text.index("<main") :]
        found = {name: html.unescape(value) for name, value in _HIDDEN.findall(content)}
        for name, value in re.findall(r'<input id="([a-z]+)" name="[a-z]+" value="([^"]*)"', content):
            found[name] = html.unescape(value)
        for name, options in re.findall(r'<select id="([a-z]+)"[^>]*>(.*?)</select>', content):
            found[name] = (re.findall(r'value="([^"]*)" selected', options) or re.findall(r'value="([^"]*)"', options))[
                0
            ]
        return found


class Browser:
    """Sends requests as a browser does from a page of the dashboard; `headers` are those of a proxy."""

    def __init__(self, dashboard: Dashboard, **headers: str) -> None:
        self.dashboard = dashboard
        self.origin = dashboard.url.rstrip("/")
        self.cookies: dict[str, str] = {}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, headers, None)

    def post(self, path: str, form: Mapping[str, str], headers: Mapping[str, str | None] | None = None) -> Answer:
        """Post a form; `headers` replace those of a browser, None omits one."""
        sent = {
            "Origin": self.origin,
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/x-www-form-urlencoded",
            **(headers or {}),
        }
        return self._send(
            "POST", path, {name: value for name, value in sent.items() if value is not None}, urlencode(form)
        )

    def log_in(self, name: str = "ada") -> "Browser":
        assert self.post("/login", {"name": name, "password": PASSWORD}).status == 303
        return self

    def act(self, path: str, **values: str) -> Answer:
        """Open the page of an action, fill in its form, and send it."""
        page = self.get(path)
        assert page.status == 200, (page.location, self.cookies, page.text)
        return self.post(path.partition("?")[0], {**page.form, "reason": "a test", **values})

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: str | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.origin.rpartition(":")[2]), timeout=30)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(
                method, path, body, {**self.headers, **({"Cookie": cookies} if cookies else {}), **headers}
            )
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return answer


class Log:
    """The log of operators' actions; `new` are the rows since it was last asked."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.new()

    def new(self) -> list[tuple[Any, ...]]:
        query = "SELECT id, action, subject, who, via, source, reason FROM operator_actions WHERE id > %s ORDER BY id"
        rows = execute(self._fleet.admin, query, (getattr(self, "_last", 0),))
        if rows:
            self._last = rows[-1][0]
        return [row[1:] for row in rows]


@pytest.fixture(scope="module")
def fleet(server: str) -> Iterator[Fleet]:
    """A fleet with the pair gpt-4o, complex, whose score is learned."""
    with a_fleet(server) as fleet:
        with Database(fleet.worker, application_name="tests") as worker:
            ingest(worker, fleet.worker, outcomes(100, 0, complexity_score=3.0))
            Learner(worker, [ThresholdRule()]).learn()
        yield fleet


@contextmanager
def serving(fleet: Fleet, users: Path, **settings: Any) -> Iterator[Dashboard]:
    """Serve the dashboard with its roles."""
    users.touch(0o600)
    users.write_text(f"ada:operator:{_HASH}\ngrace:operator:{_HASH}\nvera:viewer:{_HASH}\n")
    values = {"users_file": users, "operator_database_url": SecretStr(fleet.operator), **settings}
    with (
        Database(fleet.dashboard, application_name="tests", own_connections=0) as database,
        a_dashboard(database, **values) as dashboard,
    ):
        eventually(lambda: dashboard.reader.snapshot.read_at is not None)
        yield dashboard


@pytest.fixture(scope="module")
def dashboard(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One dashboard for all tests of a module that need no other settings."""
    with serving(fleet, tmp_path_factory.mktemp("users") / "users") as dashboard:
        Browser(dashboard).log_in().get("/actions/freeze")  # starts its threads
        yield dashboard


@pytest.fixture
def browser(dashboard: Dashboard) -> Browser:
    """A browser in which ada, an operator, has logged in."""
    return Browser(dashboard).log_in()


@pytest.fixture
def log(fleet: Fleet) -> Log:
    return Log(fleet)
