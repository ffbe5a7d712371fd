"""Leases: work that one replica does for all. A replica that does not renew its lease in time loses it to another."""

import socket
from typing import Any

import psycopg

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.identity import this_process

_ACQUIRE_LEASE = Query(__package__, "acquire_lease", row=bool)
_RELEASE_LEASE = Query(__package__, "release_lease")


def acquire_lease(connection: psycopg.Connection[Any], name: str, *, seconds: float) -> bool:
    """Acquire the lease `name` for `seconds` from now, or renew it; False while another process holds it."""
    return _ACQUIRE_LEASE.maybe(connection, {"name": name, "holder": _holder(), "seconds": seconds}) is not None


def release_lease(database: Database, name: str) -> None:
    """Release the lease, so that another replica can acquire it at once.

    Does nothing when the database is unavailable: the lease then expires by itself.
    """
    try:
        with database.transaction() as connection:
            _RELEASE_LEASE.run(connection, {"name": name, "holder": _holder()})
    except Exception as error:
        if not is_database_error(error):
            raise


def _holder() -> str:
    return f"{socket.gethostname()}/{this_process()}"
