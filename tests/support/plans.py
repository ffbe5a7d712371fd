"""Plans of statements, as PostgreSQL executes them."""

from collections.abc import Iterator
from typing import Any

import psycopg


def explain(url: str, statement: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the statement and roll it back; return its plan with the pages that it touched."""
    with psycopg.connect(url) as connection, psycopg.ClientCursor(connection) as cursor:
        cursor.execute(statement, parameters)  # warm up: reading catalogs is not counted
        connection.rollback()
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}", parameters)
        row = cursor.fetchone()
        connection.rollback()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
