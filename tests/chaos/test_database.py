"""A database that crashes, refuses work or is slowed down while events are sent and ingested."""

import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from support.load import has_newest_scores, load, records
from support.programs import Program
from support.servers import OwnServer, execute
from support.waiting import eventually

StartWorker = Callable[..., Program]


def test_postgresql_stopped_at_once_and_restarted(start_worker: StartWorker, own_server: OwnServer) -> None:
    worker = start_worker(own_server.url)
    rng = random.Random(11)
    with load(own_server.url, decisions=9000, pause_seconds=0.02, within_seconds=30):
        for _ in range(5):
            target = records(own_server.url) + rng.randrange(1, 800)
            eventually(lambda: records(own_server.url) >= target)  # noqa: B023
            own_server.crash()
            own_server.start()
    assert worker.process.poll() is None
    worker.wait_for("database_restored")


@pytest.mark.parametrize("decisions", [6000, pytest.param(51_900, marks=pytest.mark.soak)])
def test_backends_terminated(
    start_worker: StartWorker, start_agent: StartWorker, database_url: str, decisions: int
) -> None:
    """The sessions of consumers, learner and score updater, again and again."""
    worker = start_worker(database_url)
    agent = start_agent(database_url)
    with load(database_url, decisions=decisions, pause_seconds=0.01) as producers:
        while producers.busy:
            execute(
                database_url,
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name ~ '^(centralcloud|instance-agent)/'
                """,
            )
            time.sleep(0.2)  # the pace of the fault
    eventually(lambda: has_newest_scores(database_url))
    assert worker.process.poll() is None
    assert agent.process.poll() is None


def test_a_database_that_is_read_only_for_a_while(start_worker: StartWorker, database_url: str) -> None:
    worker = start_worker(database_url)
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with load(database_url, decisions=3000, pause_seconds=0.02):
        eventually(lambda: records(database_url) > 200)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
            worker.wait_for("database_unavailable")
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
        worker.wait_for("database_restored")
    assert worker.process.poll() is None


@pytest.mark.parametrize("seconds", [6, pytest.param(30, marks=pytest.mark.soak)])
def test_a_transaction_held_open_elsewhere(start_worker: StartWorker, database_url: str, seconds: int) -> None:
    """A snapshot keeps dead rows from being vacuumed: ingest is slower, but does not wait for it."""
    start_worker(database_url)
    with psycopg.connect(database_url) as idle:
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        idle.execute("SELECT count(*) FROM pgmq.q_model_routing_decisions")
        started = time.monotonic()
        with load(database_url, decisions=300 * seconds, pause_seconds=0.15, within_seconds=10) as producers:
            while producers.busy or time.monotonic() - started < seconds:
                seen = records(database_url)
                eventually(lambda: records(database_url) > seen or not producers.busy, within_seconds=5)  # noqa: B023
                threading.Event().wait(0.2)
