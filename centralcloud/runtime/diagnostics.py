"""The shape of `doctor` in both programs: named checks, each with a result and advice."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from psycopg import sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.listening import family_of
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_contention, is_database_error, summarize_error
from centralcloud.runtime.postgres.query import Query

_MAX_CLOCK_DIFFERENCE_SECONDS: Final = 5.0
_NOTIFY_SECONDS: Final = 2.0
_FIRST: Final = "fix this first, then run doctor again"
_LOCKED: Final = "another transaction holds a lock on it: the check `locks` of `centralcloud doctor` names it"


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
    """The result of one check, with the name of the check."""

    check: str
    verdict: Verdict
    found: str
    advice: str


class Check(NamedTuple):
    """A named check.

    Attributes:
        needs: the check that must have passed before this one makes sense.
    """

    name: str
    make: Callable[[], CheckResult]
    needs: str | None = None


class _WriteAccess(NamedTuple):
    in_recovery: bool
    read_only: bool
    source: str


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


def make_checks(checks: Iterable[Check]) -> Iterator[NamedCheckResult]:
    """Run every check in turn. A check that raises an error of the database, or a CentralCloudError, fails with its text."""
    failed: set[str] = set()
    for name, make, needs in checks:
        if needs in failed:
            finding = CheckResult(Verdict.SKIP, f"skipped: {needs} failed")
        else:
            try:
                finding = make()
            except Exception as error:
                if not isinstance(error, CentralCloudError) and not is_database_error(error):
                    raise
                finding = fail(summarize_error(error), _LOCKED if is_contention(error) else _FIRST)
        if finding.verdict in (Verdict.FAIL, Verdict.SKIP):
            failed.add(name)
        yield NamedCheckResult(name, *finding)


def settings_are_known(unknown: Mapping[str, str | None]) -> CheckResult:
    """Check that every variable with our prefix is a setting; `unknown` are the others, with the settings they may mean."""
    if unknown:
        names = ", ".join(f"{name} (did you mean {meant}?)" if meant else name for name, meant in unknown.items())
        return warn(f"without effect: {names}", "fix the name; docs/reference/settings.md lists every setting")
    return ok("every variable is known")


def http_port_is_free(address: str, port: int) -> CheckResult:
    """Check that a server could listen there now."""
    if not port:
        return ok("no HTTP server is configured")
    try:
        with socket.socket(family_of(address)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return warn(
            f"{address}:{port} cannot be opened: {error.strerror}",
            "expected if the program is running; otherwise set another port, or stop the process that uses this one",
        )
    return ok(f"{address}:{port} is free")


def takes_writes(database: Database) -> CheckResult:
    """Check that a transaction may write: not on a standby, and not where read-only is the default."""
    with database.connection() as connection:
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
    with database.connection() as connection:
        server = _SERVER_CLOCK.one(connection)
    difference = max(before - server, server - time.time(), 0.0)
    if difference > _MAX_CLOCK_DIFFERENCE_SECONDS:
        return warn(f"{difference:.1f} seconds between this host and the server", "run a time service on both")
    return ok("the same as the server's")


def notifications_arrive(database: Database) -> CheckResult:
    """Check that a NOTIFY on one connection reaches another connection that listens."""
    channel = f"centralcloud_doctor_{time.monotonic_ns()}"
    with database.connect(autocommit=True) as listener:
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        with database.transaction() as connection:
            connection.execute("SELECT pg_notify(%s, '')", (channel,))
        arrived = any(True for _ in listener.notifies(timeout=_NOTIFY_SECONDS, stop_after=1))
    if not arrived:
        return warn(
            "they do not arrive: is there a transaction pooler in between?",
            "polling finds everything; connect directly to the server to be faster",
        )
    return ok("they arrive")
