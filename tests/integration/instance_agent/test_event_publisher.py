"""The background publisher: routing never waits, never fails, and what is lost is said."""

import json
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres.database import Database
from instance_agent.sync.event_publisher import DecisionPublisher


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
    publisher = DecisionPublisher(database)
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


def test_what_is_left_is_sent_at_the_end(database: Database, database_url: str) -> None:
    publisher = DecisionPublisher(database)
    publisher.start()
    for _ in range(7):
        publisher.publish(an_event())
    publisher.stop()
    assert publisher.join(5)
    assert queued(database_url) == 7


def test_an_event_that_postgresql_refuses_does_not_cost_the_others(database: Database, database_url: str) -> None:
    publisher = DecisionPublisher(database)
    for model in ("a", "nul\0", "b", "c"):
        publisher.publish(an_event(model))
    publisher.run_once()
    assert (publisher.sent, publisher.dropped, publisher.waiting) == (3, 1, 0)
    assert queued(database_url) == 3


def test_an_event_without_a_json_form_does_not_fail_the_router(database: Database) -> None:
    publisher = DecisionPublisher(database)
    publisher.publish(an_event("lone surrogate \ud800"))
    assert (publisher.waiting, publisher.dropped) == (0, 1)


def test_a_full_queue_drops_what_comes_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with Database("postgresql://nobody@127.0.0.1:1/none", application_name="tests") as away:
        publisher = DecisionPublisher(away, queue_size=10)
        for _ in range(25):
            publisher.publish(an_event())
        assert (publisher.waiting, publisher.dropped) == (10, 15)
    assert caplog.text.count("events_dropped") == 1, "one line for a change of state, not one an event"


def test_events_wait_while_the_database_is_away(server: str, database_url: str) -> None:
    """The database refuses connections for a while: nothing is lost, and nothing is asked of the router."""
    name = str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])
    with (
        psycopg.connect(server, autocommit=True) as admin,
        Database(database_url, application_name="tests") as database,
    ):
        publisher = DecisionPublisher(database)
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
    """At least once on the wire; the decision ids make it once in the records."""
    from centralcloud.ingest.drain import drain

    for _ in range(2):
        publisher = DecisionPublisher(database)
        publisher.publish(an_event())
        publisher.run_once()
    settled = drain(database, batch_size=10).result
    assert (settled.records, settled.duplicates) == (1, 1)
    assert json.loads(an_event().to_json())["routing_decision"]["decision_id"] == "d-1"
