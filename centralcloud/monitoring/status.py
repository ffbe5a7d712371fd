"""How the fleet is doing, on one screen."""

from typing import Any

from psycopg.rows import dict_row

from centralcloud.monitoring.queue_state import queue_state
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_STATUS = Query(__package__, "status")
_MOVED = Query(__package__, "moved_scores")


def fleet_status(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """Workers, queue and rates (over `measure_seconds`), learning, instances behind, dead letters, findings.

    Times are ISO 8601, ages in seconds, scores 0 to 5.
    """
    with database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
        status = cursor.execute(_STATUS.text).fetchone()
        moved = cursor.execute(_MOVED.text).fetchall()
    assert status is not None
    return {"queue": queue_state(database, measure_seconds=measure_seconds), **status, "moved_scores": moved}
