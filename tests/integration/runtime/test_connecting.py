"""Connecting to a server that takes its time, and sessions that belong to others, too."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.servers import execute
from support.tcp_proxy import TcpProxy

from centralcloud.runtime.postgres import database as database_module
from centralcloud.runtime.postgres import session
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the three seconds in which a request for a connection is repeated."""
    monkeypatch.setattr(database_module, "_POOL_WAIT_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_the_wait_for_a_connection_is_as_long_as_the_url_allows(proxy: TcpProxy) -> None:
    """A serverless database that wakes up."""
    proxy.delay_seconds = 0.8
    with Database(proxy.url, application_name="tests") as database:
        with database.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert database.connect_seconds == 5


@pytest.mark.usefixtures("impatient")
def test_a_first_host_that_does_not_answer_is_waited_for_and_the_next_one_used(
    proxy: TcpProxy, database_url: str
) -> None:
    with TcpProxy(database_url) as working:
        proxy.pause()
        ports = [psycopg.conninfo.conninfo_to_dict(each.url)["port"] for each in (proxy, working)]
        url = make_conninfo(working.url, host="127.0.0.1,127.0.0.1", port=",".join(map(str, ports)), connect_timeout=2)
        with Database(url, application_name="tests") as database:
            with database.transaction() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert database.connect_seconds == 4


@pytest.mark.usefixtures("impatient")
def test_the_error_says_what_is_waited_for(proxy: TcpProxy) -> None:
    proxy.pause()
    waited = r"^still connecting to 127\.0\.0\.1 \(connect_timeout 5 seconds\) after 0\.\d seconds$"
    with (
        Database(proxy.url, application_name="tests") as database,
        pytest.raises(DatabaseUnavailableError, match=waited),
        database.transaction(limit_seconds=0.3),
    ):
        pass


def test_a_connection_of_our_own_keeps_its_settings_whatever_the_role_says(
    database_url: str, role: str, role_url: str
) -> None:
    """Settings that an administrator may have made for a login, and that would change results or end our work."""
    others = {
        "search_path": "nowhere",
        "statement_timeout": "'1s'",
        "lock_timeout": "'1ms'",
        "idle_in_transaction_session_timeout": "'1ms'",
        "idle_session_timeout": "'1s'",
        "default_transaction_isolation": "serializable",
        "datestyle": "'SQL, DMY'",
        "intervalstyle": "sql_standard",
        "extra_float_digits": "-10",
        "standard_conforming_strings": "off",
        "array_nulls": "off",
    }
    for name, value in others.items():
        execute(database_url, f"ALTER ROLE {role} SET {name} = {value}")
    with Database(role_url, application_name="tests") as database, database.transaction() as connection:
        found = connection.execute(
            """
            SELECT count(*), array_agg(n), '1.1'::float8 * 1.1::float8, now(), interval '1 day 2 hours', '\\n'
            FROM unnest('{1,NULL}'::int[]) AS n
            """
        ).fetchone()
        assert found is not None
        assert found[0] == 2
        assert found[1] == [1, None]
        assert found[2] == 1.1 * 1.1
        assert found[5] == r"\n"
        shown = {name: connection.execute(f"SHOW {name}").fetchone() for name in others}
        assert shown["statement_timeout"] == ("0",)
        assert shown["idle_session_timeout"] == ("0",)
        assert shown["search_path"] == ("public, pg_temp",)
        assert shown["lock_timeout"] == ("12s",)
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A login that may do nothing but connect."""
    name = f"cc_role_{time.monotonic_ns()}"
    execute(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'known'")
    yield name
    execute(database_url, f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def role_url(database_url: str, role: str) -> str:
    return make_conninfo(database_url, user=role, password="known")


def test_in_a_pooled_session_a_transaction_leaves_nothing_and_is_free_of_what_others_left(
    database: Database, database_url: str
) -> None:
    """As through a pooler in transaction mode, where our session was that of another client a moment ago."""
    neighbours = "SET search_path = nowhere; SET statement_timeout = '50ms'; SET default_transaction_read_only = on"
    shown = ("search_path", "statement_timeout", "lock_timeout", "transaction_read_only", "datestyle")
    execute(database_url, "CREATE TABLE counted (n int)")
    with database.plain_connection() as connection:
        connection.is_pooled, connection.lock_timeout = True, session.POOL_LOCK_TIMEOUT
        connection.execute(neighbours.encode())
        before = [connection.execute(f"SHOW {name}").fetchone() for name in shown]
        with connection.transaction():
            session.begin_pooled(connection)
            connection.execute("SELECT pg_sleep(0.1)")
            connection.execute("INSERT INTO counted VALUES (1)")
            assert connection.execute("SHOW lock_timeout").fetchone() == ("12s",)
        assert [connection.execute(f"SHOW {name}").fetchone() for name in shown] == before
    assert execute(database_url, "SELECT n FROM counted") == [(1,)]


def test_a_role_that_is_read_only_stays_read_only_in_a_pooled_session(
    database_url: str, role_url: str, role: str
) -> None:
    """A provider sets this when a disk fills up; only what a neighbour has left is overridden."""
    execute(database_url, f"ALTER ROLE {role} SET default_transaction_read_only = on")
    with (
        Database(role_url, application_name="tests") as database,
        database.plain_connection() as connection,
        connection.transaction(),
    ):
        connection.is_pooled = True
        session.begin_pooled(connection)
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
