"""The decision publisher: routing never waits for it or fails with it, and lost events are logged."""

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent
from instance_agent.sync.event_publisher import EventPublisher
from instance_agent.sync.publisher_metrics import oldest_seconds
from instance_agent.sync.spool import Spool


def an_event(model: str = "m") -> RoutingEvent:
    return RoutingEvent(
        timestamp=datetime(2026, 11, 20, tzinfo=UTC),
        instance_id="i-1",
        complexity="simple",
        model=model,
        provider="p",
        complexity_score=1.0,
        decision_id="d-1",
    )


def queued(url: str) -> int:
    return execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions")[0][0]


def test_events_arrive_in_order(database: Database, database_url: str) -> None:
    publisher = EventPublisher(database)
    publisher.start()
    for number in range(1200):
        publisher.publish(an_event(f"m{number}"))
    eventually(lambda: queued(database_url) == 1200)
    publisher.stop()
    assert publisher.join(5)
    names = execute(
        database_url,
        "SELECT message #>> '{routing_decision,selected_model}' FROM pgmq.q_model_routing_decisions ORDER BY msg_id",
    )
    assert [name for (name,) in names] == [f"m{number}" for number in range(1200)]


def test_few_events_wait_for_more_and_many_or_the_last_ones_do_not(database: Database, database_url: str) -> None:
    publisher = EventPublisher(database, gather_seconds=3600)
    arrived = []
    for count in (1, 99, 1):
        publisher.publish_together([an_event()] * count)
        publisher.run_once()
        arrived.append(queued(database_url))
    assert arrived == [1, 1, 101]
    publisher.publish(an_event())
    publisher.start()
    assert publisher.flush(5), "a flush waits for nothing more"
    publisher.publish(an_event())
    publisher.stop()
    assert publisher.join(5)
    assert queued(database_url) == 103


def test_a_clean_stop_sends_the_remaining_events(database: Database, database_url: str) -> None:
    publisher = EventPublisher(database)
    publisher.start()
    for _ in range(7):
        publisher.publish(an_event())
    publisher.stop()
    assert publisher.join(5)
    assert queued(database_url) == 7


def test_an_event_that_postgresql_rejects_does_not_affect_the_others(database: Database, database_url: str) -> None:
    publisher = EventPublisher(database)
    for model in ("a", "nul\0", "b", "c"):
        publisher.publish(an_event(model))
    publisher.run_once()
    assert (publisher.sent, publisher.dropped, publisher.waiting) == (3, 1, 0)
    assert queued(database_url) == 3


def test_an_event_that_cannot_be_encoded_does_not_fail_the_router(database: Database) -> None:
    publisher = EventPublisher(database)
    publisher.publish(an_event("lone surrogate \ud800"))
    assert (publisher.waiting, publisher.dropped) == (0, 1)


def test_a_full_queue_drops_new_events_and_logs_it_once(caplog: pytest.LogCaptureFixture) -> None:
    with Database("postgresql://user@127.0.0.1:1/none", application_name="tests") as unreachable:
        publisher = EventPublisher(unreachable, queue_size=10)
        for _ in range(25):
            publisher.publish(an_event())
        assert (publisher.waiting, publisher.dropped) == (10, 15)
    assert caplog.text.count("events_dropped") == 1, "one line per change of state, not per event"


def test_events_wait_while_the_database_is_unavailable(server: str, database_url: str) -> None:
    """The database refuses connections for a while: no event is lost, and the router need not do anything."""
    name = str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])
    with (
        psycopg.connect(server, autocommit=True) as admin,
        Database(database_url, application_name="tests") as database,
    ):
        publisher = EventPublisher(database)
        publisher.start()
        publisher.publish(an_event())
        eventually(lambda: publisher.sent == 1)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        for _ in range(5):
            publisher.publish(an_event())
        eventually(lambda: database.unavailable)
        assert publisher.waiting == 5
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        eventually(lambda: publisher.sent == 6, within_seconds=30)
        assert not database.unavailable
        publisher.stop()
        assert publisher.join(5)
    assert queued(make_conninfo(database_url)) == 6


