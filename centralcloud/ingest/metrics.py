"""Prometheus metrics of the messages that this process has ingested."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from centralcloud.ingest.batch_ingest import BatchResult


class IngestMetrics:
    """Counts and durations of the batches that the consumers of this process have ingested."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = {
            "records": Counter("centralcloud_events_ingested", "Routing events ingested", registry=registry),
            "duplicates": Counter(
                "centralcloud_events_duplicate", "Resends and second outcomes of a decision", registry=registry
            ),
            "dead_letters": Counter(
                "centralcloud_events_dead_lettered", "Messages that became dead letters", registry=registry
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
        self._bytes = Histogram(
            "centralcloud_batch_bytes",
            "Size of the messages in one ingest transaction",
            buckets=(1e3, 1e4, 1e5, 1e6, 2e6, 4e6, 8e6, 16e6, 64e6),
            registry=registry,
        )
        self._cuts = Counter(
            "centralcloud_batch_cuts",
            "Batches that were repeated with fewer messages",
            labelnames=["reason"],
            registry=registry,
        )
        for reason in ("bytes", "memory", "refused"):
            self._cuts.labels(reason)
        self._lag = Gauge(
            "centralcloud_ingest_lag_seconds",
            "Time from sending to ingestion of the oldest message of the newest batch",
            registry=registry,
        )

    def add(self, result: BatchResult, seconds: float) -> None:
        """Count one ingested batch that took `seconds`."""
        for name, count in result._asdict().items():
            self._results[name].inc(count)
        self._seconds.observe(seconds)
        self._size.observe(result.messages)

    def lag(self, seconds: float) -> None:
        """Record the age of the oldest message of a batch, in seconds, when the batch was read."""
        self._lag.set(seconds)

    def bytes(self, size: int) -> None:
        """Record the size of the messages of a batch."""
        self._bytes.observe(size)

    def cut(self, reason: str) -> None:
        """Count a batch that is repeated with fewer messages. `reason`: ``bytes``, ``memory`` or ``refused``."""
        self._cuts.labels(reason).inc()
