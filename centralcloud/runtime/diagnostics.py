"""The shape of `doctor` in both programs: named checks, each with a result and advice."""

import errno
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.listening import family_of
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import (
    Outage,
    is_contention,
    is_database_error,
    is_outage,
    is_row_security,
    outage_kind,
    summarize_error,
)
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age

_MAX_CLOCK_DIFFERENCE_SECONDS: Final = 5.0
_NOTIFY_SECONDS: Final = 2.0
_LIVEZ_SECONDS: Final = 1.0
_LONGEST_HEADER: Final = 8192
_FIRST: Final = "fix this first, then run doctor again"
_LOCKED: Final = "the check `locks` of `centralcloud doctor` names the transaction; end it, then run doctor again"
_GRANT: Final = "run `centralcloud grants --apply` as the owner of the tables, as after every migration"
#: The check that names the tables with row-level security.
ROW_SECURITY_CHECK: Final = "row-level security"
#: Longest check, so that a doctor answers soon although the server does not. Counting a long queue may take longer.
CHECK_SECONDS: Final = 5.0
_LIBPQ_HINT: Final = re.compile(r"Is the server running .*?\?|DETAIL: .*")
_START: Final = "start the server, or correct host and port in DATABASE_URL; a firewall may be in between"
_LOGIN: Final = "correct the user or the password in DATABASE_URL"
#: Parts of libpq's messages, and advice.
_CONNECTION_ADVICE: Final = (
    ("password", _LOGIN),
    ("authentication failed", _LOGIN),
    ("role ", _LOGIN),
    ("pg_hba.conf", "allow this host, user and database in pg_hba.conf of the server"),
    ("permission denied for database", "GRANT CONNECT ON DATABASE to this role, or use another role in DATABASE_URL"),
    ("does not exist", "create the database, or correct its name in DATABASE_URL"),
    ("starting up", "wait until it has started, then run doctor again"),
    ("shutting down", "start it again"),
    ("too many", "close connections, or raise max_connections of the server or the limit of the role"),
    ("remaining connection slots", "close connections, or raise max_connections of the server"),
    ("refused", _START),
    ("timeout", _START),
    ("timed out", _START),
    ("No such file", _START),
    ("translate host name", _START),
    ("resolve host", _START),
    ("unreachable", _START),
    ("no answer", "the server accepts connections and does not answer: look at its load and its log"),
)


class Verdict(StrEnum):
    """The verdict of a check. `SKIP`: it could not run, because a check that it needs failed."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


class CheckResult(NamedTuple):
    """The finding of a check, and advice unless all is well."""

    verdict: Verdict
    found: str
    advice: str = ""


class NamedCheckResult(NamedTuple):
    """The result of one check, with the name of the check.

    Attributes:
        cause: the failed check that prevented a skipped one; empty for every other check.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str
    cause: str = ""


class Check(NamedTuple):
    """A named check.

    Attributes:
        make: returns the result; None: there is nothing to check, and the check is not shown.
        needs: the check that must have passed before this one makes sense, and those that it needs itself.
    """

    name: str
    make: Callable[[], CheckResult | None]
    needs: str | None = None


class _WriteAccess(NamedTuple):
    in_recovery: bool
    read_only: bool
    source: str


#: The check that names the holders of locks.
_LOCKS: Final = "locks"
#: The check that finds a server without writes.
_WRITES: Final = "writes"
_ORDER: Final = (Verdict.FAIL, Verdict.WARN, Verdict.OK, Verdict.SKIP)
_LIMIT_LOCK_WAITS = Query(__package__, "limit_lock_waits")
_WRITE_ACCESS = Query(__package__, "read_write_access", row=_WriteAccess)
_SERVER_CLOCK = Query(__package__, "read_server_clock", row=float)


def ok(found: str) -> CheckResult:
    """Return a result without problems."""
    return CheckResult(Verdict.OK, found)


def warn(found: str, advice: str) -> CheckResult:
    """Return a result for what works, but not well or not for long."""
    return CheckResult(Verdict.WARN, found, advice)


def fail(found: str, advice: str) -> CheckResult:
    """Return a result for what does not work."""
    return CheckResult(Verdict.FAIL, found, advice)


