"""Failovers between two servers with streaming replication, which a URL with two hosts names.

How long each takes is logged: `pytest --log-cli-level=INFO tests/chaos/test_replication.py`.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from support.load import Producers, assert_all_ingested, records
from support.programs import Program
from support.servers import execute, with_database
from support.standby import Pair, a_pair
from support.waiting import eventually

from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres import notifications
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate
from instance_agent.sync.confirmed_events import ConfirmedEvents
from instance_agent.sync.event_publisher import EventPublisher

StartWorker = Callable[..., Program]

log = logging.getLogger(__name__)

#: From the end of the promotion to the first record on the new primary; about two seconds on a quiet machine.
_INGEST_AGAIN_SECONDS = 10.0
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@pytest.fixture(scope="module")
def shared_pair() -> Iterator[Pair]:
    with a_pair() as pair:
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE migrated")
        with Database(with_database(pair.primary.url, "migrated"), application_name="tests") as database:
            migrate(database)
            ensure_partitions(database)
        yield pair


@pytest.fixture
def pair(shared_pair: Pair) -> Iterator[Pair]:
    """Two servers that run, the second a standby of the first, with a database `test`."""
    if not shared_pair.primary.running:
        shared_pair.follow()
    with psycopg.connect(shared_pair.primary.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS test WITH (FORCE)")
        connection.execute("CREATE DATABASE test TEMPLATE migrated STRATEGY file_copy")
    shared_pair.wait_until_replayed()
    yield shared_pair
    shared_pair.commit_asynchronously() if shared_pair.primary.running else None


def fail_over(pair: Pair) -> tuple[str, float]:
    """Crash the primary and promote the standby; return the database's URL there, and when it was promoted."""
    pair.primary.crash()
    pair.promote()
    return with_database(pair.standby.url, "test"), time.monotonic()


def ingest_again(url: str, promoted_at: float) -> float:
    """Return how many seconds after the promotion the next event was ingested."""
    before = records(url)
    eventually(lambda: records(url) > before, within_seconds=_INGEST_AGAIN_SECONDS, what="ingest on the new primary")
    return time.monotonic() - promoted_at


@pytest.mark.parametrize("decisions", [800, pytest.param(8000, marks=pytest.mark.soak)])
def test_a_synchronous_failover_by_a_url_with_two_hosts(pair: Pair, start_worker: StartWorker, decisions: int) -> None:
    """Confirmed events are on the new primary, and counted once."""
    pair.commit_synchronously()
    url = pair.url("test")
    worker = start_worker(url)
    with Producers(url, events=decisions, pause_seconds=0.05) as producers:
        eventually(lambda: records(url) > decisions / 10, what="ingest in full swing")
        promoted, promoted_at = fail_over(pair)
        seconds = ingest_again(promoted, promoted_at)
    assert_all_ingested(promoted, producers.confirmed)
    worker.wait_for("database_restored")
    assert worker.process.poll() is None
    log.info("synchronous: %d confirmed, 0 lost, 0 doubled, ingest again after %.1f s", producers.confirmed, seconds)


@pytest.mark.parametrize("decisions", [800, pytest.param(8000, marks=pytest.mark.soak)])
def test_an_asynchronous_failover_by_a_url_with_two_hosts(
    pair: Pair, start_worker: StartWorker, decisions: int
) -> None:
    """The standby lacks the newest commits: producers that use the library send them again."""
    url = pair.url("test")
    worker = start_worker(url)
    with ExitStack() as stack:
        database = stack.enter_context(Database(url, application_name="producer"))
        publisher = EventPublisher(database, confirmed=ConfirmedEvents(seconds=60))
        publisher.start()
        stack.callback(publisher.join, 10)
        stack.callback(publisher.stop)

        def publish(first: int, last: int) -> None:
            for number in range(first, last):
                event = RoutingEvent(
                    timestamp=datetime.now(UTC), instance_id="i", complexity="simple", model="m", provider="p",
                    complexity_score=1.0, decision_id=f"d-{number}", outcome="success",
                )  # fmt: skip
                publisher.publish(event)

        publish(0, decisions // 2)
        eventually(lambda: records(url) == decisions // 2)
        pair.wait_until_replayed()
        pair.disconnect()
        publish(decisions // 2, decisions - 1)
        eventually(lambda: publisher.sent == decisions - 1, what="the confirmation of all events")
        confirmed = publisher.sent
        promoted, promoted_at = fail_over(pair)
        on_standby = (
            "SELECT (SELECT count(*) FROM routing_records), (SELECT count(*) FROM pgmq.q_model_routing_decisions)"
        )
        lost = confirmed - sum(execute(promoted, on_standby)[0])
        publish(decisions - 1, decisions)
        seconds = ingest_again(promoted, promoted_at)
        eventually(lambda: publisher.sent == decisions and records(promoted) == decisions, what="the lost events")
        assert publisher.resent >= lost > 0, "the failover did lose commits"
    assert_all_ingested(promoted, decisions)
    worker.wait_for("database_restored")
    assert worker.process.poll() is None
    log.info("asynchronous: %d confirmed, %d lost by the failover and sent again, 0 doubled, ingest again after %.1f s",
             confirmed, lost, seconds)  # fmt: skip


@contextmanager
def listening(database: Database) -> Iterator[NotificationListener]:
    listener = NotificationListener(database, {"chaos": lambda: None})
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()
        assert listener.join(10)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_a_dead_synchronous_standby_is_waited_out(
    pair: Pair, start_worker: StartWorker, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit is confirmed meanwhile, and no retry leaves a session behind. Ingest goes on when the standby is back.

    NOTIFY makes commits wait for each other: the probe of a listener waits behind the first one. Here, for a short time.
    """
    monkeypatch.setattr(notifications, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(notifications, "_PROBE_LOCK_MILLISECONDS", 200)
    monkeypatch.setattr(notifications, "_PROBE_EVERY_WAITS", 1)
    monkeypatch.setattr(notifications, "_WAIT_SECONDS", 0.1)
    url = with_database(pair.primary.url, "test")
    worker = start_worker(url)
    pair.commit_synchronously()
    with (
        Producers(url, events=300 * seconds, pause_seconds=0.05) as producers,
        Database(url, application_name="listening") as database,
        listening(database) as listener,
        closing(psycopg.connect(url, autocommit=True)) as another,
    ):
        eventually(lambda: listener.working and records(url) > 100, what="ingest in full swing")
        pair.standby.crash()
        another.pgconn.send_query(b"CREATE TABLE of_another (); NOTIFY of_another")
        time.sleep(seconds)  # the length of the fault
        confirmed, connections = producers.confirmed, execute(url, _CONNECTIONS)[0][0]
        of_listener = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'listening'"
        sessions = execute(url, of_listener)
        pair.standby.start()  # before any assertion: commits end with it only
        back_at = time.monotonic()
        before = records(url)
        eventually(lambda: records(url) > before, what="ingest after the standby is back")
        again = time.monotonic() - back_at
    assert sessions == [(1,)], "the listener keeps its session, and opens no other"
    assert_all_ingested(url, producers.confirmed)
    assert worker.process.poll() is None
    log.info("dead standby for %d s: %d confirmed before, %d in all, %d connections, ingest again after %.1f s",
             seconds, confirmed, producers.confirmed, connections, again)  # fmt: skip
