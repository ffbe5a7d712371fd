"""The slow path: messages that the database refuses, and messages that were attempted by a process that was killed."""

import base64
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from support.events import an_event, send
from support.servers import execute
from support.waiting import eventually, passes

from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.drain import drain
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.identity import is_running

QUEUE = "pgmq.q_model_routing_decisions"


def refuse_poison(database_url: str) -> None:
    execute(database_url, "ALTER TABLE routing_records ADD CONSTRAINT no_poison CHECK (model <> 'poison')")


def a_consumer(database: Database, **options: object) -> Consumer:
    return Consumer(database, batch_size=10, poll_interval_seconds=0.01, **options)  # type: ignore[arg-type]


def send_models(database_url: str, *models: str) -> None:
    send(database_url, [an_event(selected_model=model) for model in models])


def test_a_refused_message_is_retried_later_and_does_not_delay_the_others(
    database: Database, database_url: str
) -> None:
    refuse_poison(database_url)
    send_models(database_url, "a", "poison", "b")
    consumer = a_consumer(database)
    while consumer.run_once():
        pass
    assert execute(database_url, "SELECT model FROM routing_records ORDER BY id") == [("a",), ("b",)]
    assert execute(database_url, f"SELECT read_ct, vt > clock_timestamp() FROM {QUEUE}") == [(1, True)]
    assert execute(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_a_refused_message_that_is_accepted_later_is_not_dead_lettered(database: Database, database_url: str) -> None:
    refuse_poison(database_url)
    send_models(database_url, "poison")
    consumer = a_consumer(database)
    consumer.ingest_batch()
    consumer.ingest_batch()
    assert execute(database_url, f"SELECT read_ct FROM {QUEUE}") == [(1,)]
    execute(database_url, "ALTER TABLE routing_records DROP CONSTRAINT no_poison")
    assert drain(database, batch_size=10).result == BatchResult(records=1)
    assert verify(database).ok


def test_after_its_last_attempt_a_refused_message_becomes_a_dead_letter_with_the_reason(
    database: Database, database_url: str
) -> None:
    refuse_poison(database_url)
    send_models(database_url, "poison")
    assert drain(database, batch_size=10, max_attempts=2).result == BatchResult(dead_letters=1)
    ((field, reason),) = execute(database_url, "SELECT field, reason FROM dead_letters")
    assert field == "database"
    assert "SQLSTATE 23514" in reason
    assert verify(database).ok


def test_the_fast_path_resumes_after_a_refusal(database: Database, database_url: str) -> None:
    refuse_poison(database_url)
    consumer = a_consumer(database, slow_path=SlowPath(database, max_attempts=1))
    send_models(database_url, *["a"] * 5, "poison", *["b"] * 30)
    while consumer.run_once():
        pass
    assert execute(database_url, "SELECT count(*), count(DISTINCT created_at) < 20 FROM routing_records") == [
        (35, True)
    ]
    assert verify(database).ok


def test_an_expired_lease_does_not_ingest_the_message_twice(database: Database, database_url: str) -> None:
    """`read_ct` is the fence: only the consumer with the last lease ingests the message."""
    send_models(database_url, "a")
    slow, fast = a_consumer(database), a_consumer(database)
    slow._slow_path._held = slow._slow_path._lease(1)
    execute(database_url, f"UPDATE {QUEUE} SET vt = clock_timestamp()")  # the lease has expired
    fast._isolate_next = 1
    fast._registered = True
    assert fast.ingest_batch() == BatchResult(records=1)
    assert slow._slow_path._ingest_one(slow._slow_path._held[0]) == BatchResult()
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(1,)]
    assert verify(database).ok


