"""Metrics of the gateway. Labels are names of the catalog or fixed words, never what a client sent."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.fleet_health import FleetHealth
from instance_agent.gateway.series import CounterTable, HistogramTable, steady
from instance_agent.gateway.state import GatewayState

OTHER: Final = "other"
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_CHECK_STATES: Final = ("healthy", "unhealthy", "unknown")
_STATES: Final = ("open", "half_open", "cooling", "misconfigured")
_PREFIX: Final = "centralcloud_gateway"


class GatewayMetrics:
    """Counts requests and attempts. For the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything with `registry`."""
        labels = ("model", "provider", "status")
        self._requests = CounterTable("model_router_requests", "Requests of clients", labels, registry)
        self._duration = HistogramTable(
            "model_router_request_duration_seconds",
            "Time from a request to the end of its answer",
            ("operation",),
            _SECONDS,
            registry,
        )
        self._rule_matches = CounterTable(
            "model_router_routing_rule_matches", "Requests that a rule of routing decided", ("rule",), registry
        )
        self._attempts = CounterTable(
            f"{_PREFIX}_attempts", "Calls of providers", ("model", "provider", "end"), registry
        )
        self._first_token = HistogramTable(
            f"{_PREFIX}_first_token_seconds",
            "Time from the begin of a call to the first token of its stream",
            ("provider",),
            _SECONDS,
            registry,
        )
        target = ("model", "provider")
        self._cost = CounterTable(f"{_PREFIX}_cost_usd", "Cost of calls in USD, estimates included", target, registry)
        self._cost_unknown = Counter(
            f"{_PREFIX}_cost_unknown", "Calls with tokens whose cost is not known", target, registry=registry
        )
        self._tokens = CounterTable(
            f"{_PREFIX}_tokens", "Tokens of calls, estimates included", (*target, "kind"), registry
        )
        self._errors = Counter(
            f"{_PREFIX}_upstream_errors",
            "Failed calls by the provider's HTTP status; none: without an answer",
            ("provider", "status"),
            registry=registry,
        )
        self._refused = Counter(
            f"{_PREFIX}_refused", "Requests that were refused before they were planned", ("status",), registry=registry
        )
        self.hook_failures = Counter(
            f"{_PREFIX}_hook_failures", "Calls of hooks that failed or took too long", ("hook",), registry=registry
        )
        self.in_flight = Gauge(f"{_PREFIX}_in_flight", "Requests under way", registry=registry)

    def refused(self, status: int) -> None:
        """Count a request that was refused: 401, 403, 404, 413, 503."""
        self._refused.labels(str(status)).inc()

    def request(self, context: RequestContext, seconds: float) -> None:
        """Count a request at its end."""
        model, provider = _names(context, context.model, context.provider)
        self._requests.add((model, provider, str(context.status)))
        self._duration.observe((context.operation,), seconds)

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        """Count an attempt."""
        target = attempt.call.target.model
        model, provider = _names(context, target.name, target.provider)
        self._attempts.add((model, provider, attempt.error_kind or "success"))
        rule = context.plan.rule if attempt.number == 1 and context.plan is not None else None
        if rule is not None:
            self._rule_matches.add((rule,))
        if attempt.first_token_ms is not None:
            self._first_token.observe((provider,), attempt.first_token_ms / 1000)
        self._spend(attempt, model, provider)
        if attempt.retry is not None:
            status = str(attempt.http_status or "none")
            self._errors.labels(provider, status).inc()

    def _spend(self, attempt: Attempt, model: str, provider: str) -> None:
        usage, cost = attempt.usage, attempt.cost.nano_usd
        if cost is not None:
            self._cost.add((model, provider), cost / NANO)
        elif usage is not None:
            self._cost_unknown.labels(model, provider).inc()
        if usage is None:
            return
        tokens = self._tokens
        if usage.input_tokens:
            tokens.add((model, provider, "input"), max(0, usage.input_tokens))
        if usage.cached_tokens:
            tokens.add((model, provider, "cached_input"), max(0, usage.cached_tokens))
        if usage.output_tokens:
            tokens.add((model, provider, "output"), max(0, usage.output_tokens))


class TargetMetrics(Collector):
    """The health of models, breakers and checks, read at each scrape, in another thread than that of the breakers."""

    def __init__(
        self,
        registry: CollectorRegistry,
        health: Callable[[], FleetHealth | None],
        state: Callable[[], GatewayState | None],
        now: Callable[[], float],
    ) -> None:
        """Register with `registry`; `now` returns the time of the breakers."""
        self._health = health
        self._state = state
        self._now = now
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Read the breakers, the hints and the results of checks."""
        fleet, state, now = self._health(), self._state(), self._now()
        breakers = fleet.breakers if fleet is not None else None
        health = GaugeMetricFamily(
            "model_router_model_health_score",
            "Share of the targets of a model that may be called, 0 to 1",
            labels=["model"],
        )
        found: dict[str, list[bool]] = {}
        if state is not None and breakers is not None:
            for target in steady(state.targets.made):
                if target.model.name in state.names:
                    found.setdefault(target.model.name, []).append(breakers.unavailable(target, now) is None)
        for name, usable in sorted(found.items()):
            health.add_metric([name], sum(usable) / len(usable))
        yield health
        states = GaugeMetricFamily(f"{_PREFIX}_breakers", "Breakers that are not closed, by state", labels=["state"])
        counts = dict.fromkeys(_STATES, 0)
        if breakers is not None:
            for word in steady(lambda: breakers.states(now)).values():
                counts[word] += 1
        for name, count in counts.items():
            states.add_metric([name], count)
        yield states
        suspected = 0 if breakers is None else steady(lambda: breakers.suspected_count(now))
        yield GaugeMetricFamily(
            f"{_PREFIX}_suspected_targets", "Breakers about which a hint of another gateway counts", value=suspected
        )
        yield from _checks(fleet, now)
        yield from _probes(fleet)


def _checks(fleet: FleetHealth | None, now: float) -> Iterator[Metric]:
    found = GaugeMetricFamily(
        f"{_PREFIX}_health_checks", "Endpoints by the newest result of their check", labels=["provider", "result"]
    )
    counts: dict[tuple[str, str], int] = {}
    if fleet is not None:
        checks = fleet.targets.checks
        for provider in {each.upstream.provider for each in checks.values()}:
            counts |= {(provider, state): 0 for state in _CHECK_STATES}
        for key, result in steady(lambda: list(fleet.checked.items())):
            if key in checks and now < result.until:
                counts[checks[key].upstream.provider, result.state] += 1
    for labels, count in sorted(counts.items()):
        found.add_metric(labels, count)
    yield found


def _probes(fleet: FleetHealth | None) -> Iterator[Metric]:
    found = CounterMetricFamily(
        f"{_PREFIX}_probe_leases", "Leases on probes of half-open breakers, by answer", labels=["answer"]
    )
    for answer in ("held", "refused", "unanswered"):
        found.add_metric([answer], getattr(fleet.leases, answer) if fleet is not None else 0)
    yield found


def _names(context: RequestContext, model: str | None, provider: str | None) -> tuple[str, str]:
    """Return labels: a name that is not of the catalog was made up by a client."""
    if model is None or model not in context.state.names:
        model = OTHER
    if provider is None or context.state.catalog.configuration is None:
        return model, OTHER
    return model, provider if provider in context.state.catalog.configuration.providers else OTHER
