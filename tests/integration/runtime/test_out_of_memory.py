"""A client without memory for a result: libpq reports it without an SQLSTATE, and it is an outage, not a fatal error."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from centralcloud.runtime.postgres.errors import is_out_of_memory, is_outage

_MORE_BYTES = 48 * 2**20


@contextmanager
def little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MORE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    "query",
    ["SELECT repeat('x', 100000000)", "SELECT repeat('x', 1000000) FROM generate_series(1, 1000)"],
    ids=["one value", "many rows"],
)
def test_a_result_that_does_not_fit_into_memory_is_an_outage(server: str, query: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        with little_memory(), pytest.raises(psycopg.Error) as caught:
            connection.execute(query)
        assert caught.value.sqlstate is None
        assert is_out_of_memory(caught.value)
        assert is_outage(caught.value)


def test_a_server_without_memory_is_an_outage(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'; END $$")
    assert is_out_of_memory(caught.value)
    assert is_outage(caught.value)
    assert not is_out_of_memory(psycopg.errors.LockNotAvailable("out of memory is only a text here"))
