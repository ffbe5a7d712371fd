"""Outages in words: what is wrong, and the command that repairs it. Pure."""

from datetime import datetime
from typing import Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.errors import (
    LOGIN_ADVICE,
    ROW_SECURITY_ADVICE,
    is_outage,
    is_row_security,
    outage_kind,
    summarize_error,
)
from centralcloud.runtime.postgres.errors import (
    Outage as Kind,
)
from centralcloud.store.schema_revision import SchemaError

_DOCTOR: Final = "centralcloud doctor"
_GRANTS: Final = "centralcloud grants --apply"
_MEMBERSHIP: Final = (
    "as the owner of the schema, give the roles their rights; the login of the pages must be a member of one of them"
)


class Problem(NamedTuple):
    """Why something cannot be read.

    Attributes:
        title: the kind of the problem, a few words.
        reason: one line, without a password.
        command: repairs it, or says more; None: the reason says what to do.
    """

    title: str
    reason: str
    command: str | None


class Outage(NamedTuple):
    """Why nothing can be read now.

    Attributes:
        since: of the last successful read, by the clock of this machine; None: none has succeeded yet.
    """

    since: datetime | None
    problem: Problem

    @property
    def reason(self) -> str:
        """The reason, on one line."""
        return self.problem.reason


def problem_of(error: BaseException) -> Problem:
    """Return the problem that a failed read shows: of the server, the login, its rights, or the schema."""
    reason = summarize_error(error)
    if isinstance(error, SchemaError):
        command = "centralcloud migrate" if "`centralcloud migrate`" in reason else None
        return Problem("The schema of the database does not fit this version", reason, command)
    kind = outage_kind(error)
    if is_row_security(error):
        return Problem("Row-level security hides a table", f"{reason}: {ROW_SECURITY_ADVICE}", _DOCTOR)
    if kind in LOGIN_ADVICE:
        return Problem("The database refuses the login", f"{reason}: {LOGIN_ADVICE[kind]}", None)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return Problem("The login lacks a right", f"{reason}: {_MEMBERSHIP}", _GRANTS)
    if isinstance(error, psycopg.DataError):
        return Problem("A value in the database cannot be read", reason, None)
    if kind is Kind.OUT_OF_FILE_DESCRIPTORS:
        return Problem("This program has no file descriptor left", reason, None)
    if is_outage(error):
        return Problem("The database is unavailable", reason, _DOCTOR)
    return Problem("The database answers, and cannot be read", reason, _DOCTOR)
