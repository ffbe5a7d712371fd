"""The settings of a session: what others set for the role, the database or a pooled connection must not change our results.

On a connection of our own the settings are made once, for the session. Behind a pooler in transaction mode a session
belongs to every client in turn: there each transaction makes them for itself (SET LOCAL), nothing is left to a neighbour,
and what a neighbour has left is overridden.
"""

from typing import Any, Final

import psycopg

from centralcloud.runtime.postgres.deadline_connection import DeadlineConnection

_TRANSACTION_TIMEOUT_SINCE: Final = 170_000

#: The time-outs are for a client that vanished without closing: the server would keep its idle transaction, or a result that
#: is not read, and with them locks that others wait for. Our transactions are never idle for longer than it takes to decode
#: a batch, and psycopg reads a result as it arrives. How long a statement may take is decided by the client's deadlines.
#: psycopg reads dates in the ISO form only; numbers are exact, and backslashes and NULL in arrays mean what they say.
#: Without `row_security` a statement that row-level security would filter fails. Rows that are hidden look like rows that
#: were deleted: messages would be lost, and a repair would delete what was learned.
OVERRIDDEN: Final = {
    "search_path": "public, pg_temp",
    "row_security": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "'15s'",
    "tcp_user_timeout": "'15s'",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
}
#: For a session of our own: what concerns a session that waits, and statements outside a transaction block. A statement that
#: waited for a lock must see what the other transaction wrote.
_OF_A_SESSION: Final = {"idle_session_timeout": "0", "default_transaction_isolation": "'read committed'"}
#: In a pooled session: back to what the server, the database and the role say, whatever a neighbour has set.
_RESET: Final = ("role", "synchronous_commit", "default_transaction_read_only")
_SHOW: Final = ("transaction_read_only", "default_transaction_read_only", "in_hot_standby")
_BACKEND_PID: Final = "SELECT pg_catalog.pg_backend_pid()"

#: In the pool: a statement that waits for a lock fails before its client gives up. Otherwise it would wait on without a
#: client, and every retry would add another one, until the server has no connections left.
POOL_LOCK_TIMEOUT: Final = "'12s'"
#: Outside the pool: a migration waits for another migration.
NO_LOCK_TIMEOUT: Final = "0"


def set_up(connection: DeadlineConnection, *, lock_timeout: str, answer_seconds: float) -> None:
    """Find out whether the session is our own, and make its settings if it is; `answer_seconds` limit that."""
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.lock_timeout = lock_timeout
    with connection.limited(answer_seconds), connection.attempts.attempt():
        connection.is_pooled = is_pooled(connection)
        if not connection.is_pooled:
            connection.execute(_as_query(_statements("SET", {**_settings(connection), **_OF_A_SESSION})))


def is_pooled(connection: DeadlineConnection) -> bool:
    """Whether a pooler is in between: it announces a key of its own for cancelling, not the process that answers."""
    row = connection.execute(_BACKEND_PID).fetchone()
    return row is None or row[0] != connection.info.backend_pid


def begin_pooled(connection: DeadlineConnection) -> None:
    """Make the settings of one transaction, as its first statements. On a session of our own there is nothing to do."""
    if not connection.is_pooled:
        return
    reset = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in _RESET)
    show = "; ".join(f"SHOW {name}" for name in _SHOW)
    cursor = connection.execute(_as_query(f"{_statements('SET LOCAL', _settings(connection))}; {reset}; {show}"))
    shown = dict(zip(_SHOW, _values(cursor), strict=True))
    if shown == {"transaction_read_only": "on", "default_transaction_read_only": "off", "in_hot_standby": "off"}:
        connection.execute("SET TRANSACTION READ WRITE")  # a neighbour's session is read-only, ours is not


def _settings(connection: DeadlineConnection) -> dict[str, str]:
    newer = connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE
    return {
        **OVERRIDDEN,
        "lock_timeout": connection.lock_timeout,
        **({"transaction_timeout": "0"} if newer else {}),
    }


def _statements(command: str, settings: dict[str, str]) -> str:
    return "; ".join(f"{command} {name} = {value}" for name, value in settings.items())


def _values(cursor: psycopg.Cursor[Any]) -> list[str]:
    """The value of each SHOW among several statements."""
    values = []
    while True:
        if cursor.description is not None and (row := cursor.fetchone()) is not None:
            values.append(str(row[0]))
        if not cursor.nextset():
            return values


def _as_query(statements: str) -> bytes:
    """The statements as psycopg accepts text that is not a literal; all of it is written in this module."""
    return statements.encode()
