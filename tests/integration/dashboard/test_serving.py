"""The server: headers, files, errors, live updates."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psycopg
import pytest
from support.dashboards import a_dashboard
from support.servers import execute
from support.waiting import eventually
from yarl import URL

from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.views import _MOST_VIEWS
from centralcloud.runtime.postgres.database import Database


@pytest.fixture
def dashboard(database: Database) -> Iterator[Dashboard]:
    """A dashboard over an empty database, that has read it."""
    with a_dashboard(database) as dashboard:
        eventually(lambda: dashboard.reader.snapshot.read_at is not None)
        yield dashboard


def fetch(
    dashboard: Dashboard, path: str, method: str = "GET", *, encoded: bool = False, **options: Any
) -> tuple[int, Any, str]:
    """Status, headers and body of an answer."""

    async def get() -> tuple[int, Any, str]:
        url = URL(dashboard.url.rstrip("/") + path, encoded=encoded)
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, allow_redirects=False, **options) as answer,
        ):
            return answer.status, answer.headers, await answer.text()

    return asyncio.run(get())


@asynccontextmanager
async def a_viewer(
    dashboard: Dashboard, page: str = "/", **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The live updates of a page."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            dashboard.url.replace("http", "ws") + "live",
            params={"page": page, **query},
            origin=dashboard.url.rstrip("/"),
        ) as socket,
    ):
        yield socket


async def message(socket: aiohttp.ClientWebSocketResponse, fits: Callable[[Any], bool] = lambda _: True) -> Any:
    """The next message that fits."""
    async with asyncio.timeout(10):
        while True:
            found = json.loads(await socket.receive_str())
            if fits(found):
                return found


@pytest.mark.parametrize("page", [page.path for page in PAGES if "{" not in page.path])
def test_every_page_stands_on_an_empty_database(dashboard: Dashboard, page: str) -> None:
    status, headers, html = fetch(dashboard, page)
    assert status in (200, 404)
    assert "Content-Security-Policy" in headers
    assert "<h1" in html
    assert "Undefined" not in html
    assert " style=" not in html
    assert "<script>" not in html


@pytest.mark.parametrize("path", ["/", "/nothing/here", "/static/x/nothing.js", "/healthz", "/live", "/favicon.ico"])
def test_every_answer_forbids_what_a_page_does_not_need(dashboard: Dashboard, path: str) -> None:
    _, headers, _ = fetch(dashboard, path)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "centralcloud-dashboard"


def test_an_unknown_address_names_the_pages(dashboard: Dashboard) -> None:
    status, _, html = fetch(dashboard, "/<script>alert(1)</script>")
    assert status == 404
    assert "The pages are /," in html or "The pages are /." in html
    assert "<script>alert" not in html


def test_a_page_of_the_documentation_is_served_with_its_sections(dashboard: Dashboard) -> None:
    status, headers, text = fetch(dashboard, "/docs/explanation/learning.md")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'id="step-1-window"' in text
    status, _, text = fetch(dashboard, "/docs/%2e%2e/pyproject.toml", encoded=True)
    assert status == 404
    assert "hatchling" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_page_is_only_read(dashboard: Dashboard, method: str) -> None:
    assert fetch(dashboard, "/", method)[0] in (401, 403, 405)


def test_files_may_be_kept_because_their_address_changes_with_them(dashboard: Dashboard) -> None:
    html = fetch(dashboard, "/")[2]
    address = html.split('<script src="')[1].split('"')[0]
    status, headers, script = fetch(dashboard, address)
    assert (status, "immutable" in headers["Cache-Control"]) == (200, True)
    assert len(script) < 8000
    status, headers, _ = fetch(dashboard, "/static/0123456789ab/live.js")
    assert (status, headers["Cache-Control"]) == (200, "no-cache"), "a page of another version still works"
    assert fetch(dashboard, "/static/x/../settings.py")[0] == 404


def test_a_long_or_strange_query_is_only_a_name(dashboard: Dashboard) -> None:
    for query in ("model=" + "x" * 7000, "model=%00%ff", "complexity=<b>", "models=all&models=all&zone=../x"):
        assert fetch(dashboard, f"/?{query}")[0] == 200


@pytest.mark.parametrize("page", [page for page in PAGES if "{" not in page.path], ids=lambda page: page.name)
@pytest.mark.parametrize("value", ["%00", "a%00b%FF", "99999999999999999999", "%22%3E%3Cb%3E", "-1"])
def test_no_parameter_of_a_page_is_an_internal_error(dashboard: Dashboard, page: Page, value: str) -> None:
    for name in (*page.parameters, "zone"):
        status, _, html = fetch(dashboard, f"{page.path}?{name}={value}", encoded=True)
        assert status in (200, 400, 404), name
        assert '"><b>' not in html, name


def test_live_updates_of_an_address_that_is_none_are_refused(dashboard: Dashboard) -> None:
    for page in ("//[x", "http://[", "\x00", "//localhost/", "?", ""):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            asyncio.run(_open(dashboard, page))


async def _open(dashboard: Dashboard, page: str) -> None:
    async with a_viewer(dashboard, page):
        pass


def test_a_viewer_gets_the_state_and_what_its_page_lacks(dashboard: Dashboard) -> None:
    async def watch() -> None:
        async with a_viewer(dashboard) as socket:
            first = await message(socket)
            assert first["state"] == "live"
            assert {"verdict", "banner"} <= first["fragments"].keys()
            page = (await asyncio.to_thread(fetch, dashboard, "/"))[2]
            boot = page.split('data-boot="')[1].split('"')[0]
            async with a_viewer(dashboard, revision=str(first["revision"]), boot=boot) as same:
                assert (await message(same))["fragments"] == {}
            async with a_viewer(dashboard, revision=str(first["revision"]), boot="of another process") as other:
                assert (await message(other))["fragments"].keys() == first["fragments"].keys()

    asyncio.run(watch())


def test_a_page_whose_view_was_forgotten_gets_everything_when_it_connects_again(dashboard: Dashboard) -> None:
    async def watch() -> None:
        page = (await asyncio.to_thread(fetch, dashboard, "/"))[2]
        boot = page.split('data-boot="')[1].split('"')[0]
        for number in range(_MOST_VIEWS):  # others look at so many pages while this browser sleeps
            await asyncio.to_thread(fetch, dashboard, f"/?model={number}")
        async with a_viewer(dashboard, "/?zone=UTC", revision="50", boot=boot) as socket:
            assert {"verdict", "banner"} <= (await message(socket))["fragments"].keys()

    asyncio.run(watch())


def test_a_change_reaches_a_viewer_as_the_fragments_that_it_changes(dashboard: Dashboard, database_url: str) -> None:
    async def watch() -> None:
        async with a_viewer(dashboard) as socket:
            await message(socket)
            await asyncio.to_thread(
                execute, database_url, "UPDATE learning_control SET frozen_at = now(), frozen_reason = 'a <b>test</b>'"
            )
            changed = await message(socket, lambda each: each["fragments"])
            assert changed["fragments"].keys() == {"banner"}
            assert "a &lt;b&gt;test&lt;/b&gt;" in changed["fragments"]["banner"]

    asyncio.run(watch())


def test_a_stop_closes_the_sockets_at_once(database: Database) -> None:
    async def watch() -> None:
        with a_dashboard(database) as dashboard:
            async with a_viewer(dashboard) as socket:
                await message(socket)
                stopping = asyncio.create_task(asyncio.to_thread(dashboard.stop))
                async with asyncio.timeout(3):
                    while (received := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass
                assert received.type is aiohttp.WSMsgType.CLOSE
                assert received.data == aiohttp.WSCloseCode.GOING_AWAY
                await stopping

    asyncio.run(watch())


def test_viewers_of_one_page_share_its_rendering_and_the_reads(dashboard: Dashboard, database_url: str) -> None:
    def transactions() -> int:
        with psycopg.connect(database_url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchone()
            assert row
            return int(row[0])

    async def watch() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            address = dashboard.url.replace("http", "ws") + "live?page=/"
            sockets = [await session.ws_connect(address, origin=dashboard.url.rstrip("/")) for _ in range(50)]
            for socket in sockets:
                await message(socket)
            assert dashboard.viewers == 50
            assert await asyncio.to_thread(transactions) <= 3, "one connection of the reader, whatever the viewers"
            for socket in sockets:
                await socket.close()
        async with asyncio.timeout(5):
            while dashboard.viewers:
                await asyncio.sleep(0.01)

    asyncio.run(watch())
