"""Errors of PostgreSQL by kind: an outage, contention with another transaction, or a refusal of the data."""

from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from centralcloud.contracts import CentralCloudError

_TRIES: Final = 5

_T = TypeVar("_T")


class DatabaseUnavailableError(CentralCloudError):
    """The database cannot be reached, or does not take work at the moment."""


def is_outage(error: BaseException) -> bool:
    """Whether `error` says that the database is away or takes no work for now, rather than that the work is wrong.

    True for lost connections, shutdowns, exhausted resources, a read-only server (SQLSTATE class 25), lock timeouts,
    deadlocks and serialisation failures: the transaction was rolled back and may be tried again as it is.
    """
    if isinstance(error, DatabaseUnavailableError):
        return True
    if not isinstance(error, psycopg.Error) or is_refusal(error):
        return False
    connection_error = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return connection_error or (error.sqlstate or "").startswith("25")


def is_database_error(error: BaseException) -> bool:
    """Whether `error` came from the database in any way: what an instance, which must go on routing, waits out."""
    return isinstance(error, psycopg.Error | DatabaseUnavailableError)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the database refuses what it was given: bad data, a violated constraint, or beyond its limits.

    SQLSTATE classes 22, 23 and 54. The same again fails again; something else in the same batch may be fine.
    """
    return (error.sqlstate or "")[:2] in {"22", "23", "54"}


def is_contention(error: BaseException) -> bool:
    """Whether `error` is an outage only in the sense that another transaction was in the way."""
    return isinstance(
        error,
        psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure | psycopg.errors.LockNotAvailable,
    )


def retry_on_contention(
    work: Callable[[], _T], *, is_in_the_way: Callable[[BaseException], bool] = is_contention
) -> _T:
    """Do `work` again when another transaction was in the way, as the loops do; for commands. Gives up after some tries."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except psycopg.Error as error:
            if not is_in_the_way(error):
                raise
    return work()


def summarize_error(error: BaseException) -> str:
    """The message of `error` on one line, without the statement it is about."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((message or str(error)).split()) or type(error).__name__
