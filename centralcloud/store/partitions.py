"""Weekly partitions of routing_records: created ahead of time, dropped when their retention is over."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

DEFAULT_WEEKS_AHEAD: Final = 8


class DroppedPartition(NamedTuple):
    """A partition that was dropped, and how many records it had."""

    name: str
    records: int


_ENSURE_PARTITIONS = Query(__package__, "ensure_partitions", row=int)
_DROP_EXPIRED_PARTITION = Query(__package__, "drop_expired_partition", row=DroppedPartition)


def ensure_partitions(database: Database, weeks_ahead: int = DEFAULT_WEEKS_AHEAD) -> int:
    """Create the partitions from this week to `weeks_ahead` weeks from now; return how many were created.

    Raises:
        psycopg.errors.LockNotAvailable: a lock was not available within 2 s. Try again later; a longer wait would block
            ingest.
    """
    with database.transaction() as connection:
        connection.execute("SET LOCAL lock_timeout = '2s'")
        return _ENSURE_PARTITIONS.one(connection, {"weeks_ahead": weeks_ahead})


def drop_expired_partition(connection: psycopg.Connection[Any], retention_days: int) -> DroppedPartition | None:
    """Drop the oldest partition if all of it is older than `retention_days`; None when none was dropped.

    The partition's share of the counters and of the evidence is kept, so that both can still be recounted.

    Raises:
        psycopg.errors.LockNotAvailable: a transaction has been reading routing_records for too long. Try again much later.
    """
    return _DROP_EXPIRED_PARTITION.maybe(connection, {"retention_days": retention_days})
