"""What this process has ingested, as Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from centralcloud.ingest.batch_ingest import BatchResult


class IngestMetrics:
    """Counters of the messages that the consumers of this process have taken off the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = {
            "records": Counter("centralcloud_events_ingested", "Routing events taken in", registry=registry),
            "duplicates": Counter(
                "centralcloud_events_duplicate", "Resends and second outcomes of a decision", registry=registry
            ),
            "dead_letters": Counter(
                "centralcloud_events_dead_lettered", "Messages put aside as dead letters", registry=registry
            ),
        }
        self._seconds = Histogram(
            "centralcloud_batch_duration_seconds", "Duration of one ingest transaction", registry=registry
        )
        self._size = Histogram(
            "centralcloud_batch_size",
            "Messages in one ingest transaction",
            buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10000),
            registry=registry,
        )
        self._lag = Gauge(
            "centralcloud_ingest_lag_seconds",
            "From sending to taking in, of the oldest message of the newest batch",
            registry=registry,
        )

    def add(self, result: BatchResult, seconds: float) -> None:
        """Count one settled batch that took `seconds`."""
        for name, count in result._asdict().items():
            self._results[name].inc(count)
        self._seconds.observe(seconds)
        self._size.observe(result.messages)

    def lag(self, seconds: float) -> None:
        """The oldest message of a batch was taken off the queue so long after it was sent."""
        self._lag.set(seconds)
