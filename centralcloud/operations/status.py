"""How the fleet is doing, on one screen."""

from typing import Any

from psycopg.rows import dict_row

from centralcloud.operations.decision_queue import queue_state
from centralcloud.runtime.database import Database
from centralcloud.store import queries

_STATUS = queries.load("status")
_MOVED = queries.load("moved_scores")


def fleet_status(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """Workers, queue and rates (over `measure_seconds`), learning, instances behind, dead letters, findings.

    Times are ISO 8601, ages in seconds, scores 0 to 5.
    """
    with database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
        status = cursor.execute(_STATUS).fetchone()
        moved = cursor.execute(_MOVED).fetchall()
    assert status is not None
    return {"queue": queue_state(database, measure_seconds=measure_seconds), **status, "moved_scores": moved}
