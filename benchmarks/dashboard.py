"""Measure the dashboard: its pages in a browser, and many viewers at once. Prints one JSON object.

    python benchmarks/dashboard.py            # some four minutes

- `pages`: of each page the time of the first paint on loopback in Chromium, the median of 10 loads by a new viewer, and the
  bytes that it loads: HTML and files as they are sent, compressed; `script_bytes` of JavaScript are not compressed.
  `bare_first_paint_ms` is the yardstick: the same of an answer of two letters without a file.
- `viewers`: 500 WebSockets to the Overview, while the fleet does tasks and learns each second. `core_percent`: processor
  time of the dashboard's process as a share of one core, with its reads of the database.
- `yardstick`: a bare server of aiohttp that sends the same texts at the same moments to as many WebSockets.
- `database`: transactions a second that the server counted in the dashboard's database, while nothing else used it.

Without Chromium or playwright (`make browser` installs it) the times of the first paint are null.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import aiohttp
import psycopg
from _gateways import Running, _printing_its_port
from _shared import a_database, machine, progress
from support.browsers import FLAGS, Site, start_dashboard
from support.dashboard_life import Life, fill_with_a_day, living
from support.programs import programs_in
from support.servers import a_server

_VIEWERS: Final = 500
_LOADS: Final = 10
#: An answer without any content to lay out.
_BARE: Final = "/healthz"
_CHROMIUM: Final = "/usr/bin/chromium"
#: Longer than a session waits before it reports its transactions.
_COUNT_SECONDS: Final = 20.0
_LOAD_SECONDS: Final = 30.0
#: Sessions that have ended, or are idle, report their transactions late.
_REPORTED_SECONDS: Final = 12.0
#: Without viewers for a minute the dashboard reads less often.
_IDLE_SECONDS: Final = 62.0
_TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
_PAINT: Final = """() => new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime))
  .observe({ type: "paint", buffered: true }))"""


class Audience:
    """Viewers of one page, each with a WebSocket of its own.

    Attributes:
        messages: the texts that the first one got, each with the time of its arrival.
        received: how many all of them got.
    """

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._number = number
        self.messages: list[tuple[str, float]] = []
        self.received = 0

    async def watch(self, seconds: float, *, begun: asyncio.Event, from_now: asyncio.Event) -> None:
        """Connect, and receive until `seconds` after `from_now` was set."""
        connector = aiohttp.TCPConnector(limit=0)
        origin = self._url.replace("ws://", "http://").split("/live")[0]
        async with aiohttp.ClientSession(connector=connector) as session:
            sockets = [await session.ws_connect(self._url, origin=origin, max_msg_size=0) for _ in range(self._number)]
            tasks = [asyncio.create_task(self._receive(socket, place)) for place, socket in enumerate(sockets)]
            begun.set()
            await from_now.wait()
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(socket.close() for socket in sockets))

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, place: int) -> None:
        async for message in socket:
            self.received += 1
            if place == 0:
                self.messages.append((message.data, time.monotonic()))


def with_viewers(program: Running, url: str, number: int, seconds: float, settle: float = 3.0) -> dict[str, Any]:
    """Measure a program while so many viewers watch; the time in which they connect is not counted."""
    audience = Audience(url, number)
    found: dict[str, Any] = {}

    async def measure() -> None:
        begun, from_now = asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(audience.watch(seconds, begun=begun, from_now=from_now))
        await begun.wait()
        await asyncio.sleep(settle)
        before, began, received = program.cpu_seconds(), time.monotonic(), audience.received
        audience.messages.clear()
        from_now.set()
        await asyncio.sleep(seconds - 0.5)
        used, took = program.cpu_seconds() - before, time.monotonic() - began
        found["core_percent"] = round(100 * used / took, 2)
        found["memory_mib"] = round(program.memory_mib(), 1)
        found["messages_a_second"] = round((audience.received - received) / took, 1)
        await watching

    asyncio.run(measure())
    sizes = [len(text.encode()) for text, _ in audience.messages]
    found["messages_of_one"] = len(sizes)
    found["bytes_of_one"] = sum(sizes)
    found["texts"] = audience.messages
    return found


class Changes:
    """Lets the fleet do tasks and learn, each second, in a thread of its own."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changes")

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self._life.tasks(20)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def transactions_a_second(server: str, database_url: str, seconds: float = _COUNT_SECONDS) -> float:
    """Count the transactions of a database from another one, so that the count is not among them."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SET stats_fetch_consistency = none")

        def count() -> int:
            row = connection.execute(_TRANSACTIONS, (name,)).fetchone()
            assert row is not None
            return int(row[0])

        before, began = count(), time.monotonic()
        time.sleep(seconds)
        return round((count() - before) / (time.monotonic() - began), 2)


def count_transactions(server: str, site: Site) -> dict[str, float]:
    """Count with one viewer, with many, and with none for a while."""
    found = {}
    for number in (1, _VIEWERS):
        progress(f"dashboard: transactions with {number} viewers")
        audience = Audience(live_url(site), number)

        async def counted(audience: Audience) -> float:
            begun, from_now = asyncio.Event(), asyncio.Event()
            watching = asyncio.create_task(audience.watch(_COUNT_SECONDS + 1, begun=begun, from_now=from_now))
            await begun.wait()
            from_now.set()
            rate = await asyncio.to_thread(transactions_a_second, server, site.database_url)
            await watching
            return rate

        found[str(number)] = asyncio.run(counted(audience))
    progress("dashboard: transactions without viewers")
    time.sleep(_IDLE_SECONDS)
    return {"0": transactions_a_second(server, site.database_url, 2 * _COUNT_SECONDS), **found}


def live_url(site: Site) -> str:
    """Return the address of the live updates of the Overview."""
    return f"{site.url.replace('http', 'ws')}/live?page=%2F%3Fzone%3DUTC"


def weigh(site: Site, path: str) -> dict[str, int]:
    """Return the bytes of a page and of its files, as a browser gets them."""
    html = site.html(path)
    files = {part.split('"')[0] for mark in ('href="/static/', 'src="/static/') for part in html.split(mark)[1:]}
    sizes = {name.rpartition("/")[2]: _transferred(f"{site.url}/static/{name}") for name in files}
    script = next(name for name in files if name.endswith(".js"))
    with urlopen(f"{site.url}/static/{script}") as answer:
        plain = len(answer.read())
    own = _transferred(site.url + path)
    return {"bytes": own + sum(sizes.values()), "html_bytes": own, "script_bytes": plain}


def _transferred(url: str) -> int:
    with urlopen(Request(url, headers={"Accept-Encoding": "gzip"})) as answer:
        return len(answer.read())


def first_paints(site: Site) -> dict[str, float | None]:
    """Return the median time until the first paint of each page, and of a bare answer, in ms; nothing without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return {}
    if not Path(_CHROMIUM).exists():
        return {}
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=FLAGS)
        for path in [_BARE, *site.paths()]:
            times = []
            for _ in range(_LOADS):
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                page = context.new_page()
                page.goto(site.url + path)
                times.append(page.evaluate(_PAINT))
                context.close()
            found[path.partition("?")[0]] = round(statistics.median(times), 1)
        browser.close()
    return found


