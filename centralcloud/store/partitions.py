"""Partitions of routing_records: made ahead of the weeks that they hold, dropped when retention is over."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.database import Database

DEFAULT_WEEKS_AHEAD: Final = 8


class DroppedPartition(NamedTuple):
    """A partition that is gone, and how many records it had."""

    name: str
    records: int


def ensure_partitions(database: Database, weeks_ahead: int = DEFAULT_WEEKS_AHEAD) -> int:
    """Make the partitions from this week to `weeks_ahead` weeks from now; returns how many were new.

    Raises:
        psycopg.errors.LockNotAvailable: a lock could not be had quickly; try again later rather than make ingest wait.
    """
    with database.transaction() as connection:
        connection.execute("SET LOCAL lock_timeout = '2s'")
        row = connection.execute("SELECT centralcloud.ensure_partitions(%s)", (weeks_ahead,)).fetchone()
    return int(row[0]) if row else 0


def drop_expired_partition(connection: psycopg.Connection[Any], retention_days: int) -> DroppedPartition | None:
    """Drop the oldest partition if all of it is older than `retention_days`; None when there is none to drop.

    What its records had added to counters and evidence is kept, so that both can still be recounted.

    Raises:
        psycopg.errors.LockNotAvailable: somebody reads routing_records and does not end; try again much later.
    """
    row = connection.execute(
        "SELECT * FROM centralcloud.drop_expired_partition(make_interval(days => %s))", (retention_days,)
    ).fetchone()
    return DroppedPartition(*row) if row else None
