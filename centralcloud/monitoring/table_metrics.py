"""What the tables say about the fleet, as Prometheus metrics: looked at by one replica at a time."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg.rows import dict_row

from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.leases import acquire_lease, release_lease

_QUEUE = Query("centralcloud.store", "queue_state")
_INSTANCES = Query(__package__, "instance_lags")
_SCORES = Query(__package__, "published_score_ages")
_TABLES = Query(__package__, "table_figures")
_HIDDEN_SNAPSHOTS = Query(__package__, "hidden_snapshots")
_LEASE: Final = "observation"


#: By the values of the labels.
_Values = Mapping[tuple[str, ...], float | None]


class TableSnapshot(NamedTuple):
    """What was seen at one moment; `at` by the clock of `time.monotonic`."""

    at: float
    queue: dict[str, Any]
    tables: dict[str, Any]
    instances: list[dict[str, Any]]
    scores: list[tuple[str, str, float, float]]


class TableMetricsCollector(BackgroundTask):
    """Looks at the tables now and then: the replica that holds the lease. The others show nothing of what it sees."""

    def __init__(
        self, database: Database, *, interval_seconds: float, registry: CollectorRegistry | None = None
    ) -> None:
        super().__init__("observer", database, interval_seconds=interval_seconds)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._seen: TableSnapshot | None = None
        self._hidden_since: dict[str, float] = {}
        self._valid_seconds = 3 * interval_seconds
        if registry is not None:
            registry.register(_TableMetrics(self))

    @property
    def seen(self) -> TableSnapshot | None:
        """The last observation, if it was ours and is not out of date."""
        seen = self._seen
        return seen if seen is not None and time.monotonic() - seen.at < self._valid_seconds else None

    def run_once(self) -> bool:
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            if not acquire_lease(connection, _LEASE, seconds=self._valid_seconds):
                self._seen = None
                return False
            with connection.cursor(row_factory=dict_row) as cursor:
                queue, tables = cursor.execute(_QUEUE.text).fetchone(), cursor.execute(_TABLES.text).fetchone()
                instances = cursor.execute(_INSTANCES.text).fetchall()
            assert queue is not None
            assert tables is not None
            scores = connection.execute(_SCORES.text).fetchall()
            hidden = [row[0] for row in connection.execute(_HIDDEN_SNAPSHOTS.text).fetchall()]
            tables["oldest_snapshot_age_seconds"] = max(
                tables["oldest_snapshot_age_seconds"], self._seconds_seen(hidden)
            )
            self._seen = TableSnapshot(time.monotonic(), queue, tables, instances, scores)
        return False

    def on_stop(self) -> None:
        release_lease(self.database, _LEASE)

    def _seconds_seen(self, snapshots: list[str]) -> float:
        """For how long the oldest of these has been there, as far as we have seen: the server does not tell this role."""
        now = time.monotonic()
        self._hidden_since = {each: self._hidden_since.get(each, now) for each in snapshots}
        return now - min(self._hidden_since.values(), default=now)


#: Names, less the prefix, and where the figure is found in the queue's state, or among those of the tables.
_OF_QUEUE: Final = {
    "queue_visible": ("Messages that could be taken in now", "visible"),
    "queue_in_flight": ("Messages leased, or to be attempted again later", "in_flight"),
    "queue_oldest_claimable_age_seconds": (
        "Age of the oldest message, 0 when the queue is empty",
        "oldest_age_seconds",
    ),
    "queue_bytes": ("Size of the queue on disk, indexes and dead rows included", "bytes_on_disk"),
    "queue_dead_tuples": ("Dead rows in the queue, estimated", "dead_rows"),
}
_OF_TABLES: Final = {
    "dead_letters_open": ("Dead letters that were neither replayed nor discarded", "dead_letters_open"),
    "outcomes_success_rate": ("Success rate of the fleet over the newest hour, 0 to 1", "success_rate"),
    "oldest_snapshot_age_seconds": ("Age of the oldest snapshot of a client", "oldest_snapshot_age_seconds"),
}


class _TableMetrics(Collector):
    def __init__(self, observer: TableMetricsCollector) -> None:
        self._observer = observer

    def describe(self) -> Iterable[Metric]:
        return self._metrics(None)

    def collect(self) -> Iterable[Metric]:
        return self._metrics(seen) if (seen := self._observer.seen) is not None else ()

    def _metrics(self, seen: TableSnapshot | None) -> Iterator[Metric]:
        """The families, with what was seen; empty ones for None."""
        for figures, names in ((seen and seen.queue, _OF_QUEUE), (seen and seen.tables, _OF_TABLES)):
            for name, (text, key) in names.items():
                yield _gauge(name, text, {(): figures[key]} if figures else {})
        instances, scores = (seen.instances, seen.scores) if seen else ([], [])
        lags: _Values = {(row["instance_id"],): row["version_lag"] for row in instances}
        applied: _Values = {(row["instance_id"],): row["applied_version"] for row in instances}
        furthest: _Values = {(): max((row["version_lag"] for row in instances), default=0)} if seen else {}
        yield _gauge("fleet_version_lag", "Versions that the furthest instance is behind", furthest)
        yield _gauge("instance_applied_version", "Newest version it has applied", applied, ["instance_id"])
        yield _gauge("instance_version_lag", "Versions that it is behind", lags, ["instance_id"])
        pair = ["model", "complexity"]
        yield _gauge("score", "Published score, 0 to 5", {row[:2]: row[2] for row in scores}, pair)
        yield _gauge("score_age_seconds", "Time since it was published", {row[:2]: row[3] for row in scores}, pair)


def _gauge(name: str, text: str, values: _Values, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """A value of None is left out, but an age of nothing is 0."""
    family = GaugeMetricFamily(f"centralcloud_{name}", text, labels=labels)
    for of, value in values.items():
        if value is not None or name.startswith("queue_"):
            family.add_metric(of, value or 0)
    return family
