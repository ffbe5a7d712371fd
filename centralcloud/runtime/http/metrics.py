"""What both programs show at /metrics: the version, the process, its database, and figures read at the moment of asking."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from centralcloud import __version__
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener

_Family: TypeAlias = type[GaugeMetricFamily] | type[CounterMetricFamily]


class CallbackMetrics(Collector):
    """Metrics whose values are kept elsewhere: each is read when the metrics are asked for."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        """Every name begins with `prefix` and an underscore."""
        self._prefix: Final = prefix
        self._metrics: list[tuple[_Family, str, str, Callable[[], float]]] = []
        registry.register(self)

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show what may rise and fall."""
        self._metrics.append((GaugeMetricFamily, name, documentation, read))

    def counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show what only rises while the process lives; on the wire its name ends in `_total`."""
        self._metrics.append((CounterMetricFamily, name, documentation, read))

    def collect(self) -> Iterator[Metric]:
        """Read them all."""
        for family, name, documentation, read in self._metrics:
            yield family(f"{self._prefix}_{name}", documentation, value=float(read()))


def show_program(registry: CollectorRegistry, prefix: str, database: Database) -> CallbackMetrics:
    """Show the version, the process (memory, CPU, open files) and whether its database is there. More may be added."""
    Info(f"{prefix}_build", "The version that runs", registry=registry).info({"version": __version__})
    ProcessCollector(registry=registry)
    readings = CallbackMetrics(registry, prefix)
    readings.gauge("database_unavailable", "1 while the database is away", lambda: database.unavailable)
    readings.counter("database_reconnects", "How often the database went away", lambda: database.outages)
    return readings


def show_listener(readings: CallbackMetrics, listener: NotificationListener) -> None:
    """Show whether notifications arrive, or polling alone finds what is new."""
    readings.gauge("notify_working", "1: notifications arrive; 0: polling only", lambda: bool(listener.working))
