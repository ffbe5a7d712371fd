"""An asynchronous failover: the standby lacks the newest events, and producers that saw them confirmed send them again."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres.database import Database
from instance_agent.sync import event_publisher
from instance_agent.sync.confirmed_events import ConfirmedEvents
from instance_agent.sync.event_publisher import EventPublisher

_QUEUED = "SELECT count(*) FROM pgmq.q_model_routing_decisions"


def an_event(number: int) -> RoutingEvent:
    return RoutingEvent(
        timestamp=datetime.now(UTC), instance_id="i", complexity="simple", model="m", provider="p",
        complexity_score=1.0, decision_id=f"d-{number}",
    )  # fmt: skip


@pytest.fixture
def publisher(database: Database) -> Iterator[EventPublisher]:
    publisher = EventPublisher(database, confirmed=ConfirmedEvents(0.3, 1000))
    publisher.start()
    yield publisher
    publisher.stop()
    assert publisher.join(5)


def fail_over(url: str, *, loses: str) -> None:
    """Put the database into the state of a standby that was promoted: another history, and without some events."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE database_generation SET generation = gen_random_uuid()")
        connection.execute(f"DELETE FROM pgmq.q_model_routing_decisions {loses}")


def test_what_another_history_lacks_is_sent_again(
    publisher: EventPublisher, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by a producer that has nothing new to send; and once for each history, not again and again."""
    for number in range(40):
        publisher.publish(an_event(number))
    eventually(lambda: publisher.sent == 40)
    fail_over(database_url, loses="WHERE msg_id > 25")
    eventually(lambda: publisher.resent == 40, what="the resend")
    ids = "SELECT count(DISTINCT message #>> '{routing_decision,decision_id}') FROM pgmq.q_model_routing_decisions"
    assert execute(database_url, ids) == [(40,)]
    assert "events_resent count=40 before=[" in caplog.text
    eventually(lambda: len(publisher._confirmed) == 0, what="the end of the memory")
    assert execute(database_url, _QUEUED) == [(25 + 40,)], "sent again once; the decision ids remove the others"
    assert publisher.sent == 40


def test_an_epoch_that_was_there_before_costs_no_resend(publisher: EventPublisher, database_url: str) -> None:
    """Two servers behind one URL: each gets the events once, however often it changes."""
    first = execute(database_url, "SELECT generation FROM database_generation")[0]
    publisher._confirmed._seconds = 3600
    publisher.publish(an_event(0))
    eventually(lambda: publisher.sent == 1)
    fail_over(database_url, loses="")
    publisher.publish(an_event(1))
    eventually(lambda: publisher.resent == 1)
    execute(database_url, "UPDATE database_generation SET generation = %s", first)
    publisher.publish(an_event(2))
    eventually(lambda: publisher.resent == 2, what="the resend of the second event only")
    publisher.publish(an_event(3))
    eventually(lambda: publisher.sent == 4)
    assert publisher.resent == 2


def test_a_run_that_sends_reads_the_epoch_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under steady traffic each transaction that sends reads it anyway."""
    reads: list[str] = []
    read_epoch = event_publisher._READ_EPOCH

    class CountedQuery:
        def one(self, connection: psycopg.Connection) -> str:
            reads.append(read_epoch.one(connection))
            return reads[-1]

    monkeypatch.setattr(event_publisher, "_READ_EPOCH", CountedQuery())
    publisher = EventPublisher(database, confirmed=ConfirmedEvents(1e-9, 1000))  # every event is old at once
    for number in range(3):
        publisher.publish(an_event(number))
        publisher.run_once()
    assert (publisher.sent, len(reads)) == (3, 0)
    publisher._confirmed._seconds = 3600
    publisher.publish(an_event(3))
    publisher.run_once()
    publisher._confirmed._seconds = 0
    publisher.run_once()
    assert len(reads) == 1, "a run without events looks before it forgets"
    assert len(publisher._confirmed) == 0


def test_a_resend_that_ends_early_is_logged(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two batches arrives in the new history; then the database is unavailable again."""
    publisher = EventPublisher(database, confirmed=ConfirmedEvents(3600, 1000))
    for number in range(2):
        publisher.publish(an_event(number))
        publisher.run_once()
    fail_over(database_url, loses="")
    commit, commits = publisher._commit, iter([True, False, True])

    def commit_or_fail(batch: Sequence[str]) -> str | None:
        if not next(commits):
            raise psycopg.OperationalError("the server closed the connection")
        return commit(batch)

    publisher._confirmed._seconds = 1e-9
    monkeypatch.setattr(publisher, "_commit", commit_or_fail)
    with pytest.raises(psycopg.OperationalError):
        publisher.run_once()
    assert publisher.resent == 1
    assert "events_resent count=1 before=[" in caplog.text
    publisher.run_once()
    assert publisher.resent == 2
    assert caplog.text.count("events_resent count=1 before=[") == 2


def test_a_login_that_may_not_read_the_epoch_publishes_all_the_same(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"cc_no_epoch_{time.time_ns()}"
    execute(database_url, f"CREATE ROLE {role} LOGIN")
    try:
        execute(database_url, f"GRANT USAGE ON SCHEMA centralcloud TO {role}")
        execute(database_url, f"GRANT EXECUTE ON FUNCTION centralcloud.publish_decisions TO {role}")
        with Database(make_conninfo(database_url, user=role), application_name="tests") as database:
            publisher = EventPublisher(database)
            for number in range(2):
                publisher.publish(an_event(number))
                publisher.run_once()
        assert (publisher.sent, execute(database_url, _QUEUED)) == (2, [(2,)])
        assert caplog.text.count("resend_disabled") == 1
    finally:
        execute(database_url, f"DROP OWNED BY {role}")
        execute(database_url, f"DROP ROLE {role}")


def test_the_memory_is_bounded() -> None:
    confirmed = ConfirmedEvents(10, 5)
    for number in range(4):
        confirmed.add([f"{number}a", f"{number}b"], "e1", float(number))
    assert len(confirmed) == 4
    confirmed.forget_old("e1", 11.0)
    assert len(confirmed) == 4
    confirmed.forget_old("e2", 20.0)
    assert len(confirmed) == 4, "another history may lack them"
    assert [batch.texts for batch in confirmed.missing_in("e2")] == [["2a", "2b"], ["3a", "3b"]]
    confirmed.forget_old("e1", 12.0)
    assert len(confirmed) == 2
    confirmed.add(["x" * 70_000_000], "e1", 13.0)
    assert len(confirmed) == 0
    off = ConfirmedEvents(0, 5)
    off.add(["a"], "e1", 0.0)
    assert (off.enabled, len(off)) == (False, 0)
