"""The measurements of benchmarks/gateway.py: programs in turns and at the same time, bare and with everything configured."""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

from _full_configuration import BOUNDED, TAGS, WORKSPACE, configure
from _gateway_loads import Database, first_chunks, memory, open_loops, saturated, spend_up_to_a_limit
from _gateways import Running, a_pass_through, create_key, set_pace, the_gateway
from _shared import a_database, progress

_ROUNDS: Final = 3
#: Between two chunks, so that they arrive one by one.
_GAP_MS: Final = 5.0
_WAIT_MS: Final = 100.0
_RATE: Final = 300.0
#: From here on a request may cost at most 0.1 transactions.
_LOW_RATE: Final = 50.0
#: LiteLLM's proxy cannot answer more on one core.
_LITELLM_RATE: Final = 10.0
_LITELLM_SECONDS: Final = 4.0
_FIRST_CHUNKS: Final = 200
#: Requests at a budget that is for some 230 of them.
_BOUNDED_REQUESTS: Final = 400
_BOUNDED_METER: Final = f"budget/workspace:{BOUNDED}:daily"


class Sizes(argparse.Namespace):
    """The sizes of a run. `seconds`: of the open loop of the gateways; 2 less are counted, which have to be at least 20."""

    requests: int
    litellm_requests: int
    seconds: float
    yardstick_seconds: float
    streams: int
    memory_requests: int


SHORT: Final = {
    "requests": 2_500,
    "litellm_requests": 100,
    "seconds": 22.0,
    "yardstick_seconds": 4.0,
    "streams": 800,
    "memory_requests": 4_000,
}
FULL: Final = {
    "requests": 20_000,
    "litellm_requests": 2_000,
    "seconds": 32.0,
    "yardstick_seconds": 30.0,
    "streams": 10_000,
    "memory_requests": 200_000,
}


