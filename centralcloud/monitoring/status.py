"""The state of the fleet, on one screen."""

from typing import Any

from centralcloud.monitoring.daemon_activity import (
    WORKER_SECONDS,
    LearnerSchedule,
    check_learner,
    check_workers,
    read_daemon_activity,
)
from centralcloud.monitoring.queue_state import queue_state
from centralcloud.monitoring.task_health import check_tasks, read_degraded_tasks
from centralcloud.monitoring.upkeep_checks import check_partitions, check_retention
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_STATUS = Query(__package__, "status", row=dict)
_MOVED_SCORES = Query(__package__, "moved_scores", row=dict)


def fleet_status(
    database: Database, *, measure_seconds: float, learner_schedule: LearnerSchedule | None = None
) -> dict[str, Any]:
    """Read workers, queue and rates (over `measure_seconds`), learning, instances behind, dead letters, and findings.

    Times are ISO 8601, ages in seconds, scores 0 to 5, traffic shares 0 to 1. `warnings` are those of the doctor's checks of
    the daemons: `daemon`, `learning`, `partitions`, `retention` and `tasks`. `running_workers` counts the workers that were
    seen within three heartbeats, which are `running`; one that was killed stays in the list for a day.
    """
    with database.transaction() as connection:
        status = _STATUS.one(connection, {"worker_seconds": WORKER_SECONDS})
        moved = _MOVED_SCORES.all(connection)
        activity = read_daemon_activity(connection)
        upkeep = {
            "partitions": check_partitions(connection),
            "retention": check_retention(connection),
            "tasks": check_tasks(read_degraded_tasks(connection)),
        }
    checks = {
        "daemon": check_workers(activity),
        "learning": check_learner(activity, learner_schedule or LearnerSchedule()),
        **upkeep,
    }
    return {
        "queue": queue_state(database, measure_seconds=measure_seconds),
        **status,
        "moved_scores": moved,
        "running_workers": activity.running_workers,
        "warnings": [
            {"check": name, "found": result.found, "advice": result.advice}
            for name, result in checks.items()
            if result.verdict != Verdict.OK
        ],
    }
