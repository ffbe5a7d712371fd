"""A daemon that does not work is a warning, also while no event waits."""

from datetime import UTC, datetime

import pytest

from centralcloud.monitoring.daemon_activity import (
    DaemonActivity,
    LearnerSchedule,
    check_learner,
    check_workers,
)

_ACTIVITY = DaemonActivity(2, "h", 40.0, 30.0, None)


@pytest.mark.parametrize(
    ("changes", "verdict", "found"),
    [
        ({}, "OK", "2 workers running, seen 40 seconds ago"),
        (
            {"running_workers": 0, "last_worker_seconds": 1200.0},
            "WARN",
            "no daemon is running that ingests events; the last worker, on h, was seen 20 minutes ago",
        ),
        (
            {"running_workers": 0, "last_worker_seconds": None, "last_worker_host": None},
            "WARN",
            "no daemon is running that ingests events",
        ),
    ],
)
def test_a_daemon_that_was_not_seen_is_a_warning(changes: dict[str, object], verdict: str, found: str) -> None:
    result = check_workers(_ACTIVITY._replace(**changes))  # type: ignore[arg-type]
    assert (result.verdict, result.found) == (verdict, found)


@pytest.mark.parametrize(
    ("seconds", "schedule", "verdict", "found"),
    [
        (None, LearnerSchedule(), "WARN", "the learner has never run"),
        (180.0, LearnerSchedule(60), "OK", "last run 3 minutes ago"),
        (
            181.0,
            LearnerSchedule(60),
            "WARN",
            "the learner is late: last run 3 minutes ago, and one is due every 60 seconds",
        ),
        (9.0, LearnerSchedule(0.1), "OK", "last run 9 seconds ago"),
        (181.0, LearnerSchedule(3600), "OK", "last run 3 minutes ago"),
        (
            4 * 60.0,
            LearnerSchedule(3600, "* * * * *"),
            "WARN",
            "the learner is late: last run 4 minutes ago, and by the schedule '* * * * *' three runs were due since then",
        ),
        (90.0, LearnerSchedule(0.1, "* * * * *"), "OK", "last run 90 seconds ago"),
        (2 * 86_400.0, LearnerSchedule(0.1, "30 2 * * *"), "OK", "last run 2 days ago"),
        (5 * 86_400.0, LearnerSchedule(60, "30 2 * * *"), "WARN", "the learner is late: last run 5 days ago"),
    ],
)
def test_a_learner_is_late_after_three_intervals_of_its_schedule(
    seconds: float | None, schedule: LearnerSchedule, verdict: str, found: str
) -> None:
    result = check_learner(_ACTIVITY._replace(last_run_seconds=seconds), schedule)
    assert result.verdict == verdict, datetime.now(UTC)
    assert result.found.startswith(found)
