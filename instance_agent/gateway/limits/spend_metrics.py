"""Metrics of budgets, rate limits and the budget of exploration, read at each scrape."""

from collections.abc import Callable, Iterator
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from instance_agent.gateway.limits.admission import Admission
from instance_agent.spend.refusal import RefusalCode

_PREFIX: Final = "centralcloud_gateway_spend"
_CODES: Final[tuple[str, ...]] = get_args(RefusalCode)


class SpendMetrics(Collector):
    """Counts of reservations, of those that were refused, and of probes."""

    def __init__(self, registry: CollectorRegistry, admission: Callable[[], Admission | None]) -> None:
        """Register with `registry`."""
        self._admission = admission
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Read the counts."""
        found = self._admission()
        spender = None if found is None else found.spender
        counts = {} if spender is None else spender.counts
        yield CounterMetricFamily(
            f"{_PREFIX}_reservations",
            "Calls and requests that limits have admitted",
            value=0 if spender is None else spender.reserved,
        )
        yield CounterMetricFamily(f"{_PREFIX}_waited", "Those that waited for a lease", value=counts.get("waited", 0))
        refused = CounterMetricFamily(f"{_PREFIX}_refused", "Those that limits have refused", labels=["code"])
        for code in _CODES:
            refused.add_metric([code], counts.get(code, 0))
        yield refused
        yield CounterMetricFamily(
            f"{_PREFIX}_probes_stopped",
            "Requests that were not a probe because the budget of exploration is used up",
            value=0 if found is None else found.exploration.stopped,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_exploration_stopped",
            "Whether the budget of exploration is used up: no request is a probe",
            value=0 if found is None else found.exploration.is_stopped,
        )
