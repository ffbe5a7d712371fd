"""Whether daemons ingest and learn, as the tables show it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, ago, counted

#: Three heartbeats: a worker that was not seen for longer has stopped.
WORKER_SECONDS: Final = 180.0
#: One heartbeat and a half: a worker that was not seen for longer has missed one.
LATE_WORKER_SECONDS: Final = 90.0
#: Intervals of the learner after which it is late.
_LATE_INTERVALS: Final = 3
#: A learner with a very short interval is not late before: a run takes time, too.
_LEAST_LATE_SECONDS: Final = 10.0


class DaemonActivity(NamedTuple):
    """The newest signs of activity of the daemons, by the server's clock.

    Attributes:
        running_workers: processes that ingest and were seen within three heartbeats.
        last_worker_host: the host of the worker that was seen last, if one is registered.
        last_worker_seconds: time since it was seen, in seconds.
        last_run_seconds: time since the last run of the learner ended, in seconds; None before the first run.
        frozen_reason: why publishing is frozen; None if it is not.
    """

    running_workers: int
    last_worker_host: str | None
    last_worker_seconds: float | None
    last_run_seconds: float | None
    frozen_reason: str | None


class LearnerSchedule(NamedTuple):
    """When the learner should run: every `interval_seconds`, or by the crontab schedule, if there is one."""

    interval_seconds: float = 60.0
    crontab: str | None = None


_DAEMON_ACTIVITY = Query(__package__, "daemon_activity", row=DaemonActivity)


def read_daemon_activity(connection: psycopg.Connection[Any]) -> DaemonActivity:
    """Read the newest signs of activity."""
    return _DAEMON_ACTIVITY.one(connection, {"worker_seconds": WORKER_SECONDS})


def check_workers(activity: DaemonActivity) -> CheckResult:
    """Check that a daemon ingests. It is a warning with an empty queue, too: the next event would wait."""
    if activity.running_workers:
        return ok(
            f"{counted(activity.running_workers, 'worker')} running, seen {ago(activity.last_worker_seconds or 0)}"
        )
    last = ""
    if activity.last_worker_seconds is not None:
        last = f"; the last worker, on {activity.last_worker_host}, was seen {ago(activity.last_worker_seconds)}"
    return warn(
        f"no daemon is running that ingests events{last}",
        "start `centralcloud run`; expected where `centralcloud drain` runs on a schedule instead",
    )


def check_learner(activity: DaemonActivity, schedule: LearnerSchedule) -> CheckResult:
    """Check that the learner runs on its schedule: it is late after three intervals without a run."""
    seconds = activity.last_run_seconds
    if seconds is None:
        return warn("the learner has never run", "start `centralcloud run`: it runs the learner on a schedule")
    if seconds < -WORKER_SECONDS:
        return warn(
            f"the last run of the learner is {age(-seconds)} ahead of the server's clock: it was ahead then, or is behind",
            "check the time synchronization of the server; the next run ends this",
        )
    if not is_late(seconds, schedule):
        return ok(f"last run {ago(seconds)}")
    if schedule.crontab:
        due = f"by the schedule {schedule.crontab!r} three runs were due since then"
    else:
        due = f"one is due every {age(schedule.interval_seconds)}"
    return warn(
        f"the learner is late: last run {ago(seconds)}, and {due}",
        "check that `centralcloud run` is running, and its log; the schedule is that of this command's environment "
        "(CENTRALCLOUD_LEARN_INTERVAL_SECONDS, CENTRALCLOUD_LEARN_SCHEDULE): a daemon may have another",
    )


def is_late(last_run_seconds: float, schedule: LearnerSchedule) -> bool:
    """Return whether three intervals have passed since the last run."""
    if schedule.crontab is None:
        return last_run_seconds > max(_LATE_INTERVALS * schedule.interval_seconds, _LEAST_LATE_SECONDS)
    # Here: it brings APScheduler, which the dashboard does not need otherwise.
    from centralcloud.runtime.process.schedule import parse_crontab

    trigger = parse_crontab(schedule.crontab)
    now = datetime.now(UTC)
    moment = now - timedelta(seconds=last_run_seconds)
    for _ in range(_LATE_INTERVALS):
        due = trigger.get_next_fire_time(None, moment + timedelta(seconds=1))
        if due is None or due > now:
            return False
        moment = due
    return True
