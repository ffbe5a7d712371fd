"""The spender as a gateway uses it: an event loop, real exchanges, several gateways, and a database that goes away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from support.servers import execute
from support.spending import a_key, a_spender, configuration_of, put_budgets, put_key, spend_before
from support.tcp_proxy import TcpProxy

from centralcloud.contracts.fleet_configuration import FleetConfiguration
from centralcloud.contracts.fleet_configuration.values import to_body
from centralcloud.runtime.postgres.database import Database
from instance_agent.spend import waiting
from instance_agent.spend.exploration import Exploration
from instance_agent.spend.refusal import Refusal
from instance_agent.spend.reservation import RateReservation, Reservation
from instance_agent.spend.spender import Spender

#: 0.01 USD a day; a request may cost 0.001 USD.
DAILY = {"scope": "fleet", "period": "daily", "limit": 0.01, "onLimit": "stop"}
METER = "budget/fleet:daily"
WORST = 1_000_000


@pytest.fixture
def patience() -> Iterator[pytest.MonkeyPatch]:
    """Let requests wait for 10 seconds instead of 250 ms: on a busy machine an exchange may take longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "WAIT_SECONDS", 10.0)
        yield patch


@asynccontextmanager
async def gateways(url: str, configuration: FleetConfiguration, number: int = 1) -> Any:
    """Spenders with databases of their own, as in several processes; closed at the end."""
    async with AsyncExitStack() as stack:
        spenders = []
        for each in range(number):
            database = stack.enter_context(Database(url, application_name="tests"))
            spender, _ = stack.enter_context(a_spender(database, configuration, f"gw-{each}"))
            stack.push_async_callback(spender.close)
            spenders.append(spender)
        yield spenders


def in_gateways(
    url: str, configuration: FleetConfiguration, work: Callable[..., Awaitable[None]], number: int = 1
) -> None:
    async def run() -> None:
        async with gateways(url, configuration, number) as spenders:
            await work(*spenders)

    asyncio.run(run())


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)  # the interval between two checks


async def reserved(spender: Spender, worst: int = WORST, **of: str) -> Reservation:
    """Reserve; on a busy machine a connection may take longer than a request waits."""
    async with asyncio.timeout(10):
        while True:
            found = await spender.reserve(spender.charge(**of), worst)
            if isinstance(found, Reservation):
                return found
            assert found.code in ("budget_busy", "database_unavailable"), found


def rows(url: str) -> list[tuple]:
    return execute(url, "SELECT meter, spent, estimated, leased, written_off FROM spend_periods ORDER BY meter")


def test_a_call_is_reserved_settled_and_reported_and_the_end_returns_every_lease(database_url: str) -> None:
    put_budgets(database_url, DAILY)

    async def work(spender: Spender) -> None:
        first = await reserved(spender)
        second = spender.reserve_now(spender.charge(), WORST)
        assert isinstance(second, Reservation), "the slice is for more than one request"
        first.settle(200_000)
        second.settle(300_000, estimated=True)

    in_gateways(database_url, configuration_of([DAILY]), work)
    assert rows(database_url) == [(METER, 500_000, 300_000, 0, 0)]


def test_a_request_counts_against_three_budgets_and_is_refused_by_the_one_that_is_used_up(database_url: str) -> None:
    budgets = [
        DAILY,
        {"scope": "workspace", "of": "a", "period": "daily", "limit": 0.003, "onLimit": "free_only"},
        {"scope": "key", "of": "k", "period": "weekly", "limit": 1, "timezone": "Europe/Berlin"},
        {"scope": "worker", "of": "w", "period": "task", "limit": 0.002},
    ]
    put_budgets(database_url, *budgets)

    async def work(spender: Spender) -> None:
        of = {"workspace": "a", "key_id": "k", "worker": "w"}
        for _ in range(3):
            (await reserved(spender, **of)).settle(WORST)
        refusal = await spender.reserve(spender.charge(**of), WORST)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.meter, refusal.then) == (
            "budget_exhausted",
            "budget/workspace:a:daily",
            "free_only",
        )
        assert refusal.remaining == 0
        assert refusal.retry_after_seconds is not None
        assert 0 < refusal.retry_after_seconds <= 86_400
        assert isinstance(spender.reserve_now(spender.charge(**of), 0), Reservation), "a model of price 0 answers"
        (await reserved(spender, workspace="b")).settle(WORST)
        task = spender.reserve_now(spender.charge(**of), 2_000_001)
        assert isinstance(task, Refusal)
        assert (task.code, task.status) == ("task_limit", 402)

    in_gateways(database_url, configuration_of(budgets), work)
    assert [(meter, spent, leased) for meter, spent, _, leased, _ in rows(database_url)] == [
        (METER, 4 * WORST, 0), ("budget/key:k:weekly", 3 * WORST, 0), ("budget/workspace:a:daily", 3 * WORST, 0),
    ]  # fmt: skip


