"""The state of the fleet, on one screen."""

from typing import Any

from centralcloud.monitoring.daemon_activity import (
    WORKER_SECONDS,
    LearnerSchedule,
    check_learner,
    check_workers,
    read_daemon_activity,
)
from centralcloud.monitoring.experiment_checks import as_json as experiments_as_json
from centralcloud.monitoring.experiment_checks import check_experiments
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.queue_state import queue_state
from centralcloud.monitoring.rule_choices import ShadowRule, in_words, read_rule_choices
from centralcloud.monitoring.score_canaries import as_json as score_canaries_as_json
from centralcloud.monitoring.score_canaries import read_score_canaries
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
    """Read workers, queue and rates (over `measure_seconds`), learning, rules, instances behind, dead letters, and findings.

    Times are ISO 8601, ages in seconds, scores 0 to 5, traffic shares 0 to 1. `warnings` are those of the doctor's checks of
    the daemons: `daemon`, `learning`, `partitions`, `retention`, `tasks` and `experiments`. `running_workers` counts the
    workers that were seen within three heartbeats, which are `running`; one that was killed stays in the list for a day.
    """
    with database.transaction() as connection:
        status = _STATUS.one(connection, {"worker_seconds": WORKER_SECONDS})
        moved = _MOVED_SCORES.all(connection)
        rules = read_rule_choices(connection)
        experiments = read_experiment_states(connection)
        canaries = read_score_canaries(connection)
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
        "experiments": check_experiments(experiments),
    }
    return {
        "queue": queue_state(database, measure_seconds=measure_seconds),
        **status,
        "moved_scores": moved,
        "shadow_rules": [_as_json(shadow) for shadow in rules.shadows],
        "experiments": experiments_as_json(experiments),
        "score_canaries": score_canaries_as_json(canaries),
        "running_workers": activity.running_workers,
        "warnings": [
            {"check": name, "found": result.found, "advice": result.advice}
            for name, result in checks.items()
            if result is not None and result.verdict != Verdict.OK
        ],
    }


def _as_json(shadow: ShadowRule) -> dict[str, Any]:
    """Return a rule in the shadow of the active one; `found` says what it would choose otherwise."""
    return {
        "rule": shadow.rule,
        "traffic_share": shadow.traffic_share,
        "choices": [
            {"complexity": each.complexity, "active": each.active, "others": list(each.others), "same": each.same}
            for each in shadow.choices
        ],
        "found": in_words(shadow),
    }
