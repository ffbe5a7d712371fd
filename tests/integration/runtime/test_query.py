"""Queries loaded from files: the rows they return, and a query without a row."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from centralcloud.runtime.postgres.query import Query


class Point(NamedTuple):
    x: int
    name: str | None


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


@pytest.fixture
def query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Query[Any]]]:
    """Make a query from the text of its file."""
    package = tmp_path / "package_with_queries"
    (package / "sql").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text: str, **row: Any) -> Query[Any]:
        (package / "sql" / "a_query.sql").write_text(text)
        return Query("package_with_queries", "a_query", **row)

    yield make
    sys.modules.pop("package_with_queries", None)


@pytest.mark.parametrize(
    ("row", "expected"),
    [({}, (1, "a")), ({"row": dict}, {"x": 1, "name": "a"}), ({"row": Point}, Point(1, "a")), ({"row": int}, 1)],
)
def test_a_row_becomes_what_was_asked_for(
    query: Callable[..., Query[Any]], connection: psycopg.Connection[Any], row: dict[str, Any], expected: object
) -> None:
    loaded = query("SELECT %(x)s::int AS x, 'a' AS name", **row)
    assert loaded.one(connection, {"x": 1}) == expected
    assert loaded.maybe(connection, {"x": 1}) == expected
    assert loaded.all(connection, {"x": 1}) == [expected]


def test_a_query_that_always_has_a_row_names_its_file_when_it_has_none(
    query: Callable[..., Query[Any]], connection: psycopg.Connection[Any]
) -> None:
    empty = query("SELECT 1 WHERE false", row=int)
    assert empty.maybe(connection) is None
    assert empty.all(connection) == []
    with pytest.raises(RuntimeError, match=r"^a_query.sql: found no row, expected one$"):
        empty.one(connection)


def test_a_null_is_a_value_and_not_a_missing_row(
    query: Callable[..., Query[Any]], connection: psycopg.Connection[Any]
) -> None:
    assert query("SELECT NULL::text", row=str).one(connection) is None


def test_of_several_statements_the_last_one_has_the_rows(
    query: Callable[..., Query[Any]], connection: psycopg.Connection[Any]
) -> None:
    assert query("SELECT 1; SELECT 2", row=int).one(connection) == 2


def test_run_counts_the_rows_it_touched_and_each_set_of_parameters_gets_its_row(
    query: Callable[..., Query[Any]], connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TEMPORARY TABLE points (x int)")
    insert = query("INSERT INTO points VALUES (%(x)s) RETURNING x", row=int)
    assert insert.run(connection, {"x": 1}) == 1
    assert insert.one_each(connection, [{"x": x} for x in (2, 3)]) == [2, 3]
    assert insert.one_each(connection, []) == []
    insert.run_each(connection, [{"x": x} for x in (4, 5)])
    assert query("UPDATE points SET x = x").run(connection) == 5


def test_each_keeps_some_of_the_rows_in_memory(
    connection: psycopg.Connection[Any], query: Callable[..., Query[Any]]
) -> None:
    text = "SELECT n AS x, repeat('y', 1000) AS name FROM generate_series(1, %(count)s) AS n ORDER BY n"
    points = query(text, row=Point).each(connection, {"count": 20_000})
    tracemalloc.start()
    try:
        total = sum(point.x for point in points)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 20_000 * 20_001 // 2
    assert peak_bytes < 4_000_000, "of 20 MB"
    assert query("SELECT 1", row=int).one(connection) == 1, "the connection is free again"


def test_each_raises_the_error_of_a_row_in_the_middle(
    connection: psycopg.Connection[Any], query: Callable[..., Query[Any]]
) -> None:
    quotients = query("SELECT 1 / (5000 - n) FROM generate_series(1, 6000) AS n", row=int).each(connection)
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(quotients)
