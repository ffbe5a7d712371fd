"""The doctor's check that a crash of the server loses nothing that was confirmed."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import listed
from centralcloud.store.table_names import TABLES

_MOST_NAMED: Final = 10


class _Durability(NamedTuple):
    """The columns of ``durability.sql``."""

    unlogged: list[str]
    switched_off: list[str]


_DURABILITY = Query(__package__, "durability", row=_Durability)


def check_durability(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that no table is unlogged, and that the server writes to the disk what it confirms."""
    unlogged, switched_off = _DURABILITY.one(connection, {"tables": list(TABLES)})
    found, advice = [], []
    if unlogged:
        found.append(f"a crash of the server empties unlogged tables: {listed(unlogged, _MOST_NAMED)}")
        advice.append("ALTER TABLE ... SET LOGGED")
    if switched_off:
        found.append(
            f"the server runs with {' and '.join(f'{name} = off' for name in switched_off)}: a crash damages data"
        )
        advice.append("switch it on, unless the data may be lost")
    if found:
        return warn("; ".join(found), "; ".join(advice))
    return ok("tables are logged, and the server writes to the disk what it confirms")
