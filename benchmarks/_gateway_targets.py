"""The targets of the gateway, and whether a run of benchmarks/gateway.py met them."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from _gateway_loads import not_answered

_SEED_RATE: Final = 10_000
#: Share of late requests above which times say more about the machine than about the programs.
_MOST_LATE: Final = 0.01


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target with the measured value; `met` is None where it was not measured."""
    return list(_targets(results))


def _targets(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    bare, litellm = found["pass_through"], found["litellm"].get("plain", {}).get("cpu_ms")
    late = max(found[name]["open_loop"]["late"] for name in ("direct", "pass_through", "gateway", "configured"))
    for name in ("gateway", "configured"):
        for each in _of_gateway(found[name], bare, litellm):
            busy = late > _MOST_LATE and each["what"].startswith("added latency")
            yield {
                **each,
                "what": each["what"] if name == "gateway" else f"configured: {each['what']}",
                **({"met": None, "why": "the machine was too busy"} if busy else {}),
            }
    plans, memory = found["plans"], found["configured"]["memory"]
    yield _target("plan with a set that was seen, us", plans["plan_us"], "<=", 20.0)
    with_rules = max(plans[name] for name in ("rule_us", "policy_us", "learned_with_rules_us"))
    yield _target("plan with 100 rules and 10 policies, us", with_rules, "<=", 20.0)
    yield _target("plan with a new set, us", plans["new_set_us"], "<=", 500.0)
    yield _target("classifier, 20 kB, us", plans["classifier_us"], "<=", 200.0)
    yield _target("configured: memory at rest, MiB", memory["at_rest_mib"], "<=", 120.0)
    yield _target(
        f"configured: growth of memory over {memory['requests']:,} requests, MiB", memory["growth_mib"], "<=", 10.0
    )
    bounded = found["configured"]["bounded"]
    yield _target("spent at a budget that is used up, nano-USD", bounded["spent"], "<=", bounded["limit"] or 0)
    difference = None if bounded["spent"] is None else abs(bounded["spent"] - bounded["cost_of_answers"])
    yield _target("spent, less what the answers cost, nano-USD", difference, "<=", 0)
    yield _target("requests that were not answered", sum(not_answered(found).values()), "<=", 0)
    per_core = found["gateway"]["plain"]["per_core"]
    yield {
        "what": f"replicas (one core each) for {_SEED_RATE:,} requests a second",
        "value": math.ceil(_SEED_RATE / per_core) if per_core else None,
        "target": "stated",
        "met": None,
    }


def _of_gateway(gateway: dict[str, Any], bare: dict[str, Any], litellm: float | None) -> Iterator[dict[str, Any]]:
    plain, database = gateway["plain"]["cpu_ms"], gateway["database"]
    yield _target(
        "cpu of a request: times that of the bare pass-through", _ratio(plain, bare["plain"]["cpu_ms"]), "<=", 3.0
    )
    yield _target("cpu of a request: times less than the LiteLLM proxy", _ratio(litellm, plain), ">=", 20.0)
    yield _target("added latency p50, ms", gateway["added_ms"].get("p50_ms"), "<=", 2.0)
    p99 = _difference(gateway["added_ms"].get("p99_ms"), bare["added_ms"].get("p99_ms"))
    yield _target("added latency p99 beyond the pass-through's, ms", p99, "<=", 10.0)
    yield _target("cpu of a stream of 10 chunks, ms", gateway["streams"]["cpu_ms"], "<=", 0.8)
    streams = _ratio(gateway["streams"]["cpu_ms"], bare["streams"]["cpu_ms"])
    yield _target("cpu of a stream: times that of the bare pass-through", streams, "<=", 2.5)
    yield _target("first chunk p50 after the upstream's, ms", gateway["first_chunk_added_ms"].get("p50_ms"), "<=", 2.0)
    yield _target("requests a second and core", gateway["plain"]["per_core"], ">=", 1500)
    yield _target("database transactions a request, at 300/s", database["transactions_per_request"], "<=", 0.1)
    yield _target("database transactions a request, at 50/s", database["transactions_per_request_50"], "<=", 0.1)


def _target(what: str, value: float | None, sign: str, limit: float) -> dict[str, Any]:
    compare: Callable[[float], bool] = (lambda v: v <= limit) if sign == "<=" else (lambda v: v >= limit)
    return {
        "what": what,
        "value": value,
        "target": f"{sign} {limit:g}",
        "met": None if value is None else compare(value),
    }


def _ratio(value: float | None, other: float | None) -> float | None:
    return round(value / other, 2) if value is not None and other else None


def _difference(value: float | None, other: float | None) -> float | None:
    return round(value - other, 3) if value is not None and other is not None else None
