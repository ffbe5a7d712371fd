"""Measure the gateway beside its yardsticks, in one run against one upstream. Prints one JSON object.

    python benchmarks/gateway.py            # under a minute
    python benchmarks/gateway.py --full     # some 15 minutes, with 200,000 requests for the memory

Measured are `instance-agent serve` (key, classifier, 20 models, events, metrics, log of requests; no spend), a bare
pass-through of aiohttp, the LiteLLM proxy in a venv of its own where there is one, and the upstream alone.

- `cpu_ms`: processor time of the program's process for a request, saturated, the median of 3 rounds in turns; of the
  gateway until its last event is in the queue. `per_core`: requests a second of one core: 1000 / cpu_ms. `reached`:
  requests a second that were answered here, where the load, the upstream and the program share the cores.
- `added_ms`: latency in open loop less that of the upstream alone; a time runs from the moment the request was due. `late`:
  share of the requests that were sent more than 5 ms late; with more than 0.01, the machine was too busy for these times.
- `first_chunk_added_ms`: the same for the first chunk of a stream.
- `database`: transactions that the server counted, for a request, in the open loop.
- `memory`: resident memory at rest, and what it grows over requests of which every tenth is a stream that is cut.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from _gateway_targets import targets
from _gateways import (
    NotStartedError,
    Running,
    a_litellm_proxy,
    a_pass_through,
    an_upstream,
    create_key,
    litellm_version,
    set_pace,
    the_gateway,
)
from _http_load import Load, Outcome
from _plans import plan_times
from _shared import a_database, machine, progress
from support.servers import a_server

_PARALLEL: Final = 32
_ROUNDS: Final = 3
_PARALLEL_STREAMS: Final = 64
#: Between two chunks, so that they arrive one by one.
_GAP_MS: Final = 5.0
_WAIT_MS: Final = 100.0
_RATE: Final = 300.0
#: LiteLLM's proxy cannot answer more on one core.
_LITELLM_RATE: Final = 10.0
_TEXT: Final = (
    "Compare the two proposals below and say which one has the lower risk for a small team with a fixed budget. "
)
_EVENTS_PER_REQUEST: Final = 2
_QUEUED: Final = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
_TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
_DRAIN_SECONDS: Final = 30.0


class Sizes(argparse.Namespace):
    """The sizes of a run."""

    requests: int
    litellm_requests: int
    seconds: float
    streams: int
    memory_requests: int


SHORT: Final = {"requests": 2_500, "litellm_requests": 100, "seconds": 4.0, "streams": 800, "memory_requests": 4_000}
FULL: Final = {
    "requests": 20_000,
    "litellm_requests": 2_000,
    "seconds": 30.0,
    "streams": 10_000,
    "memory_requests": 200_000,
}


def body(model: str, *, stream: bool) -> bytes:
    """Return a request of about 2 kB."""
    messages = [{"role": "system", "content": "You answer in one sentence."}, {"role": "user", "content": _TEXT * 17}]
    return json.dumps({"model": model, "messages": messages, "max_tokens": 500, "stream": stream}).encode()


def load_of(program: Running, *, stream: bool = False) -> Load:
    """Return a load of one kind for a program."""
    return Load(program.url, [body(program.model, stream=stream)], program.headers)


class Database:
    """Counts in the gateway's database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET stats_fetch_consistency = none")

    def queued(self) -> int:
        """Return the events in the queue."""
        return self._number(_QUEUED)

    def transactions(self) -> int:
        """Return the transactions so far, those of this connection included."""
        return self._number(_TRANSACTIONS)

    def wait_for(self, events: int) -> int:
        """Wait until so many events are in the queue, or until no more arrive; return their number."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while (found := self.queued()) < events and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def settled(self) -> int:
        """Wait until no more events arrive for a second; return their number in the queue."""
        found = -1
        while (now := self.queued()) != found:
            found = now
            time.sleep(1.0)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _number(self, query: str) -> int:
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def percentile(values: list[float], share: float) -> float | None:
    """Return a percentile in milliseconds."""
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 3) if values else None


def summary(outcome: Outcome, times: list[float]) -> dict[str, Any]:
    """Return the times of a load, and what went wrong in it."""
    found: dict[str, Any] = {"p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99)}
    if problems := outcome.problems():
        found["not_answered"] = problems
    return found


def saturated(program: Running, requests: int, *, stream: bool, database: Database | None = None) -> dict[str, Any]:
    """Measure processor time and throughput with many requests in parallel."""
    load = load_of(program, stream=stream)
    parallel = _PARALLEL_STREAMS if stream else _PARALLEL
    asyncio.run(load.closed_loop(max(100, requests // 10), parallel))
    queued = database.settled() if database is not None else 0
    before = program.cpu_seconds()
    outcome = asyncio.run(load.closed_loop(requests, parallel))
    events = None
    if database is not None:
        events = database.wait_for(queued + _EVENTS_PER_REQUEST * outcome.answered) - queued
    cpu_ms = 1000 * (program.cpu_seconds() - before) / requests
    found = {"cpu_ms": round(cpu_ms, 3), "per_core": round(1000 / cpu_ms) if cpu_ms else None}
    found["reached"] = round(outcome.answered / outcome.seconds)
    if events is not None:
        found["events"] = events
    return found | summary(outcome, outcome.times)


def open_loop(program: Running, rate: float, seconds: float) -> dict[str, Any]:
    """Measure latency in open loop."""
    outcome = asyncio.run(load_of(program).open_loop(rate, seconds))
    late = outcome.late / max(1, round(rate * seconds))
    return {"rate": rate, **summary(outcome, outcome.times), "late": round(late, 3)}


def first_chunk(program: Running, total: int) -> dict[str, Any]:
    """Measure the time until the first chunk of streams, a few at a time."""
    outcome = asyncio.run(load_of(program, stream=True).closed_loop(total, 4))
    return summary(outcome, outcome.first_bytes)


def memory(program: Running, at_rest_mib: float, requests: int) -> dict[str, Any]:
    """Measure the growth of memory over requests of which every tenth is a stream that is cut."""
    bodies = [body(program.model, stream=True)] + [body(program.model, stream=False)] * 9
    load = Load(program.url, bodies, program.headers)
    asyncio.run(load.closed_loop(max(4000, requests // 10), _PARALLEL, abort_every=10))
    warm = program.memory_mib()
    outcome = asyncio.run(load.closed_loop(requests, _PARALLEL, abort_every=10))
    return {
        "at_rest_mib": round(at_rest_mib, 1),
        "warm_mib": round(warm, 1),
        "growth_mib": round(program.memory_mib() - warm, 1),
        "requests": requests,
        "aborted": outcome.aborted,
        **({"not_answered": outcome.problems()} if outcome.problems() else {}),
    }


def measure_saturated(
    programs: Sequence[Running], upstream: Running, sizes: Sizes, database: Database | None = None
) -> dict[str, dict[str, Any]]:
    """Measure programs in turns, so that they share what else the machine does; return each one's median round."""
    found: dict[str, dict[str, Any]] = {each.name: {} for each in programs}
    for kind, gap in (("plain", 0.0), ("streams", _GAP_MS)):
        progress(f"{', '.join(found)}: {kind}, saturated")
        set_pace(upstream, 0, gap)
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        for _ in range(_ROUNDS):
            for program in programs:
                usual = sizes.streams if gap else sizes.requests
                count = (sizes.litellm_requests if program.name == "litellm" else usual) // _ROUNDS
                own = database if program.name == "gateway" else None
                rounds[program.name].append(saturated(program, count, stream=gap > 0, database=own))
        for name, measured in rounds.items():
            found[name][kind] = sorted(measured, key=lambda each: float(each["cpu_ms"]))[_ROUNDS // 2]
    return found


def measure(program: Running, upstream: Running, sizes: Sizes, database: Database | None = None) -> dict[str, Any]:
    """Measure latency, and with a database the transactions in it."""
    slow = program.name == "litellm"
    found: dict[str, Any] = {}
    progress(f"{program.name}: open loop")
    set_pace(upstream, _WAIT_MS, 0)
    transactions = database.transactions() if database is not None else 0
    rate = _LITELLM_RATE if slow else _RATE
    found["open_loop"] = open_loop(program, rate, sizes.seconds)
    if database is not None:
        time.sleep(1.5)  # the server writes its counts once a second
        counted = database.transactions() - transactions
        found["database"] = {"transactions_per_request": round(counted / (rate * sizes.seconds), 4)}
    set_pace(upstream, 20, _GAP_MS)
    found["first_chunk"] = first_chunk(program, 60 if slow else 200)
    return found


def add_differences(results: dict[str, Any]) -> None:
    """Add what each program adds to the times of the upstream alone."""
    direct = results["direct"]
    for name, found in results.items():
        if name == "direct" or "skipped" in found:
            continue
        for kind, field in (("open_loop", "added_ms"), ("first_chunk", "first_chunk_added_ms")):
            found[field] = {
                share: round(found[kind][share] - direct[kind][share], 3)
                for share in ("p50_ms", "p99_ms")
                if found[kind][share] is not None and direct[kind][share] is not None
            }


@contextmanager
def _litellm(upstream: Running, arguments: Any) -> Iterator[tuple[Running | None, dict[str, Any]]]:
    with ExitStack() as stack:
        try:
            version = litellm_version(arguments.litellm_venv, install=arguments.install_litellm)
            program = stack.enter_context(a_litellm_proxy(upstream, arguments.litellm_venv))
        except NotStartedError as error:
            yield None, {"skipped": str(error)}
        else:
            yield program, {"version": version}


def run(server: str, arguments: Any, sizes: Sizes) -> dict[str, Any]:
    """Measure every program."""
    results: dict[str, Any] = {}
    with a_database(server) as url, an_upstream() as upstream:
        direct = Running("direct", upstream.pid, f"{upstream.url}/chat/completions")
        results["direct"] = measure(direct, upstream, sizes)
        key = create_key(url)
        database = Database(url)
        with a_pass_through(upstream) as bare, the_gateway(upstream, url, key) as program:
            time.sleep(2.0)  # at rest: the first contact with the database is over
            at_rest = program.memory_mib()
            found = measure_saturated((bare, program), upstream, sizes, database)
            results["pass_through"] = found[bare.name] | measure(bare, upstream, sizes)
            results["gateway"] = found[program.name] | measure(program, upstream, sizes, database)
            progress("gateway: memory")
            set_pace(upstream, 0, 2)
            results["gateway"]["memory"] = memory(program, at_rest, sizes.memory_requests)
        if arguments.full:
            progress("gateway: two replicas")
            results["gateway"]["two_replicas"] = _two_replicas(upstream, url, key, sizes)
        database.close()
        with _litellm(upstream, arguments) as (program, facts):
            results["litellm"] = facts
            if program is not None:
                facts |= measure_saturated((program,), upstream, sizes)[program.name]
                facts |= measure(program, upstream, sizes)
    add_differences(results)
    return results


def _two_replicas(upstream: Running, url: str, key: str, sizes: Sizes) -> dict[str, Any]:
    set_pace(upstream, 0, 0)
    with the_gateway(upstream, url, key) as one, the_gateway(upstream, url, key, number=2) as two:
        replicas = (one, two)
        before = [each.cpu_seconds() for each in replicas]

        async def both() -> list[Outcome]:
            loads = [load_of(each).closed_loop(sizes.requests, _PARALLEL) for each in replicas]
            return list(await asyncio.gather(*loads))

        outcomes = asyncio.run(both())
        used = sum(each.cpu_seconds() - start for each, start in zip(replicas, before, strict=True))
    answered = sum(each.answered for each in outcomes)
    seconds = max(each.seconds for each in outcomes)
    return {"reached": round(answered / seconds), "cpu_ms": round(1000 * used / max(1, answered), 3)}


def main() -> None:
    """Measure and print the result."""
    parser = argparse.ArgumentParser(description="Measure the gateway beside its yardsticks.")
    parser.add_argument("--full", action="store_true", help="the sizes of the targets; some 15 minutes")
    parser.add_argument("--memory-requests", type=int, help="requests over which the memory is measured")
    parser.add_argument("--database-url", help="a server for the events; without it, an embedded one")
    parser.add_argument("--litellm-venv", type=Path, default=Path(".venv-litellm"), help="venv of the LiteLLM proxy")
    parser.add_argument("--install-litellm", action="store_true", help="install the LiteLLM proxy into that venv")
    arguments = parser.parse_args()
    sizes = Sizes(**(FULL if arguments.full else SHORT))
    if arguments.memory_requests is not None:
        sizes.memory_requests = arguments.memory_requests
    load_before = os.getloadavg()[0]
    with a_server(arguments.database_url) as server:
        with psycopg.connect(server) as connection:
            measured_on = machine(connection)
        results = run(server, arguments, sizes)
    results["plans"] = plan_times()
    print(
        json.dumps(
            {
                "benchmark": "gateway",
                **measured_on,
                "load_before": round(load_before, 1),
                "sizes": vars(sizes),
                **results,
                "targets": targets(results),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