def make_checks(
    checks: Iterable[Check],
    *,
    connection: str = "database",
    rights: str,
    progress: Callable[[str], None] = lambda _: None,
) -> list[NamedCheckResult]:
    """Run every check in turn, and return the results: FAIL first, then WARN, OK and SKIP, each in the order of `checks`.

    A check fails when it raises an error of the database or a CentralCloudError. One that another failed check has caused is
    skipped instead: because it needs that one, the connection is lost, a right is missing, the server is
    read-only, or a lock is in the way.

    Args:
        connection: the check that connects to the database. It is repeated when another one loses the connection.
        rights: the check that names missing rights.
        progress: called with the name of each check before it runs.
    """
    checkup = _Checkup({check.name: check for check in checks}, connection, rights)
    for name in checkup.checks:
        progress(name)
        checkup.run(name)
    return sorted(checkup.results.values(), key=lambda result: _ORDER.index(result.verdict))


class _Checkup:
    def __init__(self, checks: dict[str, Check], connection: str, rights: str) -> None:
        self.checks = checks
        self.results: dict[str, NamedCheckResult] = {}
        self._connection = connection
        self._rights = rights

    def run(self, name: str) -> None:
        if cause := self._failed_need(name):
            self._skip(name, cause)
            return
        try:
            result = self.checks[name].make()
        except Exception as error:
            if not isinstance(error, CentralCloudError) and not is_database_error(error):
                raise
            if cause := self._cause(name, error):
                self._skip(name, cause)
                return
            result = describe_lost_connection(error) if name == self._connection else _describe(error)
        if result is not None:
            self.results[name] = NamedCheckResult(name, *result)

    def _failed_need(self, name: str) -> str | None:
        """Return the check that failed among those that this one needs, directly or through others."""
        need = self.checks[name].needs
        while need is not None:
            if self._has_failed(need):
                return need
            need = self.checks[need].needs
        return None

    def _cause(self, name: str, error: BaseException) -> str | None:
        """Return the failed check that explains the error of another one; a lock that stops one is a failure of `locks`."""
        if is_contention(error) and (held := self.results.get(_LOCKS)) and held.verdict != Verdict.OK:
            self.results[_LOCKS] = held._replace(verdict=Verdict.FAIL)
            return _LOCKS
        if is_row_security(error):
            return ROW_SECURITY_CHECK if self._has_failed(ROW_SECURITY_CHECK) else None
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return self._rights if self._has_failed(self._rights) else None
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            return _WRITES if self._has_failed(_WRITES) else None
        if name == self._connection or not is_outage(error) or is_contention(error):
            return None
        try:
            self.checks[self._connection].make()
        except Exception as lost:
            if not is_database_error(lost):
                raise
            self.results[self._connection] = NamedCheckResult(self._connection, *describe_lost_connection(lost))
            return self._connection
        return None

    def _has_failed(self, name: str) -> bool:
        return name in self.results and self.results[name].verdict == Verdict.FAIL

    def _skip(self, name: str, cause: str) -> None:
        self.results[name] = NamedCheckResult(name, Verdict.SKIP, f"skipped: {cause} failed", "", cause)


def _describe(error: BaseException) -> CheckResult:
    """Describe an error of a check: that of the database in words, with advice."""
    if not isinstance(error, psycopg.Error):
        return fail(summarize_error(error), _FIRST)
    if is_contention(error):
        return fail("a lock of another transaction stops this check", _LOCKED)
    if is_row_security(error):
        return fail("row-level security hides rows of a table from this role", summarize_error(error))
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return fail(f"this role lacks a right ({summarize_error(error)})", _GRANT)
    if is_outage(error):
        return fail(
            f"the server works, but this check got no result ({summarize_error(error)})",
            "look at the load of the server and at its log, then run doctor again",
        )
    if (error.sqlstate or "").startswith("42"):  # a table, column or function is missing
        return fail(
            f"the schema differs from that of its revision ({summarize_error(error)})",
            "restore the schema from a backup: `centralcloud migrate` does not repair a revision that was applied",
        )
    return fail(f"the server refuses the query of this check ({summarize_error(error)})", _FIRST)


def describe_lost_connection(error: BaseException) -> CheckResult:
    """Describe why a connection could not be opened, with advice. libpq gives no code for that: its text decides."""
    text = summarize_error(error).removeprefix("connection failed: ").replace("FATAL: ", "")
    text = " ".join(_LIBPQ_HINT.sub("", text).split())
    if outage_kind(error) == Outage.LOGIN_REFUSED:
        text = f"{Outage.LOGIN_REFUSED}: {text}"
    return fail(text, next((advice for part, advice in _CONNECTION_ADVICE if part in text), _FIRST))


