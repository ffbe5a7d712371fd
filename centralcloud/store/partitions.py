"""Partitions of routing_records: made ahead of the weeks that they hold."""

from typing import Final

from centralcloud.runtime.database import Database

DEFAULT_WEEKS_AHEAD: Final = 8


def ensure_partitions(database: Database, weeks_ahead: int = DEFAULT_WEEKS_AHEAD) -> int:
    """Make the partitions from this week to `weeks_ahead` weeks from now; returns how many were new.

    Raises:
        psycopg.errors.LockNotAvailable: a lock could not be had quickly; try again later rather than make ingest wait.
    """
    with database.transaction() as connection:
        connection.execute("SET LOCAL lock_timeout = '2s'")
        row = connection.execute("SELECT centralcloud.ensure_partitions(%s)", (weeks_ahead,)).fetchone()
    return int(row[0]) if row else 0
