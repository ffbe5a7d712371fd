"""Snapshots whose age the server does not show to this role."""

from typing import Any, NamedTuple

import psycopg

from centralcloud.runtime.postgres.query import Query


class _HiddenSnapshot(NamedTuple):
    snapshot: str
    holder: str


_HIDDEN_SNAPSHOTS = Query(__package__, "hidden_snapshots", row=_HiddenSnapshot)


def read_hidden_snapshots(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Read the snapshots of other roles, oldest first: a key that stays the same while the snapshot is held, and its holder.

    PostgreSQL shows the age of a snapshot to the role that holds it and to members of pg_read_all_stats only.
    """
    return {found.snapshot: found.holder for found in _HIDDEN_SNAPSHOTS.all(connection)}
