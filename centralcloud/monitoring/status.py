"""The state of the fleet, on one screen."""

from typing import Any

from centralcloud.monitoring.queue_state import queue_state
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_STATUS = Query(__package__, "status", row=dict)
_MOVED_SCORES = Query(__package__, "moved_scores", row=dict)


def fleet_status(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """Read workers, queue and rates (over `measure_seconds`), learning, instances behind, dead letters, and findings.

    Times are ISO 8601, ages in seconds, scores 0 to 5.
    """
    with database.transaction() as connection:
        status = _STATUS.one(connection)
        moved = _MOVED_SCORES.all(connection)
    return {"queue": queue_state(database, measure_seconds=measure_seconds), **status, "moved_scores": moved}
