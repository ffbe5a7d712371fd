"""Connections that are lost or silent, and transactions that take too long: every wait has an end."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.waiting import Ready, Wait
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.runtime.postgres import database as database_module
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_outage

_TERMINATE = """
    SELECT count(pg_terminate_backend(pid))
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def behind(proxy: TcpProxy) -> Iterator[Database]:
    """The test's own database, reached through the proxy."""
    with Database(proxy.url, application_name="tests") as database:
        yield database


def fill_pool(database: Database, connections: int) -> None:
    """Use `connections` at the same time, so that as many are idle afterwards."""
    together = threading.Barrier(connections)

    def use() -> None:
        with database.transaction():
            together.wait(10)

    threads = [threading.Thread(target=use) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def failure_of(work: Callable[[], object], *, within_seconds: float) -> BaseException:
    """Return the error that `work` raises; fails when it does not end in time."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(within_seconds)
    assert not thread.is_alive(), f"still waiting after {within_seconds} seconds"
    return failures[0]


def test_a_connection_that_the_server_has_ended_never_reaches_a_caller(database: Database, database_url: str) -> None:
    fill_pool(database, 6)
    assert execute(database_url, _TERMINATE) == [(6,)]
    eventually(lambda: not execute(database_url, _SESSIONS))
    for _ in range(8):
        with database.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def statement(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    fall_silent()
    connection.execute("SELECT 1")


def large_statement(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    fall_silent()
    connection.execute("SELECT length(%s)", ("x" * 30_000_000,))


def pipeline(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    fall_silent()
    connection.cursor().executemany("SELECT %s", [(n,) for n in range(10_000)])


def copy(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    connection.execute("CREATE TEMP TABLE copied (text text)")
    with connection.cursor().copy("COPY copied FROM STDIN") as rows:
        fall_silent()
        for _ in range(1_000):
            rows.write_row(("x" * 10_000,))


def commit(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    fall_silent()


def rollback(connection: psycopg.Connection, fall_silent: Callable[[], None]) -> None:
    fall_silent()
    raise ValueError("a reason to roll back")


@pytest.mark.parametrize("step", [statement, large_statement, pipeline, copy, commit, rollback])
def test_a_transaction_without_an_answer_ends_with_its_limit(
    proxy: TcpProxy, behind: Database, step: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        with behind.transaction(limit_seconds=1) as connection:
            step(connection, proxy.pause)

    assert is_outage(failure_of(work, within_seconds=3))
    assert caplog.text.count("connection_timed_out") == 1


def test_connections_that_have_fallen_silent_cost_one_wait_together(
    proxy: TcpProxy, behind: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "ANSWER_SECONDS", 1.0)
    fill_pool(behind, 6)
    proxy.pause()
    proxy.resume()  # from here on only connections that are new can work
    started = time.monotonic()
    with behind.transaction() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - started < 3, "one wait for an answer, and a new connection"


def test_a_connection_that_falls_silent_before_it_is_set_up_does_not_stop_the_pool(
    proxy: TcpProxy, behind: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "ANSWER_SECONDS", 0.3)
    set_up = database_module._configure
    silences = iter([proxy.pause])

    def fall_silent_once(connection) -> None:
        next(silences, lambda: None)()
        proxy.resume()
        set_up(connection)

    monkeypatch.setattr(database_module, "_configure", fall_silent_once)
    with behind.transaction() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert caplog.text.count("connection_timed_out") == 1


def test_a_transaction_that_takes_longer_than_its_limit_is_rolled_back(database: Database, database_url: str) -> None:
    execute(database_url, "CREATE TABLE counted (n int)")

    def work() -> None:
        with database.transaction(limit_seconds=0.3) as connection:
            connection.execute("INSERT INTO counted VALUES (1)")
            connection.execute("SELECT pg_sleep(2)")

    assert is_outage(failure_of(work, within_seconds=2))
    with database.transaction(limit_seconds=0.3) as connection:
        connection.execute("INSERT INTO counted VALUES (2)")
    asleep = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%%'"
    eventually(lambda: not execute(database_url, asleep), what="the end of the closed session")
    assert execute(database_url, "SELECT n FROM counted") == [(2,)]


def test_without_a_limit_a_transaction_takes_its_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "ANSWER_SECONDS", 0.1)
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SELECT pg_sleep(0.5)")


def test_an_answer_that_has_arrived_is_used_however_late(database: Database) -> None:
    """A transaction with a complete answer is never reported as failed."""

    def answered_after(waits: int) -> Iterator[Wait]:
        for _ in range(waits):
            yield Wait.R
        return "the answer"

    connection = database.connect()
    long_ago = time.monotonic() - 60
    waiting = connection._until(long_ago, answered_after(waits=1))
    assert next(waiting) is Wait.R
    with pytest.raises(StopIteration, match="the answer"):
        waiting.send(Ready.R)
    assert not connection.closed
    waiting = connection._until(long_ago, answered_after(waits=2))
    next(waiting)
    with pytest.raises(psycopg.OperationalError, match="no answer from the server, gave up after"):
        waiting.send(Ready.R)
    assert connection.closed


def test_a_returned_connection_is_never_closed_by_its_old_deadline(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pids = set()
    for _ in range(3):
        with database.transaction(limit_seconds=0.2) as connection:
            pids.add(connection.info.backend_pid)
        ended = time.monotonic()
        eventually(lambda: time.monotonic() - ended > 0.3)  # noqa: B023 - past the deadline, the connection is idle
    assert len(pids) == 1
    assert "connection_timed_out" not in caplog.text


def test_the_wait_for_a_full_pool_is_limited(database_url: str) -> None:
    with Database(database_url, application_name="tests", max_connections=1) as database, database.transaction():

        def work() -> None:
            with database.transaction(limit_seconds=0.2):
                pass

        error = failure_of(work, within_seconds=2)
        assert isinstance(error, DatabaseUnavailableError)
        assert str(error) == "no free connection in the pool"


def test_sessions_release_locks_by_themselves(database: Database) -> None:
    """Settings on the server: for a client that vanished, and for a lock that is not granted."""
    limits = "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout')"
    with database.transaction() as connection:
        assert connection.execute(limits).fetchone() == ("15s", "12s")
    with database.connect(autocommit=True) as connection:
        assert connection.execute(limits).fetchone() == ("15s", "0"), "a migration waits for another migration"


@pytest.mark.parametrize("borrow", ["connection", "transaction"])
def test_a_session_that_may_only_read_is_not_used_again(database_url: str, borrow: str) -> None:
    """It was opened while the database was read-only, and keeps the setting of its start for as long as it lives."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    read_only = f"ALTER DATABASE {name} SET default_transaction_read_only"
    execute(database_url, f"{read_only} = on")
    with Database(database_url, application_name="tests", own_connections=1) as database:
        with database.connection() as connection:
            connection.execute("SELECT 1")
        with psycopg.connect(database_url, options="-c default_transaction_read_only=off") as administrator:
            administrator.execute(f"{read_only} = off")
        with (
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refused,
            getattr(database, borrow)() as connection,
        ):
            connection.execute("CREATE TABLE written (id integer)")
        assert is_outage(refused.value)
        with getattr(database, borrow)() as connection:
            connection.execute("CREATE TABLE written (id integer)")
