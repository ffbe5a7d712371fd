"""The parts of a running gateway, as its handlers use them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from instance_agent.execution.executor import Executor
from instance_agent.execution.response_cache import CacheSettings, ResponseCache
from instance_agent.execution.same_request import SameRequests
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.target_health import TargetHealth
from instance_agent.execution.walk import WalkSettings
from instance_agent.gateway.auth import KnownSenders
from instance_agent.gateway.events import EventSink
from instance_agent.gateway.expectations import Measured
from instance_agent.gateway.fleet_health import FleetHealth
from instance_agent.gateway.hooks import Hooks
from instance_agent.gateway.limits.admission import Admission
from instance_agent.gateway.metrics import GatewayMetrics
from instance_agent.gateway.principals.outside import OutsidePrincipals
from instance_agent.gateway.resolver import GuardedResolver
from instance_agent.gateway.shared_answer import SharedAnswer
from instance_agent.gateway.state import GatewayState
from instance_agent.gateway.turn_records import TurnRecords
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.transport import Transport
from instance_agent.routing.planner import Planner
from instance_agent.settings import GatewaySettings
from instance_agent.spend.exchange import SpendExchange
from instance_agent.spend.spender import Spender
from instance_agent.sync.health_exchange import HealthExchange

#: Where the application keeps the parts.
KEY: Final = "gateway_parts"


class GatewayParts:
    """The parts that handlers need. Created in the gateway's event loop, and used by it alone.

    Attributes:
        state: the newest state; a request takes it once.
        draining: no new requests. cutting: running ones are ended.
        keys_unknown: returns why the keys of clients cannot be checked, None when they can.
        daemon_silent: returns whether the daemon that watches experiments was not seen for too long: no treatments then.
        cache: of whole answers; None: it is off.
        records: of attempts; an answer leaves once they are handed over.
        fleet_health: what gateways say to each other about targets.
        local_failures: of local models in a row, for policies that try them first.
        admission: budgets and rate limits.
        hooks: around requests of models; None: none is installed.
        outside: finds principals that have no key; None: there are none.
        health, breakers, planner, executor, calls, metrics, senders, settings: as their names say.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        planner: Planner,
        sink: EventSink,
        metrics: GatewayMetrics,
        state: GatewayState,
        spend: SpendExchange,
        exchange: HealthExchange | None = None,
        outside: OutsidePrincipals | None = None,
    ) -> None:
        self.settings = settings
        self.planner = planner
        self.metrics = metrics
        self.origins = frozenset(each.strip() for each in settings.gateway_cors_origins.split(",") if each.strip())
        self.clock: Callable[[], float] = asyncio.get_running_loop().time
        self.senders = KnownSenders()
        self.outside = outside
        self.hooks: Hooks | None = None
        self.resolver = GuardedResolver(private=settings.gateway_private_endpoints)
        self.transport = Transport(ca_file=settings.gateway_ca_file, resolver=self.resolver)
        self.calls = ProviderCalls(self.transport)
        self.fleet_health = FleetHealth(exchange, settings.instance_id, self.clock)
        self.breakers = self.fleet_health.breakers
        self.health = TargetHealth(self.breakers)
        self.local_failures = sink.local_failures
        sink.on_measured = self._measured
        self.cache = _cache_of(settings)
        self.in_flight: set[asyncio.Task[object]] = set()
        self.records = TurnRecords(sink, is_busy=lambda: len(self.in_flight) > 1)
        self.executor = Executor(
            self.calls,
            self.breakers,
            self.records,
            ExecutionSettings(
                walk=WalkSettings(
                    max_attempts=settings.gateway_max_attempts, deadline_seconds=settings.gateway_deadline_seconds
                ),
                keep_alive_seconds=settings.gateway_keep_alive_seconds or None,
            ),
            cache=self.cache,
        )
        self.same: SameRequests[SharedAnswer] = SameRequests(clock=self.clock, size_of=lambda each: len(each.body))
        metrics.in_flight.set_function(lambda: len(self.in_flight))
        self.idle = asyncio.Event()
        self.idle.set()
        self.draining = False
        self.cutting = False
        self._tasks: list[asyncio.Task[None]] = []
        self.keys_unknown: Callable[[GatewayState], str | None] = lambda _state: None
        self.daemon_silent: Callable[[], bool] = lambda: False
        self._posted: frozenset[str] = frozenset()
        self.state = state
        self.admission = Admission(Spender(spend), state)
        self.resolver.registered = state.registered_hosts
        self.fleet_health.use(state)
        self._post_health(state)

    def use(self, state: GatewayState) -> None:
        """Use another state for the requests from now on, unless a newer one is used already."""
        if state.number < self.state.number:
            return
        if state.targets is not self.state.targets:
            self.fleet_health.use(state)
        self.admission.use(state)
        self.state = state
        self.resolver.registered = state.registered_hosts
        self._post_health(state)

    def enter(self, task: "asyncio.Task[object]") -> None:
        """Count a request that begins."""
        self.in_flight.add(task)
        self.idle.clear()

    def leave(self, task: "asyncio.Task[object]") -> None:
        """Count a request that has ended."""
        self.in_flight.discard(task)
        if not self.in_flight:
            self.idle.set()

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work of the gateway's own until `close`."""
        self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        """End the work of the gateway's own, and close the connections to upstreams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.records.hand_over()
        await self.transport.close()

    def _measured(self, measured: Measured, state: GatewayState) -> None:
        """Use what the answers of late say: plans see it only where a requirement or a limit needs it."""
        rules = state.rules
        self.health.measure(
            measured.latency_ms if rules.has_latency else {}, measured.output_tokens if rules.has_cost_limits else {}
        )
        self.admission.output_tokens = measured.all_output_tokens

    def _post_health(self, state: GatewayState) -> None:
        """Take over the health that was posted for models; a report counts until it expires."""
        now = time.monotonic()  # that of the reports; `clock` may be another one
        posted = set()
        for name, health in state.fleet.health.items():
            if health.report.status == "unhealthy" and health.expires_at > now:
                posted.add(name)
                self.health.post(name, "reported as unhealthy", self.clock() + health.expires_at - now)
        for name in self._posted - posted:
            self.health.post(name, None)
        self._posted = frozenset(posted)


def _cache_of(settings: GatewaySettings) -> ResponseCache | None:
    if not settings.gateway_cache_bytes:
        return None
    return ResponseCache(
        CacheSettings(
            max_bytes=settings.gateway_cache_bytes,
            seconds=settings.gateway_cache_seconds,
            any_temperature=settings.gateway_cache_any_temperature,
        )
    )
