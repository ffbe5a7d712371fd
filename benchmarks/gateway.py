"""Measure the gateway beside its yardsticks, in one run against one upstream. Prints one JSON object.

    python benchmarks/gateway.py            # some 80 seconds
    python benchmarks/gateway.py --full     # some 15 minutes, with 200,000 requests for the memory

Measured are `instance-agent serve` (`gateway`: key, classifier, 20 models, events, metrics, log of requests), the same with
everything configured (`configured`: 20 rules, of which the last one is for the requests, a policy whose order is learned, a
budget of the workspace and one of the fleet, and a rate limit of the key), a bare pass-through of aiohttp, the LiteLLM
proxy in a venv of its own where there is one, and the upstream alone.

- `cpu_ms`: processor time of the program's process for a request, saturated, the median of 3 rounds in turns; of a
  gateway until its last event is in the queue. `per_core`: requests a second of one core: 1000 / cpu_ms. `reached`:
  requests a second that were answered here, where the load, the upstream and the program share the cores.
- `added_ms`: latency in open loop at 300 requests a second less that of the upstream alone; a time runs from the moment the
  request was due. `late`: share of the requests that were sent more than 5 ms late; with more than 0.01, the machine was too
  busy for these times.
- `first_chunk_added_ms`: the same for the first chunk of a stream.
- `database`: transactions that the server counted, for a request, at 300 and at 50 requests a second, over at least 20 s: a
  session that was idle reports its counts only after 10 s.
- `memory`: resident memory at rest, and what it grows over requests of which every tenth is a stream that is cut.
- `bounded`: more requests than a budget allows: what their answers cost, what the budget has counted, and its limit.
- `configured_to_bare`: the figures of `configured`, times those of `gateway`; of processor time the median of the rounds.

The status is 1 where a request was not answered as it should be.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from _full_configuration import WORKSPACE
from _gateway_loads import PARALLEL, RateLimitedError, load_of, not_answered
from _gateway_runs import FULL, SHORT, Fleet, Sizes, measure_gateways, measure_litellm, ratios
from _gateway_targets import targets
from _gateways import NotStartedError, Running, a_litellm_proxy, an_upstream, litellm_version, set_pace, the_gateway
from _http_load import Outcome
from _plans import plan_times
from _shared import machine, progress
from support.servers import a_server


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
    with ExitStack() as stack:
        upstream = stack.enter_context(an_upstream())
        bare = Fleet(stack, server, upstream, "gateway", full=False)
        full = Fleet(stack, server, upstream, "configured", full=True)
        with ExitStack() as running:
            measure_gateways(running, upstream, (bare, full), sizes, results)
        if arguments.full:
            progress("gateway: two replicas")
            results["gateway"]["two_replicas"] = _two_replicas(upstream, bare.url, bare.keys[WORKSPACE], sizes)
        with _litellm(upstream, arguments) as (program, facts):
            results["litellm"] = facts
            if program is not None:
                facts |= measure_litellm(program, upstream, sizes)
    add_differences(results)
    results["configured_to_bare"] = ratios(results["configured"], results["gateway"])
    return results


def _two_replicas(upstream: Running, url: str, key: str, sizes: Sizes) -> dict[str, Any]:
    set_pace(upstream, 0, 0)
    with the_gateway(upstream, url, key) as one, the_gateway(upstream, url, key, number=2) as two:
        replicas = (one, two)
        before = [each.cpu_seconds() for each in replicas]

        async def both() -> list[Outcome]:
            loads = [load_of(each).closed_loop(sizes.requests, PARALLEL) for each in replicas]
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
        try:
            results = run(server, arguments, sizes)
        except RateLimitedError as error:
            sys.exit(f"benchmarks/gateway.py: {error}")
    problems = not_answered(results)
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
    if problems:
        sys.exit(f"benchmarks/gateway.py: found requests that were not answered, by status or error: {problems}")


if __name__ == "__main__":
    main()