def test_an_outage_does_not_count_as_an_attempt(database: Database, database_url: str) -> None:
    """Leases that an outage interrupts are released, and do not count."""
    send_models(database_url, *"abc")
    consumer = a_consumer(database)
    consumer._heartbeat()
    consumer._isolate_next = 10
    terminated = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%centralcloud.add_metrics(%'
    """

    def terminate_the_waiting_backend() -> None:
        eventually(lambda: execute(database_url, terminated))

    for _ in range(8):  # more often than the limit of attempts
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE model_routing_metrics IN EXCLUSIVE MODE")
            fault = threading.Thread(target=terminate_the_waiting_backend)
            fault.start()
            with pytest.raises(psycopg.errors.AdminShutdown):
                consumer.ingest_batch()
            fault.join()
    assert execute(database_url, f"SELECT max(read_ct) FROM {QUEUE}") == [(1,)], "leased by the last one"
    assert consumer.ingest_batch() == BatchResult(records=3)
    assert verify(database).ok


def test_a_start_after_an_unclean_exit_isolates_a_batch(database: Database, database_url: str) -> None:
    execute(database_url, "INSERT INTO ingest_workers (host, process, batch_size) VALUES ('elsewhere', '1:1', 7)")
    consumer = a_consumer(database)
    consumer._heartbeat()
    assert consumer._isolate_next == 7
    send_models(database_url, *"abcdefghij")
    while consumer.run_once():
        pass
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(10,)]
    assert verify(database).ok


def test_a_worker_that_stops_cleanly_deregisters(database: Database, database_url: str) -> None:
    registry = WorkerRegistry(database, batch_size=10)
    first, second = (a_consumer(database, registry=registry) for _ in range(2))
    first.start()
    second.start()
    eventually(lambda: execute(database_url, "SELECT count(*) FROM ingest_workers") == [(1,)])
    other = a_consumer(database)  # of this process, which is running: no unclean exit
    other._heartbeat()
    assert other._isolate_next == 0
    other.close()
    first.stop()
    assert first.join(5)
    assert execute(database_url, "SELECT count(*) FROM ingest_workers") == [(1,)]
    second.stop()
    assert second.join(5)
    assert execute(database_url, "SELECT count(*) FROM ingest_workers") == [(0,)]


def test_the_row_of_a_killed_worker_is_deleted_when_the_next_worker_on_this_machine_stops(
    database: Database, database_url: str
) -> None:
    """A zombie process counts as killed, too."""
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{killed.pid}/stat")
    identity = f"{killed.pid}:{stat.read_text().rpartition(')')[2].split()[19]}"
    assert is_running(identity)
    killed.kill()
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
    assert not is_running(identity)
    execute(
        database_url,
        "INSERT INTO ingest_workers (host, process, batch_size) VALUES (%s, %s, 7)",
        (socket.gethostname(), identity),
    )
    consumer = a_consumer(database)
    consumer._heartbeat()
    assert consumer._isolate_next == 7
    consumer.close()
    assert execute(database_url, "SELECT count(*) FROM ingest_workers") == [(0,)]
    killed.communicate()


def test_retried_messages_are_ingested_alone_and_the_others_in_batches(database: Database, database_url: str) -> None:
    send_models(database_url, *"abcdefghij" * 10)
    execute(database_url, f"UPDATE {QUEUE} SET read_ct = 1 WHERE msg_id IN (3, 7, 55)")
    consumer = a_consumer(database)
    while consumer.run_once():
        pass
    batches = "SELECT count(*), count(DISTINCT created_at) FROM routing_records"
    assert execute(database_url, batches) == [(100, 3 + 10)], "three alone, ninety-seven in tens"
    assert verify(database).ok


def test_consumers_of_a_process_retry_one_message_at_a_time(database: Database, database_url: str) -> None:
    """A message that kills the process counts as an attempt of every message that is leased at that moment."""
    send_models(database_url, "a", "b")
    execute(database_url, f"UPDATE {QUEUE} SET read_ct = 1")
    slow_path = SlowPath(database)
    consumers = [a_consumer(database, slow_path=slow_path) for _ in range(2)]
    for consumer in consumers:
        consumer._heartbeat()
        consumer._isolate_next = 1
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE routing_records IN SHARE MODE")
        threads = [threading.Thread(target=consumer.ingest_batch) for consumer in consumers]
        for thread in threads:
            thread.start()
        attempted_again = f"SELECT count(*) FROM {QUEUE} WHERE read_ct > 1"
        eventually(lambda: execute(database_url, attempted_again) == [(1,)])
        assert not passes(lambda: execute(database_url, attempted_again) != [(1,)], within_seconds=0.5)
    for thread in threads:
        thread.join()
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(2,)]


def isolate_after_an_unclean_exit(database: Database, database_url: str, batch_size: int, **options: object) -> None:
    """Ingest the queue as a worker does that was started after one with `batch_size` was killed."""
    execute(
        database_url,
        "INSERT INTO ingest_workers (host, process, batch_size) VALUES ('elsewhere', '1:1', %s)",
        (batch_size,),
    )
    consumer = Consumer(database, batch_size=batch_size, poll_interval_seconds=0.01, **options)  # type: ignore[arg-type]
    while consumer.run_once():
        pass
    return consumer


def incompressible_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return [base64.b64encode(rng.randbytes(45_000)).decode() for _ in range(count)]


#: Transactions that stored records, and those that stored a single one.
TRANSACTIONS = """
    SELECT count(*), count(*) FILTER (WHERE records = 1)
    FROM (SELECT count(*) AS records FROM routing_records GROUP BY created_at) AS stored
"""


def test_a_batch_after_an_unclean_exit_is_isolated_in_groups(database: Database, database_url: str) -> None:
    send_models(database_url, *["a"] * 2500)
    isolate_after_an_unclean_exit(database, database_url, 2500)
    assert execute(database_url, TRANSACTIONS) == [(25, 0)]
    assert execute(database_url, f"SELECT count(*) FROM {QUEUE}") == [(0,)]
    assert verify(database).ok


def test_only_the_group_that_fails_is_isolated_message_by_message(database: Database, database_url: str) -> None:
    refuse_poison(database_url)
    send_models(database_url, *["a"] * 150, "poison", *["b"] * 149)
    isolate_after_an_unclean_exit(database, database_url, 300, slow_path=SlowPath(database, max_attempts=1))
    assert execute(database_url, TRANSACTIONS) == [(2 + 99, 99)]
    assert execute(database_url, "SELECT field, message LIKE '%poison%' FROM dead_letters") == [("database", True)]
    assert verify(database).ok


def test_a_group_never_has_more_bytes_than_the_largest_message(database: Database, database_url: str) -> None:
    send(
        database_url, [an_event(note=note) for note in incompressible_texts(6)]
    )  # a group of two is as long as it may be
    isolate_after_an_unclean_exit(database, database_url, 6)
    assert execute(database_url, TRANSACTIONS) == [(3, 0)]
    # Stored in a hundredth of their length, which is known only when they are read.
    send(database_url, [an_event(note="n" * 200_000) for _ in range(3)] + [an_event(note="n" * 300_000)])
    isolate_after_an_unclean_exit(database, database_url, 4)
    assert execute(database_url, TRANSACTIONS) == [(3 + 3, 3)]
    ((reason,),) = execute(database_url, "SELECT reason FROM dead_letters")
    assert "expected at most 262144 bytes" in reason
    assert verify(database).ok


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_neighbours_of_a_message_that_killed_its_worker_in_a_group_are_ingested(
    database: Database, database_url: str, max_attempts: int
) -> None:
    """The attempt of the group is counted for each of its messages: it must not be the last one of any."""
    send_models(database_url, *"abc")
    killed = SlowPath(database, max_attempts=max_attempts)
    assert len(killed._lease(100)) == 3
    execute(database_url, f"UPDATE {QUEUE} SET vt = clock_timestamp()")  # the lease of the killed worker has expired
    assert drain(database, batch_size=10, max_attempts=max_attempts).result == BatchResult(records=3)


def test_a_message_that_ends_its_worker_even_alone_becomes_a_dead_letter(database: Database, database_url: str) -> None:
    send_models(database_url, "a")
    for _ in range(2):  # in its group, then alone
        assert len(SlowPath(database)._lease(100)) == 1
        execute(database_url, f"UPDATE {QUEUE} SET vt = clock_timestamp()")
    assert drain(database, batch_size=10, max_attempts=1).result == BatchResult(dead_letters=1)
    assert execute(database_url, "SELECT reason FROM dead_letters") == [
        ("message: 2 attempts did not finish: it may kill its worker",)
    ]


def test_a_group_that_takes_too_long_is_isolated_message_by_message(database: Database, database_url: str) -> None:
    """PostgreSQL may take long for one message: the group has the usual time limit, a single message has more."""
    execute(
        database_url,
        """
        CREATE FUNCTION cancel_groups() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM added) > 1 THEN
                RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER cancel_groups AFTER INSERT ON routing_records REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION cancel_groups();
        """,
    )
    send_models(database_url, *"abcde")
    slow_path = SlowPath(database)
    with pytest.raises(psycopg.errors.QueryCanceled):
        slow_path.ingest(5)
    assert slow_path.ingest(5) == (BatchResult(records=5), 5)
    assert execute(database_url, TRANSACTIONS) == [(5, 5)]
    assert execute(database_url, f"SELECT count(*) FROM {QUEUE}") == [(0,)]
