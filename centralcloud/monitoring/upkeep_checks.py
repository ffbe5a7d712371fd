"""The doctor's checks of the daemon's upkeep: partitions, retention, durability, names, and tasks that fail alone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.monitoring.durability import check_durability
from centralcloud.monitoring.name_checks import check_model_names, check_task_types
from centralcloud.monitoring.task_health import check_tasks, read_degraded_tasks
from centralcloud.runtime.diagnostics import Check, CheckResult, check_transaction, fail, ok, warn
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, apart, decimals, listed
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD

_FEWEST_WEEKS_AHEAD: Final = 2
_MOST_NAMED: Final = 5
#: A difference of the server's clock from what was seen that is not a jump.
_TOLERANCE_SECONDS: Final = 300.0


class _PartitionState(NamedTuple):
    """The columns of ``partition_state.sql``.

    Attributes:
        weeks_ahead: for how many weeks from now there are partitions without a gap; None: there is none now.
        gaps: Mondays of weeks without a partition, before a later week that has one.
        unattached: tables that have the name of a partition from this week on, and are not one.
    """

    weeks_ahead: float | None
    gaps: list[str]
    unattached: list[str]


class _RetentionState(NamedTuple):
    """The columns of ``retention_state.sql``."""

    jump_seconds: float | None
    jumped_at: datetime | None
    paused_until: datetime | None
    seen_seconds_ahead: float | None


_PARTITION_STATE = Query(__package__, "partition_state", row=_PartitionState)
_RETENTION_STATE = Query(__package__, "retention_state", row=_RetentionState)


def upkeep_checks(database: Database) -> list[Check]:
    """Return the checks of partitions, retention, durability, names and degraded tasks."""

    def connected(check: Callable[[psycopg.Connection[Any]], CheckResult]) -> Callable[[], CheckResult]:
        def make() -> CheckResult:
            with check_transaction(database) as connection:
                return check(connection)

        return make

    return [
        Check("partitions", connected(check_partitions), "schema"),
        Check("retention", connected(check_retention), "schema"),
        Check("durability", connected(check_durability), "schema"),
        Check("model names", connected(check_model_names), "schema"),
        Check("task types", connected(check_task_types), "schema"),
        Check("tasks", connected(lambda connection: check_tasks(read_degraded_tasks(connection))), "schema"),
    ]


def check_partitions(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that a partition is attached for now and for each coming week, and that no other table has its name."""
    state = _PARTITION_STATE.one(connection, {"weeks": DEFAULT_WEEKS_AHEAD})
    weeks = state.weeks_ahead
    if weeks is None:
        return fail(
            "routing_records has no partition for the current time: no event can be ingested",
            "start `centralcloud run`: it creates the partitions",
        )
    if state.gaps:
        return warn(
            f"routing_records has no partition for the weeks of {listed(state.gaps, _MOST_NAMED)}",
            "start `centralcloud run`: it creates them within an hour, and its log says why it cannot (partition_problem)",
        )
    if weeks < _FEWEST_WEEKS_AHEAD:
        found, expected = apart(weeks, _FEWEST_WEEKS_AHEAD, text=decimals, digits=1)
        return warn(
            f"the newest partition ends in {found} weeks: expected at least {expected}",
            "check that `centralcloud run` is running: its maintenance creates partitions",
        )
    if state.unattached:
        table = state.unattached[0]
        return warn(
            f"not a partition of routing_records, in spite of the name: {listed(state.unattached, _MOST_NAMED)}; "
            "the partition of that week has another name",
            "rename or drop it; if it has records that were detached, first give them back: "
            f"INSERT INTO routing_records OVERRIDING SYSTEM VALUE TABLE {table}",
        )
    return ok(f"created for the next {weeks:.0f} weeks")


def check_retention(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that retention does not wait for the server's clock."""
    state = _RETENTION_STATE.one(connection)
    advice = "check the time synchronization of the server; retention goes on after a day without another jump"
    if state.paused_until is not None and state.jumped_at is not None:
        seconds = state.jump_seconds or 0.0
        side = "behind" if seconds < 0 else "ahead of"
        or_stopped = "" if seconds < 0 else ", or no daemon had looked at it for that long"
        return warn(
            f"retention deletes nothing until {_text(state.paused_until)}: at {_text(state.jumped_at)} the server's clock "
            f"was {age(abs(seconds))} {side} the expected time{or_stopped}",
            advice,
        )
    if (state.seen_seconds_ahead or 0.0) > _TOLERANCE_SECONDS:
        return warn(
            f"the server's clock is {age(state.seen_seconds_ahead or 0.0)} behind the time that a daemon has seen",
            advice,
        )
    return ok("the server's clock is steady")


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"
