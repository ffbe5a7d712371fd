"""The privileges of a worker that a role lacks: `doctor` and `grants` look for the same ones."""

from typing import Any

import psycopg

from centralcloud.runtime.postgres.query import Query
from centralcloud.store.table_names import APPEND_ONLY_TABLES, READ_ONLY_TABLES, WORKER_TABLES

_MISSING_PRIVILEGES = Query(__package__, "missing_privileges", row=str)


def missing_privileges(connection: psycopg.Connection[Any], role: str | None = None) -> list[str]:
    """Return the privileges of a worker that `role` (None: the current one) lacks, as in "INSERT on routing_records"."""
    parameters = {
        "tables": list(WORKER_TABLES),
        "append_only": list(APPEND_ONLY_TABLES),
        "read_only": list(READ_ONLY_TABLES),
        "role": role,
    }
    return _MISSING_PRIVILEGES.all(connection, parameters)
