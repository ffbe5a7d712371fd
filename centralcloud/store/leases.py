"""Work that one replica does for all: whoever holds the lease does it, and another takes over when it is not prolonged."""

import socket
from typing import Any

import psycopg

from centralcloud.runtime.database import Database, is_database_error
from centralcloud.runtime.processes import this_process
from centralcloud.store import queries

_TAKE = queries.load("take_lease")
_GIVE_UP = queries.load("give_lease_up")


def take_lease(connection: psycopg.Connection[Any], name: str, *, seconds: float) -> bool:
    """Whether this process holds the lease `name` for the next `seconds`: taken now, or prolonged."""
    return connection.execute(_TAKE, {"name": name, "holder": _holder(), "seconds": seconds}).fetchone() is not None


def give_lease_up(database: Database, name: str) -> None:
    """Let another replica take over at once. Without a database it takes over when the lease has run out."""
    try:
        with database.transaction() as connection:
            connection.execute(_GIVE_UP, {"name": name, "holder": _holder()})
    except Exception as error:
        if not is_database_error(error):
            raise


def _holder() -> str:
    return f"{socket.gethostname()}/{this_process()}"
