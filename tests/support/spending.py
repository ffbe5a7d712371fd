"""A gateway as far as spend goes, in a process of its own: many requests in parallel against budgets in a real database.

Run as a program it reads one line of JSON from standard input (a `Work`), prints ``ready``, waits for another line, and
prints one line of JSON (a `Report`). `check_after` and `row_lock` are the yardsticks of `benchmarks/spend.py`.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import psycopg
import psycopg_pool

from centralcloud.contracts.fleet_configuration import ApiKey, FleetConfiguration, parse_budget, parse_key
from centralcloud.contracts.fleet_configuration.values import to_body
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from instance_agent.spend.exchange import SPEND_CHANNEL, SpendExchange
from instance_agent.spend.refusal import Refusal
from instance_agent.spend.spender import Spender

Method = Literal["leases", "check_after", "row_lock"]
METER = "bench"


class Work(msgspec.Struct, kw_only=True):
    """The requests of one process.

    Attributes:
        requests: of each of `parallel`.
        worst: reserved for each, in nano-USD; they cost between `least` and it, mostly little.
        pause: between two requests, in seconds: of the upstream, shortest and longest.
        charge: the keywords of `Spender.charge`.
        key_id: whose rate limit counts; then `budgets` may be empty.
    """

    url: str
    instance: str
    budgets: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    charge: dict[str, str] = {}
    key_id: str | None = None
    parallel: int = 8
    requests: int = 10
    worst: int = 3_000_000
    least: int = 200_000
    pause: tuple[float, float] = (0.02, 0.06)
    method: Method = "leases"
    seed: int = 1


class Report(msgspec.Struct, kw_only=True):
    """The result of one process: moments are of `time.time`, amounts in nano-USD."""

    spent: list[tuple[float, int]] = []
    refused: list[float] = []
    admission_us: list[float] = []
    codes: dict[str, int] = {}
    alerts: int = 0
    exchanges: int = 0


class _Bench:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.random = random.Random(work.seed)
        self.report = Report()
        self.codes: Counter[str] = Counter()

    def cost(self) -> int:
        """Draw a cost: a third of the worst case on average, as answers are mostly shorter than they may be."""
        return self.random.randint(self.work.least, max(self.work.least, self.work.worst * 3 // 5))

    async def upstream(self) -> int:
        await asyncio.sleep(self.random.uniform(*self.work.pause))
        return self.cost()

    def admitted(self, began: float) -> None:
        self.report.admission_us.append(round(1e6 * (time.perf_counter() - began), 2))

    def paid(self, cost: int) -> None:
        self.report.spent.append((time.time(), cost))

    def refuse(self, code: str, began: float) -> None:
        self.admitted(began)
        self.codes[code] += 1
        self.report.refused.append(time.time())


def a_key(key_id: str = "cck_0123456789ab", *, requests: int = 1000, window_ms: int = 900_000, **more: int) -> ApiKey:
    """Return a key with a rate limit."""
    rate = {"requests": requests, "windowMs": window_ms, **more}
    body = {"id": key_id, "hash": "0" * 64, "role": "user", "label": "test", "createdAt": "2026-01-01T00:00:00Z"}
    return parse_key({**body, "rateLimit": rate})


@contextmanager
def a_spender(
    database: Database, configuration: FleetConfiguration, instance: str
) -> Iterator[tuple[Spender, SpendExchange]]:
    """A spender with its threads, inside a running event loop. Close it before the end of the block."""
    exchange = SpendExchange(database, instance_id=instance)
    spender = Spender(exchange)
    listener = NotificationListener(database, {SPEND_CHANNEL: lambda: None})
    listener.on_payload[SPEND_CHANNEL] = spender.recalled
    spender.use(configuration)
    exchange.start()
    listener.start()
    try:
        yield spender, exchange
    finally:
        for task in (listener, exchange):
            task.stop()
            task.join(5)


def configuration_of(budgets: list[dict[str, Any]], keys: list[dict[str, Any]] = []) -> FleetConfiguration:  # noqa: B006
    """Return a configuration with these budgets and keys."""
    parsed = [parse_budget(each) for each in budgets]
    return FleetConfiguration(
        version=1,
        budgets={each.id: each for each in parsed},
        keys={each["id"]: parse_key(each) for each in keys},
    )


async def _with_leases(work: Work, start: Callable[[], Any]) -> Report:
    bench = _Bench(work)
    configuration = configuration_of(work.budgets, work.keys)
    with (
        Database(work.url, application_name=f"spend-{work.instance}") as database,
        a_spender(database, configuration, work.instance) as (spender, exchange),
    ):
        charge = spender.charge(**work.charge)

        async def one() -> None:
            began = time.perf_counter()
            if work.key_id is not None:
                found = await spender.admit(work.key_id)
            else:
                found = spender.reserve_now(charge, work.worst) or await spender.reserve(charge, work.worst)
            if isinstance(found, Refusal):
                bench.refuse(found.code, began)
                return
            bench.admitted(began)
            with found:
                cost = await bench.upstream()
                found.settle(cost)
                bench.paid(cost)

        async def one_after_the_other() -> None:
            for _ in range(work.requests):
                await one()
                await asyncio.sleep(0.001)

        await asyncio.to_thread(start)
        await asyncio.gather(*(one_after_the_other() for _ in range(work.parallel)))
        await spender.close()
        bench.report.alerts = spender.counts["alerts"]
        bench.report.exchanges = exchange.sent
    bench.report.codes = dict(bench.codes)
    return bench.report


async def _with_statements(work: Work, start: Callable[[], Any]) -> Report:
    """Check after the call, or lock the row at each request: two statements a request that is admitted."""
    bench = _Bench(work)
    async with psycopg_pool.AsyncConnectionPool(
        work.url, min_size=4, max_size=8, open=False, kwargs={"autocommit": True}, timeout=60
    ) as pool:

        async def statement(text: str, *values: Any) -> Any:
            async with pool.connection() as connection:
                cursor = await connection.execute(text, values)
                return await cursor.fetchone()

        async def one() -> None:
            began = time.perf_counter()
            if work.method == "check_after":
                found = await statement("SELECT 1 FROM bench_budget WHERE spent < amount")
            else:
                found = await statement(
                    "UPDATE bench_budget SET held = held + %s WHERE spent + held + %s <= amount RETURNING 1",
                    work.worst,
                    work.worst,
                )
            if found is None:
                bench.refuse("budget", began)
                return
            bench.admitted(began)
            cost = await bench.upstream()
            held = work.worst if work.method == "row_lock" else 0
            await statement("UPDATE bench_budget SET spent = spent + %s, held = held - %s RETURNING 1", cost, held)
            bench.paid(cost)

        async def one_after_the_other() -> None:
            for _ in range(work.requests):
                await one()
                await asyncio.sleep(0.001)

        await asyncio.to_thread(start)
        await asyncio.gather(*(one_after_the_other() for _ in range(work.parallel)))
    bench.report.codes = dict(bench.codes)
    return bench.report


def _main() -> None:
    work = msgspec.json.decode(sys.stdin.readline(), type=Work)

    def start() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()

    run = _with_leases if work.method == "leases" else _with_statements
    sys.stdout.write(msgspec.json.encode(asyncio.run(run(work, start))).decode() + "\n")


class Process:
    """One process that works; `kill` is a SIGKILL."""

    def __init__(self, work: Work) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(work).decode() + "\n")
        self.process.stdin.flush()

    def wait_ready(self) -> None:
        """Wait until it is connected."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", "the process ended before it was ready"

    def go(self) -> None:
        """Let its requests begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> Report:
        """Wait for its end."""
        out, _ = self.process.communicate()
        assert self.process.returncode == 0, f"the process ended with {self.process.returncode}"
        return msgspec.json.decode(out, type=Report)

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def processes(works: list[Work]) -> Iterator[list[Process]]:
    """Start one process for each, and wait until all are ready; those that still run at the end are killed."""
    started = [Process(work) for work in works]
    try:
        for each in started:
            each.wait_ready()
        yield started
    finally:
        for each in started:
            if each.process.poll() is None:
                each.kill()


def put_budgets(url: str, *budgets: dict[str, Any]) -> None:
    """Store budgets in the configuration, in their JSON form, over those of the same id."""
    bodies = [to_body(parse_budget(each)) for each in budgets]
    put_entries(url, *({"kind": "budget", "id": body["id"], "body": body} for body in bodies))


def put_entries(url: str, *entries: dict[str, Any]) -> None:
    """Store entries of the configuration; a body of None removes it."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT centralcloud.write_configuration(config_version, %s, 'tester', 'cli', 'host') FROM configuration_state",
            (json.dumps(list(entries)),),
        )


def put_key(url: str, key: ApiKey) -> None:
    """Store a key in the configuration."""
    put_entries(url, {"kind": "key", "id": key.id, "body": to_body(key)})


def exchange(url: str, process: str, number: int, **report: Any) -> dict[str, Any]:
    """Make one exchange in the database; returns its answer."""
    body = {"lease_seconds": 60, "accounts": [], "asks": [], "wants": {}, **report}
    with psycopg.connect(url) as connection:
        statement = "SELECT centralcloud.exchange_spend('gw', %s, %s, %s)"
        row = connection.execute(statement, (process, number, json.dumps(body))).fetchone()
    assert row is not None
    answer: dict[str, Any] = row[0]
    return answer


def spend_before(url: str, meter: str, amount: int) -> None:
    """Let another gateway spend so much of a limit in its current period."""
    (grant,) = exchange(url, "before", 1, asks=[{meter: amount}])["grants"]
    assert grant["granted"] == amount, grant
    spent = {"meter": meter, "period_start": grant["period_start"], "spent": amount, "estimated": 0, "returned": 0}
    exchange(url, "before", 2, accounts=[spent])


if __name__ == "__main__":
    _main()
