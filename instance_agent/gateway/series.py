"""Series of metrics that every request changes: plain numbers in tables, put into the form of Prometheus at a scrape.

An increment costs a tenth of that of the client library, which finds the series and takes a lock each time. There is one
writer, the event loop; a scrape copies the tables, in another thread.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_T = TypeVar("_T")
_INFINITE: Final = float("inf")


class CounterTable(Collector):
    """The series of a counter, by the values of its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        """Register with `registry`; `name` without ``_total``."""
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}
        self._created: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], amount: float = 1.0) -> None:
        """Add a number that is not negative."""
        values = self._values
        known = values.get(labels)
        if known is None:
            self._created[labels] = time.time()
            known = 0.0
        values[labels] = known + amount

    def describe(self) -> Iterator[Metric]:
        """Return the family without its series."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Return the family."""
        found = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, value in steady(self._values.copy).items():
            found.add_metric(labels, value, created=self._created[labels])
        yield found


class _Observed:
    """One series of a histogram."""

    __slots__ = ("counts", "created", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
        self.created = time.time()


class HistogramTable(Collector):
    """The series of a histogram, by the values of its labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        """Register with `registry`; `bounds`: upper ones of the buckets, rising, without the infinite one."""
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = [*bounds, _INFINITE]
        self._words = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]
        self._series: dict[tuple[str, ...], _Observed] = {}
        registry.register(self)

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        """Add a value."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Observed(len(self._bounds))
        series.counts[bisect_left(self._bounds, value)] += 1
        series.total += value

    def describe(self) -> Iterator[Metric]:
        """Return the family without its series."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Return the family."""
        found = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, series in steady(self._series.copy).items():
            counts = accumulate(series.counts.copy())
            found.add_metric(labels, list(zip(self._words, counts, strict=True)), series.total)
            named = dict(zip(self._labels, labels, strict=True))
            found.add_sample(f"{self._name}_created", named, series.created)
        yield found


def steady(read: Callable[[], _T]) -> _T:
    """Read a table that another thread changes: a change during the read is an error, and it is repeated."""
    while True:
        try:
            return read()
        except RuntimeError:
            continue
