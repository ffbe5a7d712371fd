"""The metrics of the tables: a name with any character arrives as it is."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from centralcloud.monitoring.instance_lags import InstanceLag
from centralcloud.monitoring.table_metrics import PublishedScore, TableFigures, TableSnapshot, _metrics
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
