"""Findings that say why work stops: stored even while the sequence of the findings is behind its table."""

from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.runtime.postgres.query import Query
from centralcloud.store.findings import Finding, open_finding
from centralcloud.store.sequences import drew_a_used_number

_INSERT_NUMBERED_FINDING = Query(__package__, "insert_numbered_finding")
#: Other tasks may take the same number at the same time.
_TRIES: Final = 10


def open_urgent_finding(connection: psycopg.Connection[Any], finding: Finding) -> None:
    """Open `finding`, or refresh it if it is open, in the connection's open transaction.

    If the sequence gives out a number that is in use, the finding gets the number after the newest one.

    Raises:
        psycopg.Error: any other error of the database; or others have taken each number that was tried.
    """
    if _is_stored(connection, lambda: open_finding(connection, finding)):
        return
    values = {**finding._asdict(), "details": Jsonb(finding.details)}
    for _ in range(_TRIES - 1):
        if _is_stored(connection, lambda: _INSERT_NUMBERED_FINDING.run(connection, values)):
            return
    _INSERT_NUMBERED_FINDING.run(connection, values)


def _is_stored(connection: psycopg.Connection[Any], store: Callable[[], object]) -> bool:
    try:
        with connection.transaction():
            store()
    except psycopg.errors.UniqueViolation as error:
        if not drew_a_used_number(error):
            raise
        return False
    return True