@contextmanager
def the_yardstick(texts: list[tuple[str, float]]) -> Iterator[Running]:
    """Start the bare server, which sends what the dashboard has sent."""
    gaps = [after - at for (_, at), (_, after) in pairwise(texts)] + [1.0]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([(text, gap) for (text, _), gap in zip(texts, gaps, strict=True)], file)
        file.flush()
        with _printing_its_port("_broadcast.py", file.name) as (process, port):
            yield Running("yardstick", process.pid, f"ws://127.0.0.1:{port}/live")


def run(server: str, folder: Path) -> dict[str, Any]:
    """Measure everything."""
    with ExitStack() as stack:
        url = stack.enter_context(a_database(server))
        start = stack.enter_context(programs_in(folder))
        progress("dashboard: a day of life")
        fill_with_a_day(url)
        # A variable that the tests' launcher does not know: a start of the installed program, with its own memory.
        site = start_dashboard(start, url, BENCHMARK="dashboard")
        program = Running("dashboard", site.program.process.pid, site.url)
        progress("dashboard: pages")
        paints = first_paints(site)
        pages = {
            path.partition("?")[0]: {"first_paint_ms": paints.get(path.partition("?")[0]), **weigh(site, path)}
            for path in site.paths()
        }
        at_rest = program.memory_mib()
        life = stack.enter_context(living(url))
        progress(f"dashboard: {_VIEWERS} viewers, while the fleet changes")
        with Changes(life):
            viewers = with_viewers(program, live_url(site), _VIEWERS, _LOAD_SECONDS)
        texts = viewers.pop("texts")
        progress("dashboard: the yardstick")
        with the_yardstick(texts) as bare:
            yardstick = with_viewers(bare, bare.url, _VIEWERS, _LOAD_SECONDS)
            yardstick.pop("texts")
        time.sleep(_REPORTED_SECONDS)
        database = count_transactions(server, site)
    return {
        "pages": pages,
        "bare_first_paint_ms": paints.get(_BARE),
        "viewers": {"number": _VIEWERS, "memory_at_rest_mib": round(at_rest, 1), **viewers},
        "yardstick": yardstick,
        "database": {"transactions_a_second": database},
    }


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target with the measured value; `met` is None where it was not measured."""
    pages, viewers = found["pages"].values(), found["viewers"]
    paints = [page["first_paint_ms"] for page in pages if page["first_paint_ms"] is not None]
    per_second = found["database"]["transactions_a_second"]
    return [
        _target("first paint of the slowest page, ms", max(paints, default=None), 300),
        _target("largest page, bytes", max(page["bytes"] for page in pages), 40_000),
        _target("JavaScript, bytes", max(page["script_bytes"] for page in pages), 8_000),
        _target(f"{_VIEWERS} viewers, percent of a core", viewers["core_percent"], 10.0),
        _target(f"{_VIEWERS} viewers, memory, MiB", viewers["memory_mib"], 80.0),
        _target("transactions a second, whatever the viewers", max(per_second.values()), 2.0),
    ]


def _target(what: str, value: float | None, most: float) -> dict[str, Any]:
    return {"what": what, "value": value, "target": f"<= {most:g}", "met": None if value is None else value <= most}


def main() -> None:
    """Measure and print the result."""
    parser = argparse.ArgumentParser(description="Measure the dashboard, alone and with many viewers.")
    parser.add_argument("--database-url", help="a server; without it, an embedded one")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with a_server(arguments.database_url) as server, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(server) as connection:
            measured_on = machine(connection)
        results = run(server, Path(folder))
    result = {"benchmark": "dashboard", **measured_on, "load_before": round(load_before, 1)}
    print(json.dumps({**result, **results, "targets": targets(results)}, indent=2))


if __name__ == "__main__":
    main()
