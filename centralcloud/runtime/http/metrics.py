"""Metrics that both programs show: version, process, database, and values that are read at each scrape."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from centralcloud import __version__
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener

_Family: TypeAlias = type[GaugeMetricFamily] | type[CounterMetricFamily]


class CallbackMetrics(Collector):
    """Metrics whose values are kept elsewhere: a function reads each of them at every scrape."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        """Register with `registry`; every name begins with `prefix` and an underscore."""
        self._prefix: Final = prefix
        self._metrics: list[tuple[_Family, str, str, Callable[[], float]]] = []
        registry.register(self)

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a value that may rise and fall."""
        self._metrics.append((GaugeMetricFamily, name, documentation, read))

    def counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a value that only rises while the process runs; on the wire its name ends in `_total`."""
        self._metrics.append((CounterMetricFamily, name, documentation, read))

    def collect(self) -> Iterator[Metric]:
        """Read every value."""
        for family, name, documentation, read in self._metrics:
            yield family(f"{self._prefix}_{name}", documentation, value=float(read()))


class _Build(Collector):
    """The version. Not an `Info`: it does not start where the process of a router collects its metrics over processes."""

    def __init__(self, prefix: str) -> None:
        self._name = f"{prefix}_build"

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(self._name, "Version of the program", value={"version": __version__})


def show_program(registry: CollectorRegistry, prefix: str, database: Database) -> CallbackMetrics:
    """Show the version, the process (memory, CPU, open files) and the state of its database. The caller may add more."""
    registry.register(_Build(prefix))
    ProcessCollector(registry=registry)
    metrics = CallbackMetrics(registry, prefix)
    metrics.gauge("database_up", "1: the database works; 0: it is unavailable", lambda: not database.unavailable)
    metrics.counter("database_outages", "Outages of the database since the start", lambda: database.outages)
    return metrics


def show_listener(metrics: CallbackMetrics, listener: NotificationListener) -> None:
    """Show whether notifications arrive or the program only polls."""
    metrics.gauge("notify_up", "1: notifications arrive; 0: polling only", lambda: bool(listener.working))