def measure_saturated(
    programs: Sequence[Running], upstream: Running, sizes: Sizes, databases: Mapping[str, Database] = {}
) -> dict[str, dict[str, Any]]:
    """Measure programs in turns, so that they share what else the machine does; return each one's median round.

    Args:
        databases: of those programs that have one, by name.
    """
    found: dict[str, dict[str, Any]] = {each.name: {} for each in programs}
    for kind, gap in (("plain", 0.0), ("streams", _GAP_MS)):
        progress(f"{', '.join(found)}: {kind}, saturated")
        set_pace(upstream, 0, gap)
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        for turn in range(_ROUNDS):
            for program in programs if turn % 2 == 0 else programs[::-1]:
                usual = sizes.streams if gap else sizes.requests
                count = (sizes.litellm_requests if program.name == "litellm" else usual) // _ROUNDS
                own = databases.get(program.name)
                rounds[program.name].append(saturated(program, count, stream=gap > 0, database=own))
        for name, measured in rounds.items():
            found[name][kind] = sorted(measured, key=lambda each: float(each["cpu_ms"]))[_ROUNDS // 2]
            found[name][kind]["rounds_cpu_ms"] = [each["cpu_ms"] for each in measured]
    return found


def measure_latency(
    upstream: Running, seconds: float, *loads: tuple[Running, float, Database | None]
) -> list[tuple[dict[str, Any], float | None]]:
    """Measure the latency of programs at the same time, each at its rate, and their transactions; as `open_loops`."""
    progress(f"{', '.join(f'{program.name} at {rate:g}/s' for program, rate, _ in loads)}: open loop, {seconds:g} s")
    set_pace(upstream, _WAIT_MS, 0)
    return open_loops(loads, seconds)


def measure_litellm(program: Running, upstream: Running, sizes: Sizes) -> dict[str, Any]:
    """Measure the LiteLLM proxy, at the rate that it can answer."""
    found = measure_saturated((program,), upstream, sizes)[program.name]
    found["open_loop"] = measure_latency(upstream, _LITELLM_SECONDS, (program, _LITELLM_RATE, None))[0][0]
    set_pace(upstream, 20, _GAP_MS)
    found["first_chunk"] = first_chunks((program,), 60)[0]
    return found


class Fleet:
    """A database with its gateways: bare, without rules, budgets and limits, or with everything configured.

    Attributes:
        keys: `WORKSPACE` is the one of most loads.
    """

    def __init__(self, stack: ExitStack, server: str, upstream: Running, name: str, *, full: bool) -> None:
        self.name = name
        self.url = stack.enter_context(a_database(server))
        self.keys = configure(self.url) if full else {WORKSPACE: create_key(self.url)}
        self.database = Database(self.url)
        stack.callback(self.database.close)
        self._upstream = upstream
        self._headers = TAGS if full else {}

    def start(self, stack: ExitStack) -> Running:
        """Start its gateway."""
        key = self.keys[WORKSPACE]
        return stack.enter_context(the_gateway(self._upstream, self.url, key, name=self.name, headers=self._headers))


def measure_gateways(
    stack: ExitStack,
    upstream: Running,
    fleets: tuple[Fleet, Fleet],
    sizes: Sizes,
    results: dict[str, Any],
) -> None:
    """Measure both gateways and the pass-through in turns, and then at the same time; each finding is in `results`."""
    direct = Running("direct", upstream.pid, f"{upstream.url}/chat/completions")
    yardstick = stack.enter_context(a_pass_through(upstream))
    gateways = [each.start(stack) for each in fleets]
    databases = {each.name: each.database for each in fleets}
    time.sleep(2.0)  # at rest: the first contact with the database is over
    at_rest = {each.name: each.memory_mib() for each in gateways}
    results |= measure_saturated((yardstick, *gateways), upstream, sizes, databases)
    pair = (direct, yardstick)
    alone = measure_latency(upstream, sizes.yardstick_seconds, *((each, _RATE, None) for each in pair))
    for program, (times, _) in zip(pair, alone, strict=True):
        results.setdefault(program.name, {})["open_loop"] = times
    # The other one gets few requests meanwhile: both are measured at both rates in two loads.
    for fast, slow in (gateways, gateways[::-1]):
        loads = [(fast, _RATE, databases[fast.name]), (slow, _LOW_RATE, databases[slow.name])]
        for (program, rate, _), (times, count) in zip(
            loads, measure_latency(upstream, sizes.seconds, *loads), strict=True
        ):
            suffix = "" if rate == _RATE else f"_{rate:g}"
            results[program.name][f"open_loop{suffix}"] = times
            results[program.name].setdefault("database", {})[f"transactions_per_request{suffix}"] = count
    set_pace(upstream, 20, _GAP_MS)
    every = (*pair, *gateways)
    for program, times in zip(every, first_chunks(every, _FIRST_CHUNKS), strict=True):
        results[program.name]["first_chunk"] = times
    progress("configured: memory, spend")
    set_pace(upstream, 0, 2)
    configured, found = gateways[1], results["configured"]
    results["gateway"]["memory"] = {"at_rest_mib": round(at_rest["gateway"], 1)}
    found["memory"] = memory(configured, at_rest["configured"], sizes.memory_requests)
    set_pace(upstream, 20, 0)
    bounded = replace(configured, headers={"authorization": f"Bearer {fleets[1].keys[BOUNDED]}"})
    found["bounded"] = spend_up_to_a_limit(bounded, _BOUNDED_METER, databases["configured"], _BOUNDED_REQUESTS)
    found["budgets"] = {
        name: dict(zip(("spent", "limit"), nano, strict=True)) for name, nano in databases["configured"].spent().items()
    }


def ratios(full: dict[str, Any], bare: dict[str, Any]) -> dict[str, float | None]:
    """Return how many times the bare gateway's figures are those of the configured one: the median of the rounds' ratios."""
    found: dict[str, float | None] = {}
    for kind in ("plain", "streams"):
        pairs = zip(full[kind]["rounds_cpu_ms"], bare[kind]["rounds_cpu_ms"], strict=True)
        found[f"{kind}_cpu"] = round(statistics.median(one / other for one, other in pairs), 3)
    for kind in ("open_loop", "first_chunk"):
        one, other = full[kind]["p50_ms"], bare[kind]["p50_ms"]
        found[f"{kind}_p50"] = round(one / other, 3) if one and other else None
    for name, count in full["database"].items():
        found[name] = round(count / bare["database"][name], 2) if bare["database"][name] else None
    return found
