"""Kinds of PostgreSQL errors: an outage, contention with another transaction, or rejected data."""

import errno
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeVar

import psycopg

from centralcloud.contracts import CentralCloudError

_TRIES: Final = 5
#: In messages of libpq, such as "out of memory for query result" and "cannot allocate memory for input buffer".
_LIBPQ_OUT_OF_MEMORY: Final = ("out of memory", "cannot allocate memory")

_T = TypeVar("_T")


#: Parts of the messages with which a server or a pooler refuses a login. libpq gives no SQLSTATE for a failed connection.
_LOGIN_REFUSED: Final = re.compile(
    r"password authentication failed|authentication failed for|SASL authentication failed|no password supplied"
    r"|no such (user|database)|(role|database) .{1,100}? does not exist|is not permitted to log in|no pg_hba\.conf entry"
    r"|pg_hba\.conf rejects|permission denied for database"
    r"|is not allowed to connect|certificate authentication failed|Tenant or user not found"
    r"|local user with ID \d+ does not exist"
)
#: SQLSTATE 28000 and 28P01: the login; 3D000: the name of the database. Servers in other languages are known by these
#: only where libpq passes them on.
_LOGIN_STATES: Final = ("28000", "28P01", "3D000")
#: The function of the schema that raises the error; its name is in the context of the error in every language.
_REFUSES_INSTANCES: Final = "centralcloud.refuse_instance("


class DatabaseUnavailableError(CentralCloudError):
    """The database cannot be reached, or accepts no work at the moment."""


class TableUnusableError(DatabaseUnavailableError):
    """The database answers, and one of its tables accepts no work at the moment: tasks that do not need it go on."""


class LoginRefusedError(CentralCloudError):
    """The database refuses this login: waiting does not help, a person must act."""


class Outage(StrEnum):
    """The kinds of an outage; each is the name of its log event."""

    DATABASE_UNAVAILABLE = "database_unavailable"
    LOGIN_REFUSED = "login_refused"
    WRONG_INSTANCE = "wrong_instance"
    TABLE_MISSING = "table_missing"
    OUT_OF_FILE_DESCRIPTORS = "out_of_file_descriptors"
    ROW_LEVEL_SECURITY = "row_level_security"


#: In the message of an error about a function or a schema that only a migration creates; in any language of the server.
_OUR_SCHEMA: Final = "centralcloud"
_MIGRATE_ADVICE: Final = "run `centralcloud migrate` on this database"
#: The database lacks an object that a migration creates.
NOT_MIGRATED: Final = (
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
)
#: The function of the server that raises the error; it is the same in every language.
_CHECKS_ROW_SECURITY: Final = "check_enable_rls"
ROW_SECURITY_ADVICE: Final = (
    "as its owner, ALTER TABLE ... DISABLE ROW LEVEL SECURITY, or give this role BYPASSRLS; "
    "`centralcloud doctor` names every such table"
)
#: Advice for a login that is refused, by kind.
LOGIN_ADVICE: Final = {
    Outage.LOGIN_REFUSED: "correct the user, the password or the name of the database in DATABASE_URL",
    Outage.WRONG_INSTANCE: "set INSTANCE_ID to the instance of this login, or use the login of this instance",
}


def outage_kind(error: BaseException) -> Outage:
    """Return the kind of an outage that `error` is a sign of."""
    if is_row_security(error):
        return Outage.ROW_LEVEL_SECURITY
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        if _REFUSES_INSTANCES in (error.diag.context or ""):
            return Outage.WRONG_INSTANCE
    elif isinstance(error, psycopg.errors.UndefinedTable):
        return Outage.TABLE_MISSING
    elif is_out_of_descriptors(error):
        return Outage.OUT_OF_FILE_DESCRIPTORS
    elif isinstance(error, psycopg.OperationalError | DatabaseUnavailableError) and _refuses_login(error):
        return Outage.LOGIN_REFUSED
    return Outage.DATABASE_UNAVAILABLE


def passes_by_itself(error: BaseException) -> bool:
    """Whether a program that was running waits for the end of `error`, although it is not an outage of the database.

    A table that was there is renamed or restored by someone, or its row-level security is switched off again; file
    descriptors come back when connections are closed.
    """
    return is_table_unusable(error) or is_out_of_descriptors(error)


