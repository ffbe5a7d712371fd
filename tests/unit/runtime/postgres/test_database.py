"""Errors of an unavailable server: within the time limit, and with the cause."""

import socket
import threading
import time

import psycopg
import pytest

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_outage


def test_a_server_that_accepts_but_never_answers_is_unavailable_within_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://user@127.0.0.1:{silent.getsockname()[1]}/none?connect_timeout=2"
        with Database(url, application_name="tests") as database:
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailableError), database.transaction(limit_seconds=0.3):
                pass
            assert time.monotonic() - started < 2


def test_a_refused_connection_is_reported_with_its_reason() -> None:
    with (
        Database("postgresql://user@127.0.0.1:1/none", application_name="tests") as database,
        pytest.raises(DatabaseUnavailableError, match="Connection refused"),
        database.transaction(limit_seconds=0.3),
    ):
        pass


def test_a_run_that_outlives_the_close_opens_no_other_pool() -> None:
    """Nothing would close that pool, and at the end of the interpreter no thread can start for it."""
    database = Database("postgresql://user@127.0.0.1:1/none", application_name="tests")
    database.open()
    database.close()
    threads = threading.active_count()
    with pytest.raises(psycopg.OperationalError, match="closed") as raised, database.transaction(limit_seconds=0.3):
        pass
    assert is_outage(raised.value)
    assert threading.active_count() == threads
