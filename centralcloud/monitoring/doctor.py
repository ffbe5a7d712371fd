"""`centralcloud doctor`: what an operator would look at first, looked at."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.diagnostics import (
    Check,
    CheckResult,
    NamedCheckResult,
    Verdict,
    clocks_agree,
    fail,
    http_port_is_free,
    make_checks,
    notifications_arrive,
    ok,
    settings_are_known,
    takes_writes,
    warn,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.schema import check_schema
from centralcloud.store.tables import APPEND_ONLY_TABLES, WORKER_TABLES

_DOCTOR = Query(__package__, "doctor")
_MISSING_PRIVILEGES = Query(__package__, "missing_privileges")
_QUEUE = Query("centralcloud.store", "queue_state")
_LOCK_HOLDERS = Query(__package__, "lock_holders")
_HIDDEN_SNAPSHOTS = Query(__package__, "hidden_snapshots")
_INSTANCES = Query(__package__, "instance_lags")

_OLDEST_SERVER: Final = 140_000
_FEWEST_WEEKS_AHEAD: Final = 2
_OLD_SNAPSHOT_SECONDS: Final = 300.0
_OLD_MESSAGE_SECONDS: Final = 300.0
_LARGE_QUEUE_BYTES: Final = 5 * 2**30
_SILENT_INSTANCE_SECONDS: Final = 600.0
_MOST_NAMED: Final = 10
#: What is still there when looked at again did not come and go.
_LASTING_SECONDS: Final = 1.0

#: Without these nothing can be done, and no waiting helps. That there are partitions is seen to by maintenance.
_FATAL: Final = ("database", "server version", "schema", "privileges", "pgmq", "queues", "accounts")


class Expectations(NamedTuple):
    """Expectations of the settings.

    Attributes:
        unknown_settings: variables that are not settings, each with the setting that may be meant.
        fleet_differences: a line for each fleet setting that the environment sets to another value than the database has.
    """

    http_address: str = "127.0.0.1"
    http_port: int = 0
    unknown_settings: Mapping[str, str | None] = MappingProxyType({})
    fleet_differences: Callable[[psycopg.Connection[Any]], Sequence[str]] = lambda _: ()


class _Doctor:
    def __init__(self, database: Database, expectations: Expectations) -> None:
        self._database = database
        self._expects = expectations
        self._server: dict[str, Any] = {}

    def checks(self) -> list[Check]:
        return [
            Check("settings", lambda: settings_are_known(self._expects.unknown_settings)),
            Check("database", self._reachable),
            Check("server version", self._version, "database"),
            Check("writes", lambda: takes_writes(self._database), "database"),
            Check("locks", self._locks, "database"),
            Check("schema", self._schema, "database"),
            Check("privileges", self._privileges, "schema"),
            Check("fleet settings", self._fleet_settings, "privileges"),
            Check("pgmq", self._pgmq, "schema"),
            Check("queues", self._queues, "pgmq"),
            Check("autovacuum", self._autovacuum, "queues"),
            Check("notifications", lambda: notifications_arrive(self._database), "database"),
            Check("clock", lambda: clocks_agree(self._database), "database"),
            Check("partitions", self._partitions, "schema"),
            Check("accounts", self._accounts, "schema"),
            Check("oldest snapshot", self._snapshot, "database"),
            Check("instances", self._instances, "schema"),
            Check("queue depth", self._queue_depth, "queues"),
            Check("dead letters", self._dead_letters, "schema"),
            Check("learning", self._learning, "schema"),
            Check("HTTP port", lambda: http_port_is_free(self._expects.http_address, self._expects.http_port)),
        ]

    def _reachable(self) -> CheckResult:
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT current_database(), current_user, current_setting('server_version_num')::int"
            ).fetchone()
        assert row is not None
        self._server = {"version": row[2]}
        return ok(f"reached {row[0]} as {row[1]}")

    def _version(self) -> CheckResult:
        version = self._server["version"]
        found = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        if version < _OLDEST_SERVER:
            return fail(f"{found}, expected 14 or newer", "upgrade the server")
        return ok(found)

    def _locks(self) -> CheckResult:
        if holders := self._lasting(_LOCK_HOLDERS.text):
            return warn(
                f"in the way of others: {'; '.join(holders)}",
                "if it need not run, end it as its own role or a superuser: SELECT pg_terminate_backend(process)",
            )
        return ok("nobody holds others up")

    def _schema(self) -> CheckResult:
        check_schema(self._database)
        return ok("the one of this version")

    def _privileges(self) -> CheckResult:
        with self._database.transaction() as connection:
            row = connection.execute(
                _MISSING_PRIVILEGES.text, {"tables": list(WORKER_TABLES), "append_only": list(APPEND_ONLY_TABLES)}
            ).fetchone()
        assert row is not None
        if missing := row[0]:
            more = f", and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
            return fail(
                f"missing: {', '.join(missing[:_MOST_NAMED])}{more}",
                "run `centralcloud grants --apply` as the owner, as after every migrate",
            )
        return ok("every table and function of ours can be used")

    def _fleet_settings(self) -> CheckResult:
        with self._database.transaction() as connection:
            differences = self._expects.fleet_differences(connection)
        if differences:
            return warn(
                f"the environment differs, and the database is used: {'; '.join(differences)}",
                "`centralcloud settings set` changes the database's value, for the whole fleet",
            )
        return ok("this environment sets no other values than the database has")

    def _pgmq(self) -> CheckResult:
        if not self._ask("pgmq_pops_batches"):
            return fail(
                "pgmq is missing, or older than 1.6.2", "install or upgrade it; `centralcloud migrate` installs it"
            )
        return ok(f"there{f', version {version}' if (version := self._ask('pgmq_version')) else ', installed by SQL'}")

    def _queues(self) -> CheckResult:
        if missing := self._ask("missing_queues"):
            return fail(f"missing: {', '.join(missing)}", "make them: SELECT pgmq.create('name'), or migrate again")
        return ok("both are there")

    def _autovacuum(self) -> CheckResult:
        if self._ask("autovacuum") != "on":
            return fail("autovacuum is off", "switch it on: the queue's dead rows are never cleaned up without it")
        if not self._ask("queue_is_vacuumed_often"):
            return warn(
                "the queue has the server's own vacuum settings",
                "ALTER TABLE pgmq.q_model_routing_decisions SET (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 70)",
            )
        return ok("the queue is vacuumed at 1 % of dead rows")

    def _partitions(self) -> CheckResult:
        weeks = self._ask("partition_weeks_ahead")
        if weeks is None:
            return fail(
                "routing_records has no partition for now: nothing can be taken in", "`centralcloud run` makes it"
            )
        if weeks < _FEWEST_WEEKS_AHEAD:
            return warn(f"made for {weeks:.1f} weeks ahead", "is `centralcloud run` running? Maintenance makes them")
        return ok(f"made for {weeks:.0f} weeks ahead")

    def _accounts(self) -> CheckResult:
        if not self._ask("accounts_are_there"):
            return fail(
                "the table accounting or learning_control is empty: nothing can be taken in or learned",
                "`centralcloud verify --repair`",
            )
        return ok("kept")

    def _snapshot(self) -> CheckResult:
        seconds = self._ask("oldest_snapshot_seconds") or 0.0
        if seconds > _OLD_SNAPSHOT_SECONDS:
            return warn(
                f"a transaction is open since {seconds:,.0f} seconds ({self._ask('oldest_snapshot_of')})",
                "end it: while it lasts the queue's dead rows cannot be cleaned up, and ingest becomes slow",
            )
        if hidden := self._lasting(_HIDDEN_SNAPSHOTS.text):
            return warn(
                f"held by other roles, since when is not for this one to see: {'; '.join(hidden)}",
                "look in pg_stat_activity as a superuser, who may also let this role see: GRANT pg_read_all_stats",
            )
        return ok(f"{seconds:,.0f} seconds old")

    def _instances(self) -> CheckResult:
        with self._database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            instances = cursor.execute(_INSTANCES.text).fetchall()
        if not instances:
            return warn(
                "none has acknowledged scores within a day",
                "is `instance-agent run`, or a router with the library, running anywhere?",
            )
        late = [row for row in instances if row["version_lag"] and row["seconds_since_seen"] > _SILENT_INSTANCE_SECONDS]
        if late:
            names = ", ".join(f"{row['instance_id']} ({row['version_lag']} versions)" for row in late[:5])
            return warn(f"{len(late)} of {len(instances)} are behind and silent: {names}", "look at their agents")
        return ok(f"{len(instances)} seen within a day")

    def _queue_depth(self) -> CheckResult:
        with self._database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            queue = cursor.execute(_QUEUE.text).fetchone()
        assert queue is not None
        age, size = queue["oldest_age_seconds"] or 0.0, queue["bytes_on_disk"]
        found = f"{queue['messages']:,} messages, the oldest {age:,.0f} seconds old, {size / 2**20:,.0f} MB on disk"
        if age > _OLD_MESSAGE_SECONDS or size > _LARGE_QUEUE_BYTES:
            return warn(found, "is `centralcloud run` running? See `centralcloud queue`")
        return ok(found)

    def _dead_letters(self) -> CheckResult:
        if number := self._ask("dead_letters"):
            return warn(f"{number:,} are open", "`centralcloud dead-letters list`; mend the sender, then replay them")
        return ok("none is open")

    def _learning(self) -> CheckResult:
        if frozen := self._ask("frozen_reason"):
            return warn(f"publishing is frozen: {frozen}", "`centralcloud unfreeze` when it is time")
        age = self._ask("last_run_seconds")
        if age is None:
            return warn("the learner has never run", "`centralcloud run` runs it on schedule")
        return ok(f"last run {age:,.0f} seconds ago")

    def _lasting(self, query: bytes) -> list[str]:
        """What `query` finds (a transaction's key, text) now and a moment later: the texts."""
        found = self._rows(query)
        if found:
            time.sleep(_LASTING_SECONDS)
            later = self._rows(query)
            found = {key: text for key, text in later.items() if key in found}
        return list(found.values())[:_MOST_NAMED]

    def _rows(self, query: bytes) -> dict[Any, str]:
        with self._database.transaction() as connection:
            return dict(connection.execute(query).fetchall())

    def _ask(self, name: str) -> Any:
        """One column of doctor.sql, asked for when first needed."""
        if name not in self._server:
            with self._database.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
                row = cursor.execute(_DOCTOR.text).fetchone()
            assert row is not None
            self._server |= row
        return self._server[name]


def examine(database: Database, expectations: Expectations) -> Iterator[NamedCheckResult]:
    """Every check, in an order in which the first failure is the one to mend."""
    return make_checks(_Doctor(database, expectations).checks())


def preflight(database: Database) -> None:
    """Make the checks without which nothing can be taken in or learned.

    Raises:
        CentralCloudError: one has failed; says what was found and what to do.
        psycopg.Error: among others, the database is away.
    """
    for check in _Doctor(database, Expectations()).checks():
        if check.name not in _FATAL:
            continue
        finding = check.make()
        if finding.verdict == Verdict.FAIL:
            raise CentralCloudError(f"{check.name}: {finding.found}: {finding.advice}")
