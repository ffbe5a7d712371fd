"""What this process has ingested, as Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from centralcloud.ingest.settlement import Settled


class IngestStatistics:
    """Counters of the events that the consumers of this process have taken in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "centralcloud_events", "Routing events taken off the queue, by result", ["result"], registry=registry
        )
        self._batch_seconds = Histogram(
            "centralcloud_batch_seconds", "Duration of one ingest transaction", registry=registry
        )
        self._batch_messages = Histogram(
            "centralcloud_batch_messages",
            "Messages in one ingest transaction",
            buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10000),
            registry=registry,
        )
        for result in Settled._fields:
            self._events.labels(result=result)

    def add(self, settled: Settled, seconds: float) -> None:
        """Count one settled batch that took `seconds`."""
        for result, count in settled._asdict().items():
            self._events.labels(result=result).inc(count)
        self._batch_seconds.observe(seconds)
        self._batch_messages.observe(settled.messages)
