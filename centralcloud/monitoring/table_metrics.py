"""Prometheus metrics of the database's tables, read by one replica at a time."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from centralcloud.contracts.limits import COMPLEXITIES, OTHER
from centralcloud.monitoring.experiment_metrics import ExperimentSnapshot, VerdictCounts, experiment_metrics
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.hidden_snapshots import read_hidden_snapshots
from centralcloud.monitoring.input_rules import IgnoredField
from centralcloud.monitoring.instance_lags import InstanceLag, read_instance_lags
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.leases import acquire_lease, release_lease
from centralcloud.store.queue import QueueState, read_queue_state

#: The name that workers of earlier revisions use, so that one replica of both collects.
_LEASE: Final = "observation"

#: Instances, and pairs, that have values of their own: those with the most traffic. The others are shown together as
#: `OTHER`. A server of metrics keeps every label set for weeks, and one login could make any number of them.
MOST_INSTANCES: Final = 500
MOST_PAIRS: Final = 500
#: Values by the values of their labels; None where nothing is known.
_Values = Mapping[tuple[str, ...], float | None]


class TableFigures(NamedTuple):
    """Single figures over whole tables.

    Attributes:
        dead_letters_open: dead letters that were neither replayed nor discarded.
        success_rate: of the fleet over the newest hour, 0 to 1; None without outcomes.
        oldest_snapshot_age_seconds: age of the oldest transaction of a client that holds a snapshot, in seconds.
    """

    dead_letters_open: float
    success_rate: float | None
    oldest_snapshot_age_seconds: float


class PublishedScore(NamedTuple):
    """A published score (0 to 5), the time since it was published in seconds, and the decisions of the pair so far."""

    model: str
    complexity: str
    score: float
    age_seconds: float
    decisions: int = 0


class TableSnapshot(NamedTuple):
    """The state of the tables at one moment; `at` is in seconds of `time.monotonic`."""

    at: float
    queue: QueueState
    figures: TableFigures
    instances: list[InstanceLag]
    scores: list[PublishedScore]
    ignored: Sequence[IgnoredField] = ()
    experiments: ExperimentSnapshot = ExperimentSnapshot()


_TABLE_FIGURES = Query(__package__, "table_figures", row=TableFigures)
_RECENT_IGNORED_VALUES = Query(__package__, "recent_ignored_values", row=IgnoredField)
_PUBLISHED_SCORE_AGES = Query(__package__, "published_score_ages", row=PublishedScore)


class TableMetricsCollector(BackgroundTask):
    """Reads the tables at an interval, in the replica that holds the lease. The other replicas show no such metrics."""

    def __init__(
        self, database: Database, *, interval_seconds: float, registry: CollectorRegistry | None = None
    ) -> None:
        super().__init__("table-metrics", database, interval_seconds=interval_seconds)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._snapshot: TableSnapshot | None = None
        self._hidden_since: dict[str, float] = {}
        self._verdicts = VerdictCounts()
        self._valid_seconds = 3 * interval_seconds
        if registry is not None:
            registry.register(_TableMetrics(self))

    @property
    def snapshot(self) -> TableSnapshot | None:
        """The last snapshot that this replica has read, while it is not older than three intervals."""
        snapshot = self._snapshot
        return snapshot if snapshot and time.monotonic() - snapshot.at < self._valid_seconds else None

    def run_once(self) -> bool:
        """Read the tables once, if this replica has or gets the lease."""
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            if not acquire_lease(connection, _LEASE, seconds=self._valid_seconds):
                self._snapshot = None
                return False
            queue = read_queue_state(connection)
            figures = _TABLE_FIGURES.one(connection)
            instances = read_instance_lags(connection)
            scores = _PUBLISHED_SCORE_AGES.all(connection)
            ignored = _RECENT_IGNORED_VALUES.all(connection)
            experiments = ExperimentSnapshot(read_experiment_states(connection), self._verdicts.read(connection))
            hidden_seconds = self._seconds_held(read_hidden_snapshots(connection))
        oldest = max(figures.oldest_snapshot_age_seconds, hidden_seconds)
        figures = figures._replace(oldest_snapshot_age_seconds=oldest)
        self._snapshot = TableSnapshot(time.monotonic(), queue, figures, instances, scores, ignored, experiments)
        return False

    def on_stop(self) -> None:
        """Release the lease."""
        release_lease(self.database, _LEASE)

    def _seconds_held(self, snapshots: Iterable[str]) -> float:
        """How long the oldest of these has been held at least: since this task first saw it. The server hides its age."""
        now = time.monotonic()
        self._hidden_since = {each: self._hidden_since.get(each, now) for each in snapshots}
        return now - min(self._hidden_since.values(), default=now)


#: Names without the prefix, help texts, and the fields of `QueueState` that are shown; None is shown as 0.
_QUEUE_METRICS: Final = {
    "queue_visible": ("Messages that can be ingested now", "visible"),
    "queue_in_flight": ("Messages that are leased, or that are to be attempted again later", "in_flight"),
    "queue_delayed": ("Messages that were sent with a delay that is not over", "delayed"),
    "queue_oldest_claimable_age_seconds": (
        "Time for which the oldest message that is not delayed has waited, 0 without one",
        "oldest_waiting_seconds",
    ),
    "queue_bytes": ("Size of the queue on disk, indexes and dead rows included", "bytes_on_disk"),
    "queue_dead_tuples": ("Dead rows in the queue, estimated", "dead_rows"),
}
#: As above, for the fields of `TableFigures`; None is not shown.
_FIGURE_METRICS: Final = {
    "dead_letters_open": ("Dead letters that were neither replayed nor discarded", "dead_letters_open"),
    "outcomes_success_rate": ("Success rate of the fleet over the newest hour, 0 to 1", "success_rate"),
    "oldest_snapshot_age_seconds": ("Age of the oldest snapshot of a client", "oldest_snapshot_age_seconds"),
}


class _TableMetrics(Collector):
    def __init__(self, collector: TableMetricsCollector) -> None:
        self._collector = collector

    def describe(self) -> Iterable[Metric]:
        return _metrics(None)

    def collect(self) -> Iterable[Metric]:
        return _metrics(snapshot) if (snapshot := self._collector.snapshot) is not None else ()


def _metrics(snapshot: TableSnapshot | None) -> Iterator[Metric]:
    """The metric families with the values of `snapshot`; without values for None."""
    for name, (text, field) in _QUEUE_METRICS.items():
        yield _gauge(name, text, {(): getattr(snapshot.queue, field) or 0} if snapshot else {})
    for name, (text, field) in _FIGURE_METRICS.items():
        yield _gauge(name, text, {(): getattr(snapshot.figures, field)} if snapshot else {})
    instances, scores, ignored = (snapshot.instances, snapshot.scores, snapshot.ignored) if snapshot else ([], [], [])
    largest_lag: _Values = {(): max((each.version_lag for each in instances), default=0)} if snapshot else {}
    omitted: _Values = {}
    if snapshot:
        omitted = {
            ("instances",): max(0, len(instances) - MOST_INSTANCES),
            ("pairs",): max(0, len(scores) - MOST_PAIRS),
        }
        instances, scores = _limit_instances(instances), _limit_scores(scores)
    applied: _Values = {(each.instance_id,): each.applied_version for each in instances}
    lags: _Values = {(each.instance_id,): each.version_lag for each in instances}
    values: _Values = {(each.model, each.complexity): each.score for each in scores}
    ages: _Values = {(each.model, each.complexity): each.age_seconds for each in scores}
    messages: _Values = {(each.field,): each.messages for each in ignored}
    pair = ["model", "complexity"]
    yield _gauge("fleet_version_lag", "Versions that the slowest instance is behind", largest_lag)
    yield _gauge("instance_applied_version", "Newest score version that the instance applied", applied, ["instance_id"])
    yield _gauge("instance_version_lag", "Score versions that the instance is behind", lags, ["instance_id"])
    yield _gauge("score", "Published score, 0 to 5", values, pair)
    yield _gauge("score_age_seconds", "Time since the score was published", ages, pair)
    yield _gauge(
        "label_sets_omitted",
        "Instances or pairs that metrics show together as (other)",
        omitted,
        ["of"],
    )
    text = "Messages of the last 24 hours with a value for the field that was ignored"
    yield _gauge("values_ignored", text, messages, ["field"])
    yield from experiment_metrics(snapshot.experiments if snapshot else None)


def _limit_instances(instances: list[InstanceLag]) -> list[InstanceLag]:
    """Return the instances with the most decisions, and one that stands for the others: the one that is furthest behind."""
    if len(instances) <= MOST_INSTANCES:
        return instances
    by_traffic = sorted(instances, key=lambda each: (-each.decisions, each.instance_id))
    others = by_traffic[MOST_INSTANCES:]
    other = max(others, key=lambda each: each.version_lag)
    return [*by_traffic[:MOST_INSTANCES], other._replace(instance_id=OTHER)]


def _limit_scores(scores: list[PublishedScore]) -> list[PublishedScore]:
    """Return the pairs with the most decisions, and one a complexity that stands for the others.

    Its score is their mean, its age the greatest.
    """
    scores = [each for each in scores if each.model != OTHER]
    if len(scores) <= MOST_PAIRS:
        return scores
    by_traffic = sorted(scores, key=lambda each: (-each.decisions, each.model, each.complexity))
    shown = by_traffic[:MOST_PAIRS]
    for complexity in COMPLEXITIES:
        if others := [each for each in by_traffic[MOST_PAIRS:] if each.complexity == complexity]:
            mean = sum(each.score for each in others) / len(others)
            oldest = max(each.age_seconds for each in others)
            shown.append(PublishedScore(OTHER, complexity, mean, oldest))
    return shown


def _gauge(name: str, text: str, values: _Values, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"centralcloud_{name}", text, labels=labels)
    for label_values, value in values.items():
        if value is not None:
            family.add_metric(label_values, value)
    return family
