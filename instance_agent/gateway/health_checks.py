"""Active health checks: GET of the address that an endpoint names for that. Never a completion, and nothing that is billed.

One gateway checks for all: the one that has the lease of a check. Results reach the others by the database. A check that
fails only demotes its targets, and a gateway's own calls weigh more: the checker's network may be the one that is broken.
"""

import asyncio
import random
from typing import Final

from msgspec.structs import replace

from centralcloud.runtime.logs import get_logger
from instance_agent.gateway.fleet_health import CheckState, FleetHealth
from instance_agent.gateway.fleet_targets import Check
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.upstream import Limits

log = get_logger(__name__)

#: Checks under way at once.
_AT_ONCE: Final = 16
#: How long the answer about a lease is waited for; without one, this gateway checks for itself.
_LEASE_SECONDS: Final = 1.0
#: A result counts for so many intervals: one late check, or one gateway that ends, loses nothing.
_COUNTS_INTERVALS: Final = 2.5
_HOLD_INTERVALS: Final = 1.5


async def check_health(calls: ProviderCalls, health: FleetHealth, *, seconds: float, timeout_seconds: float) -> None:
    """Check every endpoint that has an address for it, again and again, `seconds` apart."""
    limits = Limits(connect=timeout_seconds, first_byte=timeout_seconds, idle=timeout_seconds, total=timeout_seconds)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(check: Check) -> None:
        async with slots:
            state, reason = await _check(calls, check, limits)
        known = health.checked.get(check.key)
        if state == "unhealthy" and (known is None or known.state != state):
            log.warning("health_check_failed", provider=check.upstream.provider, url=_shown(check.url), reason=reason)
        elif state == "healthy" and known is not None and known.state == "unhealthy":
            log.info("health_check_restored", provider=check.upstream.provider, url=_shown(check.url))
        health.record_check(check, state, reason, _COUNTS_INTERVALS * seconds + timeout_seconds)

    while True:
        checks = list(health.targets.checks.values())
        if checks:
            mine = await health.claim_checks(checks, _HOLD_INTERVALS * seconds + timeout_seconds, _LEASE_SECONDS)
            await asyncio.gather(*(one(check) for check in mine))
        # Gateways that started together do not stay together.
        await asyncio.sleep(seconds * random.uniform(0.9, 1.1))


async def _check(calls: ProviderCalls, check: Check, limits: Limits) -> tuple[CheckState, str | None]:
    """Return the state, and why it is not healthy.

    An error of the caller's making (4xx) says nothing about the endpoint's work: the address may need other rights.
    """
    upstream = replace(check.upstream, limits=limits)
    try:
        status = await calls.probe(upstream, check.url, with_key=check.sends_key)
    except ProviderError as error:
        phase = f"no answer within {limits.total:g} s" if error.phase else "no answer"
        return "unhealthy", phase
    except Exception as error:  # noqa: BLE001 - a dialect may be foreign code, and the other checks go on
        log.error("health_check_broken", provider=check.upstream.provider, url=_shown(check.url), error=repr(error))
        return "unknown", type(error).__name__
    if 200 <= status < 300:
        return "healthy", None
    return ("unhealthy" if status >= 500 else "unknown"), f"HTTP {status}"


def _shown(url: str) -> str:
    """Return an address without its query, which may hold a key."""
    return url.partition("?")[0]