def test_at_the_limit_a_budget_that_stops_refuses_free_models_too_without_a_wait(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    spend_before(database_url, METER, 10 * WORST)

    async def work(spender: Spender) -> None:
        await until(lambda: spender.charge().accounts[0].possible is not None)
        for nano in (WORST, 0):
            refusal = spender.reserve_now(spender.charge(), nano)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status, refusal.then) == ("budget_exhausted", 402, "stop")
        put_budgets(database_url, {**DAILY, "limit": 0.02})
        spender.use(configuration_of([{**DAILY, "limit": 0.02}]))
        (await reserved(spender)).settle(WORST)

    in_gateways(database_url, configuration_of([DAILY]), work)


def test_cheap_models_answer_up_to_the_overdraft_and_no_further(database_url: str) -> None:
    budget = {**DAILY, "onLimit": "cheap", "cheapModels": ["small"], "overdraft": 0.2}
    put_budgets(database_url, budget)
    spend_before(database_url, METER, 9 * WORST + 500_000)

    async def work(spender: Spender) -> None:
        refusal = await spender.reserve(spender.charge(), WORST)
        assert isinstance(refusal, Refusal)
        assert (refusal.then, refusal.cheap_models) == ("cheap", ("small",))
        for _ in range(2):
            found = await spender.reserve(spender.charge(), WORST, cheap=True)
            assert isinstance(found, Reservation)
            found.settle(WORST)
        last = await spender.reserve(spender.charge(), WORST, cheap=True)
        assert isinstance(last, Refusal)
        assert (last.meter, last.then) == ("overdraft/fleet:daily", "stop")
        small = await spender.reserve(spender.charge(), 400_000, cheap=True)
        assert isinstance(small, Reservation), "what is left below the limit is for every model"
        small.settle(400_000)

    in_gateways(database_url, configuration_of([budget]), work)
    spent = {meter: spent for meter, spent, *_ in rows(database_url)}
    assert spent == {METER: 9_900_000, "overdraft/fleet:daily": 2_000_000}


def test_a_request_waits_for_the_settlement_of_another_one(database_url: str, patience: pytest.MonkeyPatch) -> None:
    put_budgets(database_url, DAILY)
    spend_before(database_url, METER, 9 * WORST)

    async def work(spender: Spender, other: Spender) -> None:
        first = await reserved(spender)
        task = asyncio.create_task(other.reserve(other.charge(), WORST))
        await until(lambda: other.counts["waited"] == 1)
        first.settle(0)
        found = await task
        assert isinstance(found, Reservation), found
        patience.undo()
        late = await spender.reserve(spender.charge(), WORST)
        assert isinstance(late, Refusal)
        assert (late.code, late.retry_after_seconds) == ("budget_busy", 1.0), "other requests hold it"
        cancelled = asyncio.create_task(spender.reserve(spender.charge(), WORST))
        await until(lambda: spender.counts["waited"] == 3)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert [account.waiting for account in spender.charge().accounts] == [0]
        found.settle(WORST)

    in_gateways(database_url, configuration_of([DAILY]), work, 2)
    assert rows(database_url) == [(METER, 10 * WORST, 0, 0, 0)]


@pytest.mark.usefixtures("patience")
def test_a_rate_limit_holds_over_two_gateways_together_to_the_last_request(database_url: str) -> None:
    key = a_key(requests=60, tokens=100_000)
    put_key(database_url, key)

    async def work(one: Spender, other: Spender) -> None:
        for number in range(60):
            found = await (one if number % 3 else other).admit(key.id, 1000)
            assert isinstance(found, RateReservation), (number, found)
            found.settle(100)
        for spender in (one, other):
            refusal = await spender.admit(key.id, 1000)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("rate_limited", 429)
            assert refusal.retry_after_seconds is not None
            assert 0 < refusal.retry_after_seconds <= 900
        assert isinstance(await one.admit(None), Reservation), "without keys there is no limit"
        assert isinstance(await one.admit("cck_ffffffffffff"), Reservation), "nor for a key without one"

    in_gateways(database_url, configuration_of([], [to_body(key)]), work, 2)
    assert [(meter, spent) for meter, spent, *_ in rows(database_url)] == [
        (f"requests/{key.id}", 60), (f"tokens/{key.id}", 6000),
    ]  # fmt: skip


@pytest.mark.usefixtures("patience")
def test_a_window_that_has_ended_gives_way_to_the_next_one(database_url: str) -> None:
    key = a_key(requests=5, window_ms=1000)
    put_key(database_url, key)
    admissions = 0

    async def work(spender: Spender) -> None:
        async def admitted() -> Any:
            nonlocal admissions
            found = await spender.admit(key.id)
            admissions += not isinstance(found, Refusal)
            if isinstance(found, Refusal):
                assert found.retry_after_seconds is not None
                assert 0 < found.retry_after_seconds <= 1.5
                return None
            return found

        held = await admitted()
        start = spender.book.accounts[f"requests/{key.id}"].slice.period_start
        found: Any = held
        while found is not None:  # until the window is used up
            found = await admitted()
            if found is not None:
                found.settle(0)
        async with asyncio.timeout(10):
            while found is None:  # the next window resumes
                found = await admitted()
        found.settle(0)
        assert spender.book.accounts[f"requests/{key.id}"].slice.period_start != start
        held.settle(0)  # it counts in its own window

    in_gateways(database_url, configuration_of([], [to_body(key)]), work)
    rows = execute(database_url, "SELECT spent, leased, limit_amount FROM spend_periods ORDER BY period_start")
    assert len(rows) >= 2
    assert all(spent <= limit and leased == 0 for spent, leased, limit in rows)
    assert sum(spent for spent, *_ in rows) == admissions


