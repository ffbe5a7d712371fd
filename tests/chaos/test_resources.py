"""A server of its own that runs out of what it needs: disk space, connections, processes.

How long each scenario takes is logged: `pytest --log-cli-level=INFO tests/chaos/test_resources.py`.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psycopg
import pytest
from psycopg.rows import scalar_row
from support.disks import a_small_disk, fill
from support.load import load, queued, records
from support.programs import Program
from support.servers import OwnServer, execute, with_database
from support.waiting import eventually, passes

from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate

StartWorker = Callable[..., Program]

log = logging.getLogger(__name__)

_DISK = "256m"
_CONNECTIONS = 24
_OF_THE_DAEMON = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'centralcloud/%'"
_TAKEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'others'"
_SETTINGS = (f"max_connections = {_CONNECTIONS}", "min_wal_size = '32MB'", "max_wal_size = '64MB'")


@pytest.fixture(scope="module")
def small_server() -> Iterator[OwnServer]:
    with a_small_disk(_DISK) as folder:
        server = OwnServer(str(folder))
        try:
            with Database(server.url, application_name="tests") as database:
                migrate(database)
                ensure_partitions(database)
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE template TEMPLATE postgres")
                for setting in _SETTINGS:
                    connection.execute(f"ALTER SYSTEM SET {setting}")
            server.stop()
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def small_url(small_server: OwnServer) -> Iterator[str]:
    """A database with the newest schema and nothing in it."""
    with psycopg.connect(small_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test TEMPLATE template STRATEGY file_copy")
    yield with_database(small_server.url, "test")
    with psycopg.connect(small_server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE test WITH (FORCE)")


def ingest_again(url: str, since: float) -> float:
    """Return how many seconds after `since` the next event was ingested."""
    before = eventually(lambda: records(url), what="an answer")
    eventually(lambda: records(url) > before, what="ingest again")
    return time.monotonic() - since


@pytest.mark.parametrize("seconds", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_a_full_disk_is_waited_out(
    small_server: OwnServer, small_url: str, start_worker: StartWorker, seconds: int
) -> None:
    """Whether the server refuses to write or ends: when there is space again, and it runs, ingest goes on."""
    disk = small_server.data.parent
    if not os.path.ismount(disk):
        pytest.skip("only root may mount the small file system that this test fills")
    worker = start_worker(small_url)
    with load(small_url, decisions=None, pause_seconds=0.05) as producers:
        eventually(lambda: records(small_url) > 300, what="ingest in full swing")
        ballast = disk / "ballast"
        worker.process.send_signal(signal.SIGSTOP)  # so that it has something to write when the disk is full
        eventually(lambda: queued(small_url) > 3000, what="events that wait")

        def is_full() -> bool:
            """Fill also what the server has freed in the meantime."""
            fill(disk, ballast)
            return "database_unavailable" in worker.events()

        is_full()
        worker.process.send_signal(signal.SIGCONT)
        eventually(is_full, what="database_unavailable")
        passes(lambda: not is_full(), within_seconds=seconds)  # the length of the fault
        ended = not small_server.running
        ballast.unlink()
        if ended:
            small_server.crash()
            small_server.start()
        again = ingest_again(small_url, time.monotonic())
        producers.enough()
    worker.wait_for("database_restored")
    assert worker.process.poll() is None
    log.info("disk full for %d s, server ended: %s: %d confirmed, 0 lost, 0 doubled, ingest again after %.1f s",
             seconds, ended, producers.confirmed, again)  # fmt: skip


@pytest.mark.parametrize("seconds", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_all_connections_taken_by_others(small_url: str, start_worker: StartWorker, seconds: int) -> None:
    worker = start_worker(small_url)
    with load(small_url, decisions=None, pause_seconds=0.05) as producers:
        eventually(lambda: records(small_url) > 300, what="ingest in full swing")
        with ExitStack() as others:

            def another() -> psycopg.Connection:
                return others.enter_context(
                    psycopg.connect(small_url, autocommit=True, application_name="others", row_factory=scalar_row)
                )

            first = another()

            def all_taken() -> bool:
                first.execute(f"SELECT pg_terminate_backend(pid) FROM ({_OF_THE_DAEMON}) AS daemons")
                with suppress(psycopg.OperationalError):  # too many clients
                    while True:
                        another()
                return first.execute(_TAKEN).fetchone() == _CONNECTIONS

            eventually(all_taken, what="no connection for others")
            before = first.execute("SELECT count(*) FROM routing_records").fetchone()
            worker.wait_for("database_unavailable")
            time.sleep(seconds)  # the length of the fault
            assert first.execute("SELECT count(*) FROM routing_records").fetchone() == before, "none was left"
        again = ingest_again(small_url, time.monotonic())
        producers.enough()
    worker.wait_for("database_restored")
    assert worker.process.poll() is None
    log.info("all connections taken for %d s: %d confirmed, 0 lost, 0 doubled, ingest again after %.1f s",
             seconds, producers.confirmed, again)  # fmt: skip


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.soak)])
def test_backends_killed(small_server: OwnServer, small_url: str, start_worker: StartWorker, kills: int) -> None:
    """`kill -9`, as by the kernel without memory: the server ends every session and recovers."""
    worker = start_worker(small_url)
    longest = 0.0
    with load(small_url, decisions=None, pause_seconds=0.02) as producers:
        for _ in range(kills):
            target = records(small_url) + 300
            eventually(lambda: records(small_url) > target, what="ingest in full swing")  # noqa: B023
            os.kill(execute(small_url, _OF_THE_DAEMON)[0][0], signal.SIGKILL)
            killed_at = time.monotonic()
            assert passes(lambda: not is_answering(small_url), within_seconds=5)
            longest = max(longest, ingest_again(small_url, killed_at))
        producers.enough()
    worker.wait_for("database_restored")
    assert worker.process.poll() is None
    log.info("%d backends killed: %d confirmed, 0 lost, 0 doubled, ingest again after at most %.1f s",
             kills, producers.confirmed, longest)  # fmt: skip


def is_answering(url: str) -> bool:
    try:
        return execute(url, "SELECT true") == [(True,)]
    except psycopg.OperationalError:
        return False
