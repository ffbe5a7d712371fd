"""Kinds of PostgreSQL errors: an outage, contention with another transaction, or rejected data."""

from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from centralcloud.contracts import CentralCloudError

_TRIES: Final = 5
#: In messages of libpq, such as "out of memory for query result" and "cannot allocate memory for input buffer".
_LIBPQ_OUT_OF_MEMORY: Final = ("out of memory", "cannot allocate memory")

_T = TypeVar("_T")


class DatabaseUnavailableError(CentralCloudError):
    """The database cannot be reached, or accepts no work at the moment."""


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


def summarize_error(error: BaseException) -> str:
    """Return the message of `error` on one line, without the statement that failed."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((message or str(error)).split()) or type(error).__name__
