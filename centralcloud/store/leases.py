"""Work that one replica does for all: whoever holds the lease does it, and another takes over when it is not prolonged."""

import socket
from typing import Any

import psycopg

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.identity import this_process

_TAKE = Query(__package__, "acquire_lease")
_GIVE_UP = Query(__package__, "release_lease")


def acquire_lease(connection: psycopg.Connection[Any], name: str, *, seconds: float) -> bool:
    """Whether this process holds the lease `name` for the next `seconds`: taken now, or prolonged."""
    return (
        connection.execute(_TAKE.text, {"name": name, "holder": _holder(), "seconds": seconds}).fetchone() is not None
    )


def release_lease(database: Database, name: str) -> None:
    """Let another replica take over at once. Without a database it takes over when the lease has run out."""
    try:
        with database.transaction() as connection:
            connection.execute(_GIVE_UP.text, {"name": name, "holder": _holder()})
    except Exception as error:
        if not is_database_error(error):
            raise


def _holder() -> str:
    return f"{socket.gethostname()}/{this_process()}"