def is_table_unusable(error: BaseException) -> bool:
    """Whether `error` says that one table is missing, or is closed to us: tasks that do not need it go on."""
    return isinstance(error, psycopg.errors.UndefinedTable) or is_row_security(error)


def is_row_security(error: BaseException) -> bool:
    """Whether `error` says that row-level security would hide rows of a table from this role."""
    return (
        isinstance(error, psycopg.errors.InsufficientPrivilege) and error.diag.source_function == _CHECKS_ROW_SECURITY
    )


def is_out_of_descriptors(error: BaseException) -> bool:
    """Whether `error` says that the process, or the machine, has no file descriptor left."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def _refuses_login(error: psycopg.OperationalError | DatabaseUnavailableError) -> bool:
    """Whether every host refuses the login: where one of several does not answer, the next attempt may reach it."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate in _LOGIN_STATES
    return is_login_refused(str(error))


def is_login_refused(text: str) -> bool:
    """Whether the message of a failed attempt to connect says that every host refuses the login."""
    attempts = re.findall(r"- host: .*?(?=- host: |$)", text, re.DOTALL) or [text]
    return all(_LOGIN_REFUSED.search(attempt) for attempt in attempts)


def refused_login(error: BaseException) -> LoginRefusedError | None:
    """Return the error to end a start with, if `error` means that the login cannot work; None for any other error."""
    kind = outage_kind(error)
    if kind not in LOGIN_ADVICE:
        return None
    return LoginRefusedError(f"{kind}: {summarize_error(error)}: {LOGIN_ADVICE[kind]}")


def is_outage(error: BaseException) -> bool:
    """Whether `error` means that the database is unavailable for now, not that the statement is wrong.

    True for lost connections, shutdowns, exhausted resources, a read-only server (SQLSTATE class 25), lock timeouts,
    deadlocks and serialization failures: the transaction was rolled back and can be retried unchanged.
    """
    if isinstance(error, DatabaseUnavailableError):
        return True
    if not isinstance(error, psycopg.Error) or is_refusal(error):
        return False
    if is_out_of_memory(error):
        return True
    connection_error = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return connection_error or (error.sqlstate or "").startswith("25")


def is_database_error(error: BaseException) -> bool:
    """Whether `error` came from the database in any way. An instance retries after all of them: it must keep routing."""
    return isinstance(error, psycopg.Error | DatabaseUnavailableError)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the database rejects the data: invalid, violating a constraint, or beyond its limits.

    SQLSTATE classes 22, 23 and 54. A retry fails again; other data in the same batch may be valid.
    """
    return (error.sqlstate or "")[:2] in {"22", "23", "54"}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: on the server (SQLSTATE 53200), in libpq (an error without an SQLSTATE), or in Python."""
    if isinstance(error, psycopg.Error):
        libpq_failed = error.sqlstate is None and any(text in str(error) for text in _LIBPQ_OUT_OF_MEMORY)
        return error.sqlstate == "53200" or libpq_failed
    return isinstance(error, MemoryError)


def is_contention(error: BaseException) -> bool:
    """Whether `error` is caused by another transaction: a lock timeout, a deadlock or a serialization failure."""
    return isinstance(
        error,
        psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure | psycopg.errors.LockNotAvailable,
    )


def retry_on_contention(
    work: Callable[[], _T], *, is_in_the_way: Callable[[BaseException], bool] = is_contention
) -> _T:
    """Retry `work` when another transaction was in the way, as background tasks do; for commands. Five tries at most."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except psycopg.Error as error:
            if not is_in_the_way(error):
                raise
    return work()


def lacking(error: psycopg.Error) -> str:
    """Return in one line what the database lacks, for one of the errors of `NOT_MIGRATED`, without advice."""
    return " ".join((error.diag.message_primary or str(error)).split())


def summarize_error(error: BaseException) -> str:
    """Return the message of `error` on one line, without the statement that failed, and with advice if one is certain."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    summary = " ".join((message or str(error)).split()) or type(error).__name__
    if (
        isinstance(error, psycopg.errors.InvalidSchemaName | psycopg.errors.UndefinedFunction)
        and _OUR_SCHEMA in summary
    ):
        return f"{summary}: {_MIGRATE_ADVICE}"
    if is_row_security(error):
        return f"{summary}: {ROW_SECURITY_ADVICE}"
    return summary
