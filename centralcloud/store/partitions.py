"""Weekly partitions of routing_records: created ahead of time, dropped when their retention is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

DEFAULT_WEEKS_AHEAD: Final = 8


class MissingPartitionsError(CentralCloudError):
    """A coming week has no partition, and it cannot be created."""


class DroppedPartition(NamedTuple):
    """A partition that was dropped, and how many records it had."""

    name: str
    records: int


_ENSURE_PARTITIONS = Query(__package__, "ensure_partitions", row=int)
_MISSING_WEEKS = Query(__package__, "missing_weeks", row=str)
_NEWEST_ARRIVAL = Query(__package__, "newest_arrival", row=datetime)
_DROP_EXPIRED_PARTITION = Query(__package__, "drop_expired_partition", row=DroppedPartition)


def ensure_partitions(database: Database, weeks_ahead: int = DEFAULT_WEEKS_AHEAD) -> int:
    """Create the missing partitions from this week to `weeks_ahead` weeks from now; return how many were created.

    A table that has the name of a partition and is not one is left alone, and the partition gets another name; an empty
    partition that was detached is attached again. A week that cannot be created does not prevent the others. All of this
    is logged; `missing_weeks` returns the weeks that are still without a partition.

    Raises:
        psycopg.errors.LockNotAvailable: a lock was not available within 2 s. Try again later; a longer wait would block
            ingest.
    """
    with database.transaction() as connection, _logged_warnings(connection):
        connection.execute("SET LOCAL lock_timeout = '2s'")
        return _ENSURE_PARTITIONS.one(connection, {"weeks_ahead": weeks_ahead})


def missing_weeks(connection: psycopg.Connection[Any], weeks_ahead: int = DEFAULT_WEEKS_AHEAD) -> list[str]:
    """Return the weeks, by the dates of their Mondays, that have no partition, from this week to `weeks_ahead` from now."""
    return _MISSING_WEEKS.all(connection, {"weeks_ahead": weeks_ahead})


def drop_expired_partition(
    connection: psycopg.Connection[Any], retention_days: int, as_of: datetime
) -> DroppedPartition | None:
    """Drop the oldest partition if all of it is older than `retention_days`; None when none was dropped.

    The age counts back from `as_of`, or from the newest record, whichever is earlier. The partition's share of the counters
    and of the evidence is kept, so that both can still be recounted.

    Raises:
        psycopg.errors.LockNotAvailable: a transaction has been reading routing_records for too long. Try again much later.
    """
    as_of = min(as_of, newest_arrival(connection) or as_of)
    return _DROP_EXPIRED_PARTITION.maybe(connection, {"retention_days": retention_days, "as_of": as_of})


def newest_arrival(connection: psycopg.Connection[Any]) -> datetime | None:
    """Return when the newest record arrived, by the server's clock at that time; None without records."""
    return _NEWEST_ARRIVAL.maybe(connection)


@contextmanager
def _logged_warnings(connection: psycopg.Connection[Any]) -> Iterator[None]:
    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            log.warning("partition_problem", reason=diagnostic.message_primary)

    connection.add_notice_handler(note)
    try:
        yield
    finally:
        connection.remove_notice_handler(note)