def test_a_lower_limit_returns_the_leases_that_are_not_reserved(database_url: str) -> None:
    put_budgets(database_url, DAILY)

    async def work(spender: Spender) -> None:
        held = await reserved(spender)
        assert execute(database_url, "SELECT leased > %s FROM spend_periods", (WORST,)) == [(True,)]
        lower = {**DAILY, "limit": 0.002}
        put_budgets(database_url, lower)
        spender.use(configuration_of([lower]))
        await until(lambda: execute(database_url, "SELECT leased FROM spend_periods") == [(WORST,)])
        (await reserved(spender)).settle(WORST)
        refusal = await spender.reserve(spender.charge(), WORST)
        assert isinstance(refusal, Refusal)
        held.settle(WORST)

    in_gateways(database_url, configuration_of([DAILY]), work)
    assert execute(database_url, "SELECT spent, limit_amount FROM spend_periods") == [(2 * WORST, 2 * WORST)]


def test_without_the_database_the_lease_is_used_up_and_then_the_budget_decides(proxy: TcpProxy) -> None:
    budgets = [{**DAILY, "onDatabaseLoss": "allow_local"}]
    put_budgets(proxy.url, *budgets)
    key = a_key(requests=10)
    put_key(proxy.url, key)

    async def work(spender: Spender) -> None:
        (await reserved(spender)).settle(WORST)
        held = spender.charge().accounts[0].slice.available // WORST
        assert held >= 1
        proxy.pause()
        proxy.cut()
        for _ in range(held):
            (await reserved(spender)).settle(WORST)
        refusal = await spender.reserve(spender.charge(), WORST)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.then) in (("database_unavailable", "local_only"), ("budget_busy", "stop"))
        await until(lambda: not spender.up, 20)
        refusal = spender.reserve_now(spender.charge(), WORST)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.status, refusal.then) == ("database_unavailable", 503, "local_only")
        admitted = [spender.admit_now(key.id) for _ in range(12)]
        assert [isinstance(each, Reservation) for each in admitted] == [True] * 10 + [False] * 2
        proxy.resume()
        await until(lambda: spender.up, 20)
        (await reserved(spender)).settle(WORST)

    in_gateways(proxy.url, configuration_of(budgets, [to_body(key)]), work)
    ((_, spent, *_),) = [row for row in rows(proxy.url) if row[0] == METER]
    assert spent % WORST == 0
    assert 3 * WORST <= spent <= 10 * WORST


def test_a_rate_limit_refuses_no_request_because_the_first_answer_of_the_database_is_slow(proxy: TcpProxy) -> None:
    key = a_key(requests=2)
    put_key(proxy.url, key)

    async def work(spender: Spender) -> None:
        proxy.pause()
        found = [await spender.admit(key.id) for _ in range(3)]
        assert [isinstance(each, Reservation) for each in found] == [True, True, False]
        assert (found[2].code, found[2].status) == ("rate_limited", 429)
        proxy.cut()
        proxy.resume()
        await until(lambda: spender.book.accounts[f"requests/{key.id}"].possible is not None, 20)

    in_gateways(proxy.url, configuration_of([], [to_body(key)]), work)


def test_the_fleet_probes_until_the_extra_cost_is_used_up(database_url: str) -> None:
    budget = {"scope": "exploration", "period": "daily", "limit": 0.005}
    put_budgets(database_url, budget)

    async def work(spender: Spender) -> None:
        exploration = Exploration(spender)
        assert exploration.begin(WORST) is None, "a request does not wait for a probe"
        await until(lambda: exploration.may_probe(WORST))
        for _ in range(5):
            await until(lambda: exploration.may_probe(WORST))
            probe = exploration.begin(WORST)
            assert probe is not None
            probe.settle(WORST)
        assert exploration.begin(WORST) is None
        assert exploration.is_stopped
        free = exploration.begin(0)
        assert free is not None, "a probe that costs no more than the cheapest model is always possible"
        assert isinstance(await spender.reserve(spender.charge(), WORST), Reservation), "requests do not count"

    in_gateways(database_url, configuration_of([budget]), work)
    assert [(meter, spent) for meter, spent, *_ in rows(database_url)] == [("budget/exploration:daily", 5 * WORST)]


def test_without_the_exploration_budget_every_probe_may_be(database_url: str) -> None:
    async def work(spender: Spender) -> None:
        assert Exploration(spender).begin(10**15) is not None

    in_gateways(database_url, configuration_of([]), work)
