"""The metrics at /metrics: every name is documented, and one replica at a time shows those of the tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.events import an_event, outcomes, send
from support.repository import REPOSITORY
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud import __version__
from centralcloud.daemon import Daemon
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.settings import Settings
from instance_agent import AgentSettings, InstanceAgent
from instance_agent.gateway_program import GatewayProgram
from instance_agent.settings import GatewaySettings

_PAGE = REPOSITORY / "docs/reference/metrics.md"


@pytest.fixture
def daemon(database: Database, database_url: str) -> Iterator[Daemon]:
    settings = Settings(database_url=database_url, table_metrics_interval_seconds=0.2, poll_interval_seconds=0.1)
    daemon = Daemon(settings, database)
    daemon.start()
    # Its first run of the learner must not find the outcomes of a test: it would publish a version beside those of the test.
    eventually(lambda: execute(database_url, "SELECT 1 FROM learning_runs"), what="the first run of the learner")
    yield daemon
    daemon.stop()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_every_metric_is_documented_with_its_type(daemon: Daemon, database_url: str, tmp_path: Path) -> None:
    send(database_url, outcomes(100, 0))
    eventually(lambda: value(daemon.registry, "centralcloud_events_ingested_total") == 100)
    Learner(daemon._database, [AdaptiveRule()]).learn()
    eventually(lambda: value(daemon.registry, "centralcloud_score", model="gpt-4o", complexity="complex"))
    agent = InstanceAgent(AgentSettings(database_url=database_url, state_dir=tmp_path))
    gateway = GatewayProgram(GatewaySettings(database_url=database_url, state_dir=tmp_path), Shutdown())
    documented = dict(re.findall(r"^\| `(\w+)` \| (gauge|counter|info|histogram)", _PAGE.read_text(), re.MULTILINE))
    shown = {
        family.name: family.type
        for registry in (daemon.registry, agent._registry(), gateway._registry())
        for family in registry.collect()
        if not family.name.startswith("process_")
    }
    assert shown == documented


def test_the_metrics_are_those_of_the_tables(daemon: Daemon, database: Database, database_url: str) -> None:
    send(database_url, [*outcomes(60, 40), an_event(decision_id="d"), an_event(decision_id="d"), {"no": "event"}])
    registry = daemon.registry
    eventually(lambda: value(registry, "centralcloud_events_dead_lettered_total") == 1)
    Learner(database, [AdaptiveRule()]).learn()
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', 1), centralcloud.acknowledge('i-2', 0)")
    eventually(lambda: value(registry, "centralcloud_instance_version_lag", instance_id="i-2") == 1)
    assert value(registry, "centralcloud_instance_version_lag", instance_id="i-1") == 0
    assert value(registry, "centralcloud_fleet_version_lag") == 1
    assert value(registry, "centralcloud_events_duplicate_total") == 1
    assert value(registry, "centralcloud_dead_letters_open") == 1
    assert value(registry, "centralcloud_queue_visible") == 0
    assert value(registry, "centralcloud_outcomes_success_rate") == 0.6
    assert 0 <= (value(registry, "centralcloud_ingest_lag_seconds") or 0) < 60
    assert value(registry, "centralcloud_database_up") == 1
    eventually(lambda: value(registry, "centralcloud_notify_up") == 1)


def test_one_replica_at_a_time_reads_the_tables_and_another_takes_over(database: Database) -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    first, second = (TableMetricsCollector(database, interval_seconds=60, registry=registry) for registry in registries)
    first.run_once()
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr("centralcloud.store.leases._holder", lambda: "another host/1")
        second.run_once()
        assert [value(registry, "centralcloud_queue_visible") for registry in registries] == [0, None]
    first.on_stop()
    second.run_once()
    assert value(registries[1], "centralcloud_queue_visible") == 0


def test_an_outage_of_the_database_is_counted(daemon: Daemon, database_url: str) -> None:
    execute(
        database_url,
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """,
    )
    eventually(lambda: (value(daemon.registry, "centralcloud_database_outages_total") or 0) > 0)
    eventually(lambda: value(daemon.registry, "centralcloud_database_up") == 1)
    drain(daemon._database, batch_size=10)


def test_an_instance_shows_its_scores_and_its_connections(database_url: str, proxy: TcpProxy, tmp_path: Path) -> None:
    settings = AgentSettings(database_url=proxy.url, state_dir=tmp_path, poll_interval_seconds=0.1)
    with InstanceAgent(settings) as agent:
        registry = agent._registry()
        eventually(lambda: value(registry, "instance_agent_notify_up") == 1)
        assert value(registry, "instance_agent_database_up") == 1
        assert value(registry, "instance_agent_database_outages_total") == 0
        assert value(registry, "instance_agent_build_info", version=__version__) == 1
        execute(database_url, "SELECT pgmq.send('model_score_updates', '{\"no\": \"score\"}')")
        eventually(lambda: value(registry, "instance_agent_updates_refused_total") == 1)
        proxy.close()
        eventually(lambda: value(registry, "instance_agent_database_up") == 0)
        eventually(lambda: value(registry, "instance_agent_notify_up") == 0)
        assert value(registry, "instance_agent_database_outages_total") == 1
