"""The shape of `doctor` in both programs: named checks, each with what was found and what to do."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from psycopg import sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.server import family_of
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_contention, is_database_error, summarize_error

_MOST_CLOCK_DIFFERENCE_SECONDS: Final = 5.0
_NOTIFY_SECONDS: Final = 2.0
_FIRST: Final = "mend this first, then run doctor again"
_LOCKED: Final = "somebody holds a lock that this needs: the check `locks` of `centralcloud doctor` says who"


class Verdict(StrEnum):
    """What a check comes to. `SKIP`: it could not be made, because one before it failed."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


class CheckResult(NamedTuple):
    """What a check found, and what to do about it; nothing is to be done when all is well."""

    verdict: Verdict
    found: str
    advice: str = ""


class NamedCheckResult(NamedTuple):
    """One check, made."""

    check: str
    verdict: Verdict
    found: str
    advice: str


class Check(NamedTuple):
    """A named check.

    Attributes:
        needs: the check that must not have failed for this one to make sense.
    """

    name: str
    make: Callable[[], CheckResult]
    needs: str | None = None


def ok(found: str) -> CheckResult:
    """All is well."""
    return CheckResult(Verdict.OK, found)


def warn(found: str, advice: str) -> CheckResult:
    """It works, and will not for long, or not well."""
    return CheckResult(Verdict.WARN, found, advice)


def fail(found: str, advice: str) -> CheckResult:
    """It does not work."""
    return CheckResult(Verdict.FAIL, found, advice)


def make_checks(checks: Iterable[Check]) -> Iterator[NamedCheckResult]:
    """Make every check in turn. One that ends in an error of the database, or of ours, has failed with that line."""
    failed: set[str] = set()
    for name, make, needs in checks:
        if needs in failed:
            finding = CheckResult(Verdict.SKIP, f"not looked at: {needs} failed")
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
    """Whether every variable that begins like a setting is one: `unknown` are those that are none, and what may be meant."""
    if unknown:
        names = ", ".join(f"{name} (is {meant} meant?)" if meant else name for name, meant in unknown.items())
        return warn(f"of no effect: {names}", "mend the name; docs/reference/settings.md lists every setting")
    return ok("no variable is mistyped")


def http_port_is_free(address: str, port: int) -> CheckResult:
    """Whether a server could listen there now."""
    if not port:
        return ok("no HTTP server is asked for")
    try:
        with socket.socket(family_of(address)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return warn(
            f"{address}:{port} cannot be opened: {error.strerror}",
            "fine if the program is running; else name another port, or end who holds it",
        )
    return ok(f"{address}:{port} is free")


def takes_writes(database: Database) -> CheckResult:
    """Whether a transaction may write: it may not on a standby, and where read-only is the default."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT pg_is_in_recovery(), setting = 'on', source FROM pg_settings"
            " WHERE name = 'default_transaction_read_only'"
        ).fetchone()
    assert row is not None
    in_recovery, read_only, source = row
    if in_recovery:
        return fail(
            "the server is in recovery: a standby, or a failover that is not over",
            "promote it, or name the primary in DATABASE_URL",
        )
    if read_only:
        return fail(f"default_transaction_read_only is on, set by: {source}", "switch it off there")
    return ok("transactions may write")


def clocks_agree(database: Database) -> CheckResult:
    """Whether our clock and the server's are the same, give or take what asking takes."""
    before = time.time()
    with database.connection() as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    difference = max(before - row[0], row[0] - time.time(), 0.0)
    if difference > _MOST_CLOCK_DIFFERENCE_SECONDS:
        return warn(f"{difference:.1f} seconds between here and the server", "run a time service on both")
    return ok("the same as the server's")


def notifications_arrive(database: Database) -> CheckResult:
    """Whether a NOTIFY of one connection reaches another that listens."""
    channel = f"centralcloud_doctor_{time.monotonic_ns()}"
    with database.connect(autocommit=True) as listener:
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        with database.transaction() as connection:
            connection.execute("SELECT pg_notify(%s, '')", (channel,))
        arrived = any(True for _ in listener.notifies(timeout=_NOTIFY_SECONDS, stop_after=1))
    if not arrived:
        return warn(
            "they do not arrive: is a transaction pooler in between?",
            "everything works by polling; connect past the pooler to be faster",
        )
    return ok("they arrive")