@contextmanager
def check_transaction(database: Database, *, seconds: float = CHECK_SECONDS) -> Iterator[psycopg.Connection[Any]]:
    """Open the transaction of a check: it takes at most `seconds`, and waits for a lock for 2 seconds at most.

    The time that the URL allows for connecting comes before that.
    """
    with database.transaction(limit_seconds=seconds + database.connect_seconds) as connection:
        _LIMIT_LOCK_WAITS.run(connection)
        yield connection


def settings_are_known(unknown: Mapping[str, str | None]) -> CheckResult:
    """Check that every variable with our prefix is a setting; `unknown` are the others, with the settings they may mean."""
    if unknown:
        names = ", ".join(f"{name} (did you mean {meant}?)" if meant else name for name, meant in unknown.items())
        return warn(f"without effect: {names}", "fix the name; docs/reference/settings.md lists every setting")
    return ok("every variable is known")


def check_http_port(address: str, port: int, program: str) -> CheckResult:
    """Check that the HTTP port is free, or in use by the running `program`, whose answers name it in their header Server."""
    if not port:
        return ok("no HTTP server is configured")
    where = f"{address}:{port}"
    try:
        with socket.socket(family_of(address)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        found = f"{where} cannot be opened: {error.strerror}"
        if error.errno != errno.EADDRINUSE:
            return warn(found, "set another address or port; docs/reference/settings.md names the variables")
    else:
        return ok(f"{where} is free")
    status, server = _ask_livez(address, port)
    if server != program:
        return warn(f"{found}, and not by {program}", "set another port, or stop the process that uses this one")
    if status != HTTPStatus.OK:
        return warn(
            f"{where} is in use by {program}, which is running and answers /livez with {status}",
            "a background task hangs: read the body of /livez and the log, then restart the program",
        )
    return ok(f"{where} is in use by {program}, which is running")


def _ask_livez(address: str, port: int) -> tuple[int, str]:
    """Return the status of /livez and the header Server; (0, "") unless an HTTP server answers in time."""
    deadline = time.monotonic() + _LIVEZ_SECONDS
    answer = b""
    try:
        with socket.create_connection((address, port), timeout=_LIVEZ_SECONDS) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n")
            while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEADER:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                if not (part := connection.recv(_LONGEST_HEADER)):
                    break
                answer += part
    except OSError:  # no answer, which is the result
        return 0, ""
    status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    server = re.search(rb"^server: *(.*?)\r$", answer, re.IGNORECASE | re.MULTILINE)
    return (int(status[1]), server[1].decode("latin-1")) if status and server else (0, "")


def takes_writes(database: Database) -> CheckResult:
    """Check that a transaction may write: not on a standby, and not where read-only is the default."""
    with database.connection(limit_seconds=CHECK_SECONDS + database.connect_seconds) as connection:
        access = _WRITE_ACCESS.one(connection)
    if access.in_recovery:
        return fail(
            "the server is in recovery: a standby, or an unfinished failover",
            "promote it, or set DATABASE_URL to the primary",
        )
    if access.read_only:
        return fail(f"default_transaction_read_only is on, set by: {access.source}", "switch it off there")
    return ok("transactions may write")


def clocks_agree(database: Database) -> CheckResult:
    """Check that our clock and the server's agree, apart from the time of the query."""
    before = time.time()
    with database.connection(limit_seconds=CHECK_SECONDS + database.connect_seconds) as connection:
        server = _SERVER_CLOCK.one(connection)
    difference = max(before - server, server - time.time(), 0.0)
    if difference > _MAX_CLOCK_DIFFERENCE_SECONDS:
        return warn(f"{age(difference)} between this host and the server", "run a time service on both")
    return ok("the same as the server's")


def notifications_arrive(database: Database) -> CheckResult:
    """Check that a NOTIFY on one connection reaches another connection that listens."""
    channel = f"centralcloud_doctor_{time.monotonic_ns()}"
    with database.connect(autocommit=True) as listener:
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        with database.transaction(limit_seconds=CHECK_SECONDS + database.connect_seconds) as connection:
            connection.execute("SELECT pg_notify(%s, '')", (channel,))
        arrived = any(True for _ in listener.notifies(timeout=_NOTIFY_SECONDS, stop_after=1))
    if not arrived:
        return warn(
            "they do not arrive: is there a transaction pooler in between?",
            "polling finds everything; connect directly to the server to be faster",
        )
    return ok("they arrive")
