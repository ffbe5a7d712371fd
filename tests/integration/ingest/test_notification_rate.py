"""Notifications of new events: one in 100 ms for all publishers together, and no event waits for the poll because of it."""

import json
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from support.events import an_event
from support.servers import execute
from support.waiting import eventually, passes

from centralcloud.contracts import DECISIONS_CHANNEL
from centralcloud.ingest.consumer import Consumer
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener

_NOTIFIED_MS = "SELECT last_value FROM centralcloud.decisions_notified_ms"
_QUEUED = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def publish(connection: psycopg.Connection) -> int:
    """Publish an event with the hint; return when the newest notification was, in milliseconds."""
    connection.execute("SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], true)", (json.dumps(an_event()),))
    return int(connection.execute(_NOTIFIED_MS).fetchone()[0])  # type: ignore[index]


@pytest.fixture
def publisher(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def listener(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {DECISIONS_CHANNEL}")
        yield connection


def test_all_publishers_together_notify_at_most_ten_times_a_second(
    database_url: str, listener: psycopg.Connection
) -> None:
    publishers, seconds = 4, 0.6
    begun = time.monotonic()
    sent = [0] * publishers

    def keep_publishing(number: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while time.monotonic() - begun < seconds or sent[number] < 5:
                publish(connection)
                sent[number] += 1

    threads = [threading.Thread(target=keep_publishing, args=(number,)) for number in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    notifications = list(listener.notifies(timeout=0.1))
    # Publishers that come at the same instant may each notify.
    assert 2 <= len(notifications) <= took * 10 + publishers
    assert sum(sent) > 2 * len(notifications), "most of them did not notify"
    assert execute(database_url, _QUEUED) == [(sum(sent),)]


def test_an_event_soon_after_a_notification_is_ingested_without_one_of_its_own(
    database: Database, database_url: str, publisher: psycopg.Connection
) -> None:
    consumer = Consumer(database, batch_size=10, poll_interval_seconds=3600)
    notifications = NotificationListener(database, {DECISIONS_CHANNEL: consumer.wake})
    sent = 0

    def ingested() -> bool:
        return execute(database_url, "SELECT count(*) FROM routing_records") == [(sent,)]

    def second_event_waits() -> bool:
        """Send an event when that of a notification was ingested; return whether it came without one of its own."""
        nonlocal sent
        eventually(lambda: consumer.interval_seconds == 3600, what="an idle consumer")
        time.sleep(0.1)  # the next event is notified
        notified_ms = publish(publisher)
        eventually(lambda: execute(database_url, _QUEUED) == [(0,)], what="the ingest of the event that is notified")
        time.sleep(0.02)
        sent += 2
        return publish(publisher) == notified_ms

    consumer.start()
    notifications.start()
    try:
        eventually(lambda: notifications.working, what="a listener")
        for _ in range(3):
            eventually(second_event_waits, what="an event less than 100 ms after a notification")
            assert passes(ingested, within_seconds=1.0)
        eventually(lambda: consumer.interval_seconds == 3600, what="an idle consumer")
    finally:
        for task in (consumer, notifications):
            task.stop()
        assert consumer.join(5)
        assert notifications.join(5)


@pytest.mark.parametrize(
    "state",
    [
        f"setval('centralcloud.decisions_notified_ms', {_NOW_MS} + 3600000)",
        f"setval('centralcloud.decisions_notified_ms', {_NOW_MS} + 60)",
        f"setval('centralcloud.decisions_notified_ms', {_NOW_MS} - 100)",
        "setval('centralcloud.decisions_notified_ms', 0, false)",
    ],
    ids=["a clock that was set back by an hour", "another server's clock", "an old time", "a copy without sequences"],
)
def test_a_time_that_says_nothing_does_not_stop_notifications(
    publisher: psycopg.Connection, listener: psycopg.Connection, state: str
) -> None:
    publisher.execute(f"DO $$ BEGIN PERFORM {state}; PERFORM centralcloud.notify_decisions(); END $$")
    assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    ((distance,),) = publisher.execute(f"SELECT {_NOW_MS} - last_value FROM centralcloud.decisions_notified_ms")
    assert 0 <= distance < 60_000


def test_a_notification_that_is_rolled_back_keeps_others_from_theirs_for_100_ms_only(
    database_url: str, publisher: psycopg.Connection, listener: psycopg.Connection
) -> None:
    with psycopg.connect(database_url) as failing:
        rolled_back_ms = publish(failing)
        failing.rollback()
    eventually(lambda: publish(publisher) != rolled_back_ms, within_seconds=5)
    assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    ((distance,),) = publisher.execute(
        "SELECT last_value - %s FROM centralcloud.decisions_notified_ms", (rolled_back_ms,)
    )
    assert 100 <= distance < 1000


def test_an_open_transaction_that_has_notified_keeps_no_publisher_waiting(
    database_url: str, publisher: psycopg.Connection, listener: psycopg.Connection
) -> None:
    with psycopg.connect(database_url) as slow:
        notified_ms = publish(slow)
        publisher.execute("SET statement_timeout = '5s'")
        eventually(lambda: publish(publisher) != notified_ms)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
