"""Measure the processor time of one plain request through the whole gateway, beside a bare aiohttp pass-through.

Both are processes of their own before the same fake upstream, under the same load, one after the other, in turns:
`python benchmarks/gateway_cpu.py [--requests 2000]`. The gateway runs with keys, events, spool and metrics on.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from support.gateways import UPSTREAM_KEY, a_catalog, a_key  # noqa: E402
from support.servers import a_server, with_database  # noqa: E402
from support.upstream.process import FakeUpstream, a_fake_upstream  # noqa: E402

PASS_THROUGH = """
import sys, aiohttp
from aiohttp import web
URL, KEY = sys.argv[1], sys.argv[2]
async def handle(request):
    body = await request.read()
    async with request.app["session"].post(URL, data=body, headers={"authorization": "Bearer " + KEY,
            "content-type": "application/json"}) as answer:
        return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")
async def open_session(app):
    app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    yield
    await app["session"].close()
app = web.Application()
app.router.add_post("/v1/chat/completions", handle)
app.cleanup_ctx.append(open_session)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[3]), access_log=None, handler_cancellation=True, print=None)
"""
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Summarize this report in three sentences. " * 10}]}


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(url: str, headers: dict[str, str], requests: int, parallel: int) -> None:
    """Send requests, so many in flight."""
    body = json.dumps(BODY).encode()
    left = iter(range(requests))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(url, data=body, headers=headers) as answer:
                    text = await answer.read()
                    if answer.status != 200:
                        raise SystemExit(f"{url}: HTTP {answer.status}: {text[:300]!r}")

        await asyncio.gather(*(work() for _ in range(parallel)))


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it."""
    with log.open("wb") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def measured(name: str, pid: int, url: str, headers: dict[str, str], requests: int) -> float:
    """Return the processor time of a request in milliseconds."""
    before, began = cpu_seconds(pid), time.perf_counter()
    asyncio.run(load(url, headers, requests, 32))
    spent, seconds = cpu_seconds(pid) - before, time.perf_counter() - began
    print(f"{name:14} {1000 * spent / requests:.3f} ms of processor time a request, {requests / seconds:,.0f} a second")
    return 1000 * spent / requests


def compare(folder: Path, upstream: FakeUpstream, database_url: str, requests: int) -> None:
    """Measure both in turns."""
    key = a_key(database_url)
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "INSTANCE_ID": "benchmark",
        "INSTANCE_AGENT_STATE_DIR": str(folder / "state"),
        "INSTANCE_AGENT_CATALOG": str(a_catalog(folder, upstream)),
        "INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS": "0",
    }
    log = folder / "gateway.log"
    port = 18_003
    gateway = [str(Path(sys.executable).parent / "instance-agent"), "serve", "--port", "0"]
    bare = [sys.executable, "-c", PASS_THROUGH, f"{upstream.openai_url}/chat/completions", UPSTREAM_KEY, str(port)]
    with running(gateway, env, log) as first, running(bare, env, folder / "bare.log") as second:
        while (found := re.search(r'"port": (\d+)', "".join(re.findall("gateway_started.*", log.read_text())))) is None:
            found = re.search(r'"port": (\d+).*gateway_started', log.read_text())
            if found:
                break
            if first.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        url = f"http://127.0.0.1:{found[1]}/v1/chat/completions"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        direct = f"http://127.0.0.1:{port}/v1/chat/completions"
        ratios = []
        for turn in range(4):
            count = requests if turn else 300  # the first turn warms up
            through = measured("gateway", first.pid, url, headers, count)
            plain = measured("pass-through", second.pid, direct, headers, count)
            if turn:
                ratios.append(through / plain)
        print(f"gateway / pass-through: {statistics.median(ratios):.2f} (median of {len(ratios)} turns)")


def main() -> None:
    """Run the comparison on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    import psycopg

    from centralcloud.runtime.postgres.database import Database
    from centralcloud.store.partitions import ensure_partitions
    from centralcloud.store.schema import migrate

    with tempfile.TemporaryDirectory() as folder, a_fake_upstream() as upstream, a_server(None, None) as server:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("CREATE DATABASE benchmark")
        url = with_database(server, "benchmark")
        with Database(url, application_name="benchmark") as database:
            migrate(database)
            ensure_partitions(database)
        compare(Path(folder), upstream, url, arguments.requests)


if __name__ == "__main__":
    main()
