"""The checks of `centralcloud doctor` on the work itself: the daemon, the instances, the queue, learning and findings."""

from collections.abc import Sequence
from typing import Final

from centralcloud.monitoring.daemon_activity import (
    LearnerSchedule,
    check_learner,
    check_workers,
    read_daemon_activity,
)
from centralcloud.monitoring.experiment_checks import check_experiments
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.finding_detector import list_findings
from centralcloud.monitoring.instance_lags import read_instance_lags
from centralcloud.monitoring.rule_choices import ShadowRule, in_words, read_rule_choices, switch_command
from centralcloud.monitoring.score_canaries import check_publication
from centralcloud.runtime.diagnostics import Check, CheckResult, check_transaction, ok, warn
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, ago, counted, percent
from centralcloud.store.queue import read_queue_state

_OLD_MESSAGE_SECONDS: Final = 300.0
_LONG_DELAY_SECONDS: Final = 86_400.0
_LARGE_QUEUE_BYTES: Final = 5 * 2**30
_SILENT_INSTANCE_SECONDS: Final = 600.0
_MOST_NAMED_INSTANCES: Final = 5

_COUNT_DEAD_LETTERS = Query(__package__, "count_dead_letters", row=int)


def work_checks(database: Database, schedule: LearnerSchedule) -> list[Check]:
    """Return the checks; `schedule`: when the learner should run."""
    return [
        Check("daemon", lambda: _daemon(database), "schema"),
        Check("instances", lambda: _instances(database), "schema"),
        Check("queue depth", lambda: _queue_depth(database), "queues"),
        Check("dead letters", lambda: _dead_letters(database), "schema"),
        Check("learning", lambda: _learning(database, schedule), "schema"),
        Check("rule", lambda: _rule(database), "schema"),
        Check("publication", lambda: _publication(database), "schema"),
        Check("experiments", lambda: _experiments(database), "schema"),
        Check("findings", lambda: _findings(database), "schema"),
    ]


def _daemon(database: Database) -> CheckResult:
    with check_transaction(database) as connection:
        return check_workers(read_daemon_activity(connection))


def _instances(database: Database) -> CheckResult:
    with check_transaction(database) as connection:
        instances = read_instance_lags(connection)
    if not instances:
        return warn(
            "no instance that acknowledged scores within a day is registered; a gateway that stops leaves the register",
            "start `instance-agent serve`, `instance-agent run`, or a router that uses the library",
        )
    late = [each for each in instances if each.version_lag and each.seconds_since_seen > _SILENT_INSTANCE_SECONDS]
    if late:
        names = ", ".join(
            f"{each.instance_id} ({counted(each.version_lag, 'version')} behind, seen {ago(each.seconds_since_seen)})"
            for each in late[:_MOST_NAMED_INSTANCES]
        )
        return warn(
            f"{len(late)} of {counted(len(instances), 'instance')} behind and silent: {names}",
            "check their agents",
        )
    return ok(f"{counted(len(instances), 'instance')} seen within a day")


def _queue_depth(database: Database) -> CheckResult:
    with check_transaction(database, seconds=LIMIT_SECONDS) as connection:
        queue = read_queue_state(connection)
    oldest, last_delayed = queue.oldest_waiting_seconds, queue.last_delayed_seconds or 0.0
    found = ", ".join(
        [
            counted(queue.messages, "message"),
            *([] if oldest is None else [f"the oldest {age(oldest)} old"]),
            *([f"{queue.delayed:,} delayed for {age(last_delayed)} at most"] if queue.delayed else []),
            f"{queue.bytes_on_disk / 2**20:,.0f} MB on disk",
        ]
    )
    if (oldest or 0.0) > _OLD_MESSAGE_SECONDS or queue.bytes_on_disk > _LARGE_QUEUE_BYTES:
        return warn(found, "check that `centralcloud run` is running; `centralcloud queue` shows more")
    if last_delayed > _LONG_DELAY_SECONDS:
        return warn(
            found,
            "no worker ingests a message before its delay is over: if it is a mistake of the sender, "
            "UPDATE pgmq.q_model_routing_decisions SET vt = now() WHERE read_ct = 0 AND vt > now()",
        )
    return ok(found)


def _dead_letters(database: Database) -> CheckResult:
    with check_transaction(database) as connection:
        number = _COUNT_DEAD_LETTERS.one(connection)
    if number:
        return warn(
            f"{counted(number, 'dead letter')} open",
            "list them with `centralcloud dead-letters list`; fix the sender, then replay them",
        )
    return ok("no dead letters open")


def _learning(database: Database, schedule: LearnerSchedule) -> CheckResult:
    with check_transaction(database) as connection:
        activity = read_daemon_activity(connection)
    learner = check_learner(activity, schedule)
    if activity.frozen_reason is None:
        return learner
    return warn(
        f"publishing is frozen: {activity.frozen_reason}; {learner.found}",
        "run `centralcloud unfreeze` when that is over",
    )


def _rule(database: Database) -> CheckResult:
    with check_transaction(database) as connection:
        active, shadows = read_rule_choices(connection)
    if active is None:
        return ok("no rule yet: the first daemon stores it")
    return ok("; ".join([active, *map(in_words, shadows)]) + _switch(shadows))


def _publication(database: Database) -> CheckResult | None:
    with check_transaction(database) as connection:
        return check_publication(connection)


def _experiments(database: Database) -> CheckResult | None:
    with check_transaction(database) as connection:
        return check_experiments(read_experiment_states(connection))


def _switch(shadows: Sequence[ShadowRule]) -> str:
    """Return the command that publishes the scores of another rule, where one would choose otherwise."""
    other = next((shadow.rule for shadow in shadows if shadow.differing), None)
    return "" if other is None else f"; {switch_command(other)} switches"


def _findings(database: Database) -> CheckResult:
    with check_transaction(database) as connection:
        found = list_findings(connection)
    if not found:
        return ok("no findings open")
    worst = max(found, key=lambda each: each["traffic_share"] or 0.0)  # the newest of them, if none is weighed
    share = f", {percent(worst['traffic_share'])} of traffic" if worst["traffic_share"] else ""
    return warn(
        f"{counted(len(found), 'finding')} open, above all {worst['kind']}{share}: {worst['message']}",
        "list them with `centralcloud findings`",
    )
