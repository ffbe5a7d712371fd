"""The hub: a viewer that does not read holds no other up, and a login that ends closes its socket."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest
from support.dashboards import a_dashboard
from support.servers import execute

from centralcloud.dashboard.pages.verdict import Verdict
from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.dashboard.security.passwords import Cost, hash_password
from centralcloud.dashboard.web import live
from centralcloud.dashboard.web.page import Page, PageContext
from centralcloud.runtime.postgres.database import Database

PASSWORD = "a password that is long"


def _count(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT clock_timestamp()::text").fetchone()
    assert row
    return str(row[0])


COUNT = Source("count", Tier.SECOND, _count)


async def _build(context: PageContext) -> Mapping[str, object]:
    """A page of some megabytes, that changes every second."""
    empty = dict.fromkeys(("kpis", "matrix", "attention", "shares"))
    return {"verdict": Verdict("good", context.of(COUNT) or "", "x" * 4_000_000, ()), **empty}


LARGE = Page("/", "overview", "Overview", (COUNT,), _build)


def address_of(dashboard: Dashboard) -> str:
    return dashboard.url.replace("http", "ws") + "live?page=/"


def _stuck(dashboard: Dashboard) -> socket.socket:
    """A viewer that asks for updates, and never reads them."""
    url = urlsplit(dashboard.url)
    viewer = socket.create_connection((str(url.hostname), url.port or 0))
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lines = (
        "GET /live?page=/ HTTP/1.1", f"Host: {url.netloc}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Origin: http://{url.netloc}",
    )  # fmt: skip
    viewer.sendall("\r\n".join([*lines, "", ""]).encode())
    return viewer


def test_a_viewer_that_does_not_read_does_not_hold_up_the_others(database: Database) -> None:
    async def watch(dashboard: Dashboard) -> None:
        origin = dashboard.url.rstrip("/")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address_of(dashboard), origin=origin, max_msg_size=0) as other,
            asyncio.timeout(15),
        ):
            headlines = set()
            while len(headlines) < 3:
                fragments = json.loads(await other.receive_str())["fragments"]
                headlines.add(fragments.get("verdict", "")[:200])
            assert dashboard.viewers == 2, "the one that hangs is still there"

    with a_dashboard(database, pages=(LARGE,)) as dashboard, _stuck(dashboard):
        asyncio.run(watch(dashboard))


def test_a_login_that_ends_closes_the_socket(database: Database, database_url: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.touch(0o600)
    users.write_text(f"ada:operator:{hash_password(PASSWORD, Cost(16, 8, 1))}\n")

    async def watch(dashboard: Dashboard) -> None:
        origin = dashboard.url.rstrip("/")
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
            asyncio.timeout(15),
        ):
            form = {"name": "ada", "password": PASSWORD, "next": "/"}
            async with session.post(f"{origin}/login", data=form, headers={"Origin": origin}) as answer:
                html = await answer.text()
                assert (answer.status, answer.url.path) == (200, "/"), "the cookie came with the redirect"
            async with session.ws_connect(address_of(dashboard), origin=origin) as live:
                await live.receive_str()
                token = html.split('name="token" value="')[1].split('"')[0]
                async with session.post(f"{origin}/logout", data={"token": token}, headers={"Origin": origin}):
                    pass
                execute(database_url, "UPDATE learning_control SET frozen_at = now(), frozen_reason = 'a change'")
                while (received := await live.receive()).type is aiohttp.WSMsgType.TEXT:
                    assert "a change" not in received.data
                assert (received.type, received.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)

    with a_dashboard(database, users_file=users, read_needs_login=True) as dashboard:
        asyncio.run(watch(dashboard))


async def _build_slowly(context: PageContext) -> Mapping[str, object]:
    time.sleep(0.05)
    empty = dict.fromkeys(("kpis", "matrix", "attention", "shares"))
    return {"verdict": Verdict("good", context.of(COUNT) or "", "", ()), **empty}


SLOW = Page("/", "overview", "Overview", (COUNT,), _build_slowly, parameters=("model",))


def test_many_different_pages_hold_up_no_request(database: Database) -> None:
    """Anyone who may read can open any number of them: every pass took their time without a pause."""

    async def watch(dashboard: Dashboard) -> float:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            address, origin = address_of(dashboard), dashboard.url.rstrip("/")
            sockets = [await session.ws_connect(f"{address}%3Fmodel%3D{each}", origin=origin) for each in range(30)]
            longest, clock = 0.0, asyncio.get_running_loop().time
            end = clock() + 2.5
            while clock() < end:
                began = clock()
                async with session.get(f"{dashboard.url}healthz") as answer:
                    assert answer.status == 200
                longest = max(longest, clock() - began)
            assert dashboard.viewers == len(sockets)
            return longest

    with a_dashboard(database, pages=(SLOW,)) as dashboard:
        assert asyncio.run(watch(dashboard)) < 0.75, "a pass takes 1.5 seconds"


def test_pages_beyond_the_most_have_no_live_updates(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_LIVE_VIEWS", 3)

    async def watch(dashboard: Dashboard) -> None:
        async with aiohttp.ClientSession() as session:

            async def connect(number: int) -> aiohttp.ClientWebSocketResponse:
                address = f"{address_of(dashboard)}%3Fmodel%3D{number}"
                return await session.ws_connect(address, origin=dashboard.url.rstrip("/"))

            sockets = [await connect(number) for number in (1, 2, 3)]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await connect(4)
            await connect(3)
            await sockets[0].close()
            async with asyncio.timeout(5):
                while dashboard.viewers > 3:
                    await asyncio.sleep(0.01)
            await connect(4)

    with a_dashboard(database) as dashboard:
        asyncio.run(watch(dashboard))
