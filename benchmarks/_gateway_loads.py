"""Loads of benchmarks/gateway.py, and what is measured of a program under them."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from _gateways import Running
from _http_load import Load, Outcome

PARALLEL: Final = 32
_PARALLEL_STREAMS: Final = 64
_TEXT: Final = (
    "Compare the two proposals below and say which one has the lower risk for a small team with a fixed budget. "
)
_EVENTS_PER_REQUEST: Final = 2
_QUEUED: Final = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
_TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
#: A session reports its transactions once a second at most: those that waited for events must not be counted later.
_FLUSH: Final = "SELECT pg_stat_force_next_flush()"
_SPENT: Final = "SELECT meter, spent, limit_amount FROM spend_periods WHERE unit = 'nano_usd' ORDER BY meter"
#: Transactions of this program between two counts: the first count itself, and the flush of the second.
_OF_A_COUNT: Final = 2
_DRAIN_SECONDS: Final = 30.0
#: Share of the requests that a gateway may answer 429 because its database is slow: they are shown, and fail a target.
_MOST_REFUSED: Final = 0.1
#: From the begin of a load until transactions are counted: sessions that were idle report their counts late.
_STEADY_SECONDS: Final = 2.0
#: Longer than a session waits before it reports a count, and than a gateway waits before it reports spend.
_REPORTED_SECONDS: Final = 15.0
#: For a request: the usage of `_fast_upstream.py` at the prices of `_gateways.py`, in nano-USD.
_COST_NANO: Final = 300 * 1_000 + 400 * 2_000


class RateLimitedError(Exception):
    """A large part of a load was answered 429: its times would be those of refusals."""


class Database:
    """Counts in a gateway's database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET stats_fetch_consistency = none")

    def queued(self) -> int:
        """Return the events in the queue."""
        return self._number(_QUEUED)

    def transactions(self) -> int:
        """Return the transactions so far; two counts in a row differ by two, and none of this connection is counted late."""
        self._connection.execute(_FLUSH)
        return self._number(_TRANSACTIONS)

    def wait_for(self, events: int) -> int:
        """Wait until so many events are in the queue, or until no more arrive; return their number."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while (found := self.queued()) < events and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def spent(self) -> dict[str, tuple[int, int]]:
        """Return what was reported of each budget, and its limit, in nano-USD."""
        return {meter: (int(spent), int(limit)) for meter, spent, limit in self._connection.execute(_SPENT)}

    def wait_for_spent(self, meter: str, nano: int) -> dict[str, tuple[int, int]]:
        """Wait until so much was reported of a budget, or for 15 s; return what was reported of all."""
        deadline = time.monotonic() + _REPORTED_SECONDS
        while (found := self.spent()).get(meter, (0, 0))[0] < nano and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _number(self, query: str) -> int:
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def body(model: str, *, stream: bool) -> bytes:
    """Return a request of about 2 kB."""
    messages = [{"role": "system", "content": "You answer in one sentence."}, {"role": "user", "content": _TEXT * 17}]
    return json.dumps({"model": model, "messages": messages, "max_tokens": 500, "stream": stream}).encode()


def load_of(program: Running, *, stream: bool = False) -> Load:
    """Return a load of one kind for a program."""
    return Load(program.url, [body(program.model, stream=stream)], program.headers)


def summary(program: Running, outcome: Outcome, times: list[float]) -> dict[str, Any]:
    """Return the times of a load, and what went wrong in it.

    Raises:
        RateLimitedError: more than some requests were answered 429.
    """
    found: dict[str, Any] = {"p50_ms": _percentile(times, 0.5), "p99_ms": _percentile(times, 0.99)}
    if problems := checked(program, outcome):
        found["not_answered"] = problems
    return found


def checked(program: Running, outcome: Outcome) -> dict[str, int]:
    """Return every outcome that is not a 200; raise RateLimitedError where more than some are 429."""
    refused, total = outcome.statuses[429], outcome.statuses.total()
    if refused > _MOST_REFUSED * total:
        raise RateLimitedError(
            f"{program.name}: found {refused:,} of {total:,} requests answered 429, expected none: its key has a rate limit"
        )
    return outcome.problems()


def saturated(program: Running, requests: int, *, stream: bool, database: Database | None = None) -> dict[str, Any]:
    """Measure processor time and throughput with many requests in parallel."""
    load = load_of(program, stream=stream)
    parallel = _PARALLEL_STREAMS if stream else PARALLEL
    queued = database.queued() if database is not None else 0
    warm = asyncio.run(load.closed_loop(max(100, requests // 10), parallel))
    if database is not None:
        queued = database.wait_for(queued + _EVENTS_PER_REQUEST * warm.answered)
    before = program.cpu_seconds()
    outcome = asyncio.run(load.closed_loop(requests, parallel))
    events = None
    if database is not None:
        events = database.wait_for(queued + _EVENTS_PER_REQUEST * outcome.answered) - queued
    cpu_ms = 1000 * (program.cpu_seconds() - before) / requests
    found = {"cpu_ms": round(cpu_ms, 4), "per_core": round(1000 / cpu_ms) if cpu_ms else None}
    found["reached"] = round(outcome.answered / outcome.seconds)
    if events is not None:
        found["events"] = events
    return found | summary(program, outcome, outcome.times)


def open_loops(
    loads: Sequence[tuple[Running, float, Database | None]], seconds: float
) -> list[tuple[dict[str, Any], float | None]]:
    """Measure the latency of programs in open loop, all at the same time, so that they share what else the machine does.

    Args:
        loads: each a program, its requests a second, and its own database, of which transactions are counted.

    Returns:
        For each its times, and the transactions for a request; None without a database.
    """
    return asyncio.run(_open_loops(loads, seconds))


async def _open_loops(
    loads: Sequence[tuple[Running, float, Database | None]], seconds: float
) -> list[tuple[dict[str, Any], float | None]]:
    outcomes = [Outcome() for _ in loads]

    async def one(place: int, program: Running, rate: float) -> dict[str, Any]:
        await asyncio.sleep(place / len(loads) / rate)  # else all are due at the same moments
        outcome = await load_of(program).open_loop(rate, seconds, outcomes[place])
        late = outcome.late / max(1, round(rate * seconds))
        return {"rate": rate, **summary(program, outcome, outcome.times), "late": round(late, 3)}

    async def counted(place: int, database: Database | None) -> float | None:
        if database is None:
            return None
        await asyncio.sleep(_STEADY_SECONDS)
        ended, before = outcomes[place].ended, await asyncio.to_thread(database.transactions)
        await asyncio.sleep(seconds - _STEADY_SECONDS)
        ended, after = outcomes[place].ended - ended, await asyncio.to_thread(database.transactions)
        return round((after - before - _OF_A_COUNT) / max(1, ended), 4)

    times = asyncio.gather(*(one(place, program, rate) for place, (program, rate, _) in enumerate(loads)))
    counts = asyncio.gather(*(counted(place, database) for place, (_, _, database) in enumerate(loads)))
    return list(zip(await times, await counts, strict=True))


def first_chunks(programs: Sequence[Running], total: int) -> list[dict[str, Any]]:
    """Measure the time until the first chunk of streams, a few at a time, of all programs at the same time."""

    async def measured() -> list[dict[str, Any]]:
        outcomes = await asyncio.gather(*(load_of(each, stream=True).closed_loop(total, 4) for each in programs))
        pairs = zip(programs, outcomes, strict=True)
        return [summary(program, outcome, outcome.first_bytes) for program, outcome in pairs]

    return asyncio.run(measured())


def memory(program: Running, at_rest_mib: float, requests: int) -> dict[str, Any]:
    """Measure the growth of memory over requests of which every tenth is a stream that is cut."""
    bodies = [body(program.model, stream=True)] + [body(program.model, stream=False)] * 9
    load = Load(program.url, bodies, program.headers)
    asyncio.run(load.closed_loop(max(4000, requests // 10), PARALLEL, abort_every=10))
    warm = program.memory_mib()
    outcome = asyncio.run(load.closed_loop(requests, PARALLEL, abort_every=10))
    problems = checked(program, outcome)
    return {
        "at_rest_mib": round(at_rest_mib, 1),
        "warm_mib": round(warm, 1),
        "growth_mib": round(program.memory_mib() - warm, 1),
        "requests": requests,
        "aborted": outcome.aborted,
        **({"not_answered": problems} if problems else {}),
    }


def spend_up_to_a_limit(program: Running, meter: str, database: Database, requests: int) -> dict[str, Any]:
    """Send more requests than a budget allows, and compare what it has counted with its limit; in nano-USD."""
    outcome = asyncio.run(load_of(program).closed_loop(requests, PARALLEL))
    problems = {status: count for status, count in checked(program, outcome).items() if status != "402"}
    found = database.wait_for_spent(meter, outcome.answered * _COST_NANO)
    spent, limit = found.get(meter, (None, None))
    return {
        "answered": outcome.answered,
        "refused": outcome.statuses[402],
        "cost_of_answers": outcome.answered * _COST_NANO,
        "spent": spent,
        "limit": limit,
        **({"not_answered": problems} if problems else {}),
    }


def not_answered(results: Any) -> dict[str, int]:
    """Return the sum of all requests that were not answered as expected, by their status or error."""
    found: dict[str, int] = {}
    if isinstance(results, dict):
        for name, value in results.items():
            for status, count in (value if name == "not_answered" else not_answered(value)).items():
                found[status] = found.get(status, 0) + count
    return found


def _percentile(values: list[float], share: float) -> float | None:
    """Return a percentile in milliseconds."""
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 3) if values else None
