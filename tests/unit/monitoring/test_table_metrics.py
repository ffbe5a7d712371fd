"""The metrics of the tables: a name with any character arrives as it is."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from centralcloud.monitoring.instance_lags import InstanceLag
from centralcloud.monitoring.table_metrics import (
    MOST_INSTANCES,
    MOST_PAIRS,
    PublishedScore,
    TableFigures,
    TableSnapshot,
    _metrics,
)
from centralcloud.store.queue import QueueState


def test_the_labels_of_hostile_names_are_escaped() -> None:
    hostile = 'evil\x1b[2J"} 9\ncentralcloud_score{model="forged\\'
    snapshot = TableSnapshot(
        0.0,
        QueueState(0, 0, 0, 0, None, None, 0, 0),
        TableFigures(0, None, 0),
        [InstanceLag(hostile, 1, 0, 0)],
        [PublishedScore(hostile, "simple", 2.5, 1.0)],
    )

    class Shown(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return _metrics(snapshot)

    registry = CollectorRegistry()
    registry.register(Shown())
    families = {each.name: each for each in text_string_to_metric_families(generate_latest(registry).decode())}
    assert [each.labels for each in families["centralcloud_score"].samples] == [
        {"model": hostile, "complexity": "simple"}
    ]
    assert [each.labels for each in families["centralcloud_instance_version_lag"].samples] == [{"instance_id": hostile}]


def test_the_label_sets_are_bounded_and_the_others_shown_together() -> None:
    instances = [InstanceLag(f"i-{n:05}", 10, n % 7, 0, decisions=n) for n in range(10_000)]
    scores = [PublishedScore(f"m-{n:05}", "simple", n % 2, float(n), decisions=n) for n in range(30_000)]
    snapshot = TableSnapshot(0.0, QueueState(0, 0, 0, 0, None, None, 0, 0), TableFigures(0, None, 0), instances, scores)
    families = {family.name: family.samples for family in _metrics(snapshot)}
    lags, values = families["centralcloud_instance_version_lag"], families["centralcloud_score"]
    assert (len(lags), len(values)) == (MOST_INSTANCES + 1, MOST_PAIRS + 1)
    assert (lags[0].labels, lags[-1].labels) == ({"instance_id": "i-09999"}, {"instance_id": "(other)"})
    assert lags[-1].value == 6, "the one that is furthest behind"
    assert (values[-1].labels, values[-1].value) == ({"model": "(other)", "complexity": "simple"}, 0.5)
    omitted = {each.labels["of"]: each.value for each in families["centralcloud_label_sets_omitted"]}
    assert omitted == {"instances": 10_000 - MOST_INSTANCES, "pairs": 30_000 - MOST_PAIRS}
    assert families["centralcloud_fleet_version_lag"][0].value == 6