def test_a_batch_whose_commit_was_not_confirmed_may_be_sent_twice(database: Database, database_url: str) -> None:
    """The publisher sends at least once; the decision ids make it exactly once in the records."""
    from centralcloud.ingest.drain import drain

    for _ in range(2):
        publisher = EventPublisher(database)
        publisher.publish(an_event())
        publisher.run_once()
    result = drain(database, batch_size=10).result
    assert (result.records, result.duplicates) == (1, 1)
    assert json.loads(an_event().to_json())["routing_decision"]["decision_id"] == "d-1"


def test_a_batch_in_flight_when_time_is_up_counts_once(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The table is locked, so the stop takes too long. When the lock is gone, the lost events are not counted again."""
    publisher = EventPublisher(database)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE pgmq.q_model_routing_decisions")
        publisher.publish(an_event())
        publisher.start()
        eventually(lambda: execute(database_url, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        publisher.publish(an_event())
        publisher.stop()
        assert not publisher.join(0.1)
        assert publisher.give_up("time is up") == 2
        assert publisher.give_up("again") == 0
        assert publisher._thread is not None
        assert publisher._thread.is_alive()
        other.rollback()
    assert publisher.join(5), "it ends by itself"
    publisher.publish(an_event())
    assert (publisher.sent, publisher.dropped, publisher.waiting) == (0, 3, 0)
    counts = [
        record.msg["count"] for record in caplog.records if isinstance(record.msg, dict) and "count" in record.msg
    ]
    assert counts == [2, 1]


def test_an_agent_whose_stop_takes_too_long_loses_its_events_once(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = InstanceAgent(AgentSettings(database_url=database_url, instance_id="i", state_dir=tmp_path))
    publisher = agent.publisher
    assert publisher is not None
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE pgmq.q_model_routing_decisions")
        publisher.publish(an_event())
        agent.start()
        eventually(lambda: execute(database_url, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        agent.stop(0.2)
        assert (publisher.waiting, publisher.dropped) == (0, 1)
        other.rollback()
    assert publisher.join(5)
    assert publisher.database._pool is None, "the thread has not opened it again"
    assert caplog.text.count("events_dropped") == 1


def test_a_stop_and_a_flush_include_the_events_on_disk(database: Database, database_url: str, tmp_path: Path) -> None:
    """One of them is rejected by PostgreSQL; the age is that of the oldest."""
    publisher = EventPublisher(database, queue_size=10, spool=Spool(tmp_path))
    for number in range(600):
        publisher.publish(an_event(f"m{number}" if number != 300 else "nul\0"))
    assert (publisher.waiting, publisher.waiting_on_disk, publisher.dropped) == (10, 590, 0)
    assert 0 < publisher.spool_share < 1
    assert oldest_seconds(publisher) == pytest.approx((datetime.now(UTC) - an_event().timestamp).total_seconds(), 0.1)
    publisher.start()
    assert publisher.flush(20)
    for number in range(600, 700):
        publisher.publish(an_event(f"m{number}"))
    publisher.stop()
    assert publisher.join(5)
    assert (publisher.sent, publisher.dropped, publisher.waiting_on_disk) == (699, 1, 0)
    assert queued(database_url) == 699
    assert list(tmp_path.iterdir()) == []
    assert oldest_seconds(publisher) == 0


def test_a_publisher_without_threads_sends_the_events_on_disk_at_the_end(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    publisher = EventPublisher(database, queue_size=10, spool=Spool(tmp_path))
    for number in range(25):
        publisher.publish(an_event(f"m{number}"))
    publisher.send_remaining(connect_seconds=10)
    assert publisher.give_up("the interpreter ends") == 0
    assert queued(database_url) == 25
    assert list(tmp_path.iterdir()) == []
