"""The checks of `centralcloud doctor`: the things that an operator would look at first."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.monitoring.daemon_activity import LearnerSchedule
from centralcloud.monitoring.hidden_snapshots import read_hidden_snapshots
from centralcloud.monitoring.history_checks import check_history, check_sequences
from centralcloud.monitoring.login_settings import check_login_settings
from centralcloud.monitoring.upkeep_checks import upkeep_checks
from centralcloud.monitoring.work_checks import work_checks
from centralcloud.runtime.diagnostics import (
    CHECK_SECONDS,
    ROW_SECURITY_CHECK,
    Check,
    CheckResult,
    NamedCheckResult,
    Verdict,
    check_http_port,
    check_transaction,
    clocks_agree,
    fail,
    make_checks,
    notifications_arrive,
    ok,
    settings_are_known,
    takes_writes,
    warn,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import ROW_SECURITY_ADVICE, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, listed
from centralcloud.store.privileges import missing_privileges
from centralcloud.store.schema_revision import check_schema
from centralcloud.store.table_names import APPEND_ONLY_TABLES, CONFIGURATION_TABLES, TABLES, WORKER_TABLES

_OLDEST_SERVER: Final = 140_000
_OLD_SNAPSHOT_SECONDS: Final = 300.0
_MOST_NAMED: Final = 10
#: A lock or snapshot that is still held after this long is reported; shorter ones are part of normal work.
_PERSISTENT_SECONDS: Final = 1.0

#: Checks without which nothing works, and waiting does not help. Missing partitions are not among them: maintenance creates
#: them.
_FATAL: Final = (
    "database",
    "server version",
    "schema",
    "pgmq",
    "queues",
    "privileges",
    ROW_SECURITY_CHECK,
    "message ledger",
)


class Expectations(NamedTuple):
    """The settings that the checks compare with.

    Attributes:
        unknown_settings: variables that begin like a setting and are not one, each with the setting that may be meant.
        learner_schedule: when the learner should run.
        fleet_differences: a line for each fleet setting that the environment sets to another value than the database has.
    """

    http_address: str = "127.0.0.1"
    http_port: int = 0
    unknown_settings: Mapping[str, str | None] = MappingProxyType({})
    fleet_differences: Callable[[psycopg.Connection[Any]], Sequence[str]] = lambda _: ()
    learner_schedule: LearnerSchedule = LearnerSchedule()


class _ConnectedServer(NamedTuple):
    database: str
    role: str
    version_number: int


class _LockHolder(NamedTuple):
    transaction: str
    holder: str


class _ServerState(NamedTuple):
    """The columns of ``doctor.sql``."""

    pgmq_pops_batches: bool
    pgmq_version: str | None
    missing_queues: list[str]
    missing_tables: list[str]
    autovacuum: str
    queue_is_vacuumed_early: bool


class _Snapshot(NamedTuple):
    seconds: float
    holder: str


_CONNECTED_SERVER = Query(__package__, "connected_server", row=_ConnectedServer)
_DOCTOR = Query(__package__, "doctor", row=_ServerState)
_TABLES_WITH_ROW_SECURITY = Query(__package__, "tables_with_row_security", row=str)
_OLDEST_SNAPSHOT = Query(__package__, "oldest_snapshot", row=_Snapshot)
_LEDGER_IS_PRESENT = Query(__package__, "ledger_is_present", row=bool)
_LOCK_HOLDERS = Query(__package__, "lock_holders", row=_LockHolder)


class _Doctor:
    def __init__(self, database: Database, expectations: Expectations) -> None:
        self._database = database
        self._expects = expectations
        self._version = 0

    def checks(self) -> list[Check]:
        return [
            Check("settings", lambda: settings_are_known(self._expects.unknown_settings)),
            Check("database", self._connection),
            Check("server version", self._server_version, "database"),
            Check("login settings", lambda: check_login_settings(self._database), "database"),
            Check("writes", lambda: takes_writes(self._database), "database"),
            Check("locks", self._locks, "database"),
            Check("schema", self._schema, "database"),
            Check("pgmq", self._pgmq, "schema"),
            Check("queues", self._queues, "pgmq"),
            Check("privileges", self._privileges, "schema"),
            Check(ROW_SECURITY_CHECK, self._row_security, "database"),
            Check("fleet settings", self._fleet_settings, "schema"),
            Check("autovacuum", self._autovacuum, "queues"),
            Check("notifications", lambda: notifications_arrive(self._database), "writes"),
            Check("clock", lambda: clocks_agree(self._database), "database"),
            *upkeep_checks(self._database),
            Check("message ledger", self._message_ledger, "schema"),
            Check("sequences", lambda: check_sequences(self._database), "schema"),
            Check("database history", lambda: check_history(self._database), "schema"),
            Check("oldest snapshot", self._oldest_snapshot, "database"),
            *work_checks(self._database, self._expects.learner_schedule),
            Check(
                "HTTP port",
                lambda: check_http_port(self._expects.http_address, self._expects.http_port, "centralcloud"),
            ),
        ]

    @cached_property
    def _state(self) -> _ServerState:
        """Read when a check first needs it: the checks before it make sure that the read works."""
        with check_transaction(self._database) as connection:
            return _DOCTOR.one(connection, {"tables": [*WORKER_TABLES, *APPEND_ONLY_TABLES, *CONFIGURATION_TABLES]})

    def _connection(self) -> CheckResult:
        """Connect outside the pool, which would repeat a connection that is refused."""
        with self._database.connect() as connection, connection.limited(CHECK_SECONDS):
            server = _CONNECTED_SERVER.one(connection)
        self._version = server.version_number
        return ok(f"connected to {server.database} as {server.role}")

    def _server_version(self) -> CheckResult:
        version = self._version
        found = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        if version < _OLDEST_SERVER:
            return fail(f"{found}, expected 14 or newer", "upgrade the server")
        return ok(found)

    def _locks(self) -> CheckResult:
        if holders := self._persistent(_read_lock_holders):
            return warn(
                f"blocking locks: {'; '.join(holders)}",
                "if the process is not needed, end it as its own role or a superuser: SELECT pg_terminate_backend(process)",
            )
        return ok("no blocking locks")

    def _schema(self) -> CheckResult:
        try:
            revision = check_schema(self._database)
            missing = self._state.missing_tables
        except psycopg.errors.InsufficientPrivilege as error:
            return fail(
                f"this role may not look at the schema ({summarize_error(error)})",
                "run `centralcloud grants --apply` as the owner of the tables, or use the role of a worker",
            )
        if missing:
            return fail(
                f"the database is at revision {revision}, but lacks {listed(missing, _MOST_NAMED)}",
                "restore it from a backup: `centralcloud migrate` does not repair a revision that was applied",
            )
        return ok(f"revision {revision}, which this version can use")

    def _privileges(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            missing = missing_privileges(connection)
        if missing:
            return fail(
                f"missing: {listed(missing, _MOST_NAMED)}",
                "run `centralcloud grants --apply` as the owner of the tables, as after every migration",
            )
        return ok("all required privileges are granted")

    def _row_security(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            tables = _TABLES_WITH_ROW_SECURITY.all(connection, {"tables": list(TABLES)})
        if tables:
            return fail(f"it would hide rows from this role: {listed(tables, _MOST_NAMED)}", ROW_SECURITY_ADVICE)
        return ok("every row of every table can be seen")

    def _fleet_settings(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            differences = self._expects.fleet_differences(connection)
        if differences:
            return warn(
                f"the environment differs, and the database is used: {'; '.join(differences)}",
                "`centralcloud settings set` changes the database's value, for the whole fleet",
            )
        return ok("this environment sets no other values than the database has")

    def _pgmq(self) -> CheckResult:
        if not self._state.pgmq_pops_batches:
            return fail(
                "pgmq is missing, or older than 1.6.2", "install or upgrade it; `centralcloud migrate` installs it"
            )
        version = self._state.pgmq_version
        return ok(f"installed as an extension, version {version}" if version else "installed by its SQL")

    def _queues(self) -> CheckResult:
        if missing := self._state.missing_queues:
            return fail(
                f"missing: {', '.join(missing)}",
                "create them with SELECT pgmq.create('name'), or run `centralcloud migrate` again",
            )
        return ok("both queues exist")

    def _autovacuum(self) -> CheckResult:
        if self._state.autovacuum != "on":
            return fail("autovacuum is off", "turn it on: without it the queue's dead rows are never removed")
        if not self._state.queue_is_vacuumed_early:
            return warn(
                "the queue has the server's default autovacuum settings",
                "ALTER TABLE pgmq.q_model_routing_decisions SET (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 70)",
            )
        return ok("autovacuum cleans the queue at 1% of dead rows")

    def _message_ledger(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            is_present = _LEDGER_IS_PRESENT.one(connection)
        if not is_present:
            return fail(
                "the table accounting or learning_control is empty: no event can be ingested, or no score learned",
                "run `centralcloud verify --repair`",
            )
        return ok("present")

    def _oldest_snapshot(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            snapshot = _OLDEST_SNAPSHOT.maybe(connection) or _Snapshot(0.0, "")
        if snapshot.seconds > _OLD_SNAPSHOT_SECONDS:
            return warn(
                f"a transaction has been open for {age(snapshot.seconds)} ({snapshot.holder})",
                "end it: until then the queue's dead rows cannot be removed, and ingest becomes slow",
            )
        if hidden := self._persistent(read_hidden_snapshots):
            return warn(
                f"other roles hold snapshots, and this role cannot see their age: {'; '.join(hidden)}",
                "look in pg_stat_activity as a superuser, or grant this role pg_read_all_stats",
            )
        return ok(f"{age(snapshot.seconds)} old")

    def _persistent(self, read: Callable[[psycopg.Connection[Any]], dict[str, str]]) -> list[str]:
        """Return the texts of the keys that `read` finds now and again after a moment, at most ten."""
        found = self._read(read)
        if found:
            time.sleep(_PERSISTENT_SECONDS)
            later = self._read(read)
            found = {key: text for key, text in later.items() if key in found}
        return list(found.values())[:_MOST_NAMED]

    def _read(self, read: Callable[[psycopg.Connection[Any]], dict[str, str]]) -> dict[str, str]:
        with check_transaction(self._database) as connection:
            return read(connection)


def _read_lock_holders(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return {found.transaction: found.holder for found in _LOCK_HOLDERS.all(connection)}


def examine(
    database: Database, expectations: Expectations, progress: Callable[[str], None] = lambda _: None
) -> list[NamedCheckResult]:
    """Run every check, and return the results in the order in which to fix what they found. See `make_checks`."""
    return make_checks(_Doctor(database, expectations).checks(), rights="privileges", progress=progress)


def preflight(database: Database) -> None:
    """Run the checks without which no event can be ingested and no score learned.

    Raises:
        CentralCloudError: a check failed; the message says what was found and what to do.
        psycopg.Error: for example, the database is unavailable.
    """
    for check in _Doctor(database, Expectations()).checks():
        if check.name not in _FATAL:
            continue
        result = check.make()
        if result is not None and result.verdict == Verdict.FAIL:
            raise CentralCloudError(f"{check.name}: {result.found}: {result.advice}")
