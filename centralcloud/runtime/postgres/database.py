"""Connections to PostgreSQL: one pool per process, dedicated connections for LISTEN, and the state of an outage."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, TypeAlias

import psycopg
import psycopg_pool
from psycopg.conninfo import make_conninfo

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS, DeadlineConnection
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_outage, summarize_error
from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX, read_conninfo

log = get_logger(__name__)

#: Defaults for what the URL does not set: a dead peer is noticed within half a minute instead of hours.
_CONNECTION_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Overrides the URL and the environment: our texts are UTF-8, whatever the database's encoding is.
_FIXED: dict[str, Any] = {"client_encoding": "utf8"}
#: Longest transaction: hundreds of times as long as a batch takes, and short enough for a fleet to wait.
LIMIT_SECONDS: Final = 15.0
#: Longest transaction that reads or writes a lot in the background. Not unlimited: a dead connection may give no sign.
LONG_LIMIT_SECONDS: Final = 600.0
#: The time-outs are for a client that vanished without closing: the server would keep its idle transaction, or a result that
#: is not read, and with them locks that others wait for. Our transactions are never idle for longer than it takes to decode
#: a batch, and psycopg reads a result as it arrives.
#: Isolation and date style are set because the server's defaults may differ: a statement that waited for a lock must see
#: what the other transaction wrote, and psycopg reads only ISO dates.
_SESSION_SETTINGS: Final = """
    SET idle_in_transaction_session_timeout = '15s'; SET tcp_user_timeout = '15s';
    SET default_transaction_isolation = 'read committed'; SET datestyle = 'ISO'
"""
#: In the pool: a statement that waits for a lock fails before its client gives up. Otherwise it would wait on without a
#: client, and every retry would add another one, until the server has no connections left.
_LOCK_SETTING: Final = "SET lock_timeout = '12s'"
_POOL_WAIT_SECONDS: Final = 3.0
#: A pool that could not connect tries again only for a new request, not for waiting ones. So the request is repeated.
_POOL_ASK_SECONDS: Final = 0.5
#: Connections of a caller that does not say how many it needs.
_OWN_CONNECTIONS: Final = 8

_Pool: TypeAlias = psycopg_pool.ConnectionPool[DeadlineConnection]

# The pool logs a warning at every failed attempt; `Database` logs each change of state once instead.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Database:
    """One PostgreSQL database, as one process sees it.

    Prepared statements are off: they do not work through a transaction pooler, and our batches gain nothing from them.

    Attributes:
        outages: how often it became unavailable while a task or a command used it.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        max_connections: int | None = None,
        own_connections: int = _OWN_CONNECTIONS,
    ) -> None:
        """Connect to nothing yet, except that ``embedded:`` starts a server.

        Args:
            url: a libpq URI, a libpq keyword string, or ``embedded:`` with an optional folder.
            application_name: shown in `pg_stat_activity`.
            max_connections: size of the pool; None: `own_connections` and what background tasks reserve.
            own_connections: connections for the caller itself; a program whose tasks do all the work needs none.
        """
        self._embedded = EmbeddedServer.start(url) if url.startswith(EMBEDDED_PREFIX) else None
        target = self._embedded.uri if self._embedded else url
        self.conninfo = make_conninfo(
            **{**_CONNECTION_DEFAULTS, "application_name": application_name, **read_conninfo(target), **_FIXED}
        )
        self._fixed_size = max_connections
        self._own_connections = own_connections
        self._reserved = 0
        self._pool: _Pool | None = None
        self._pool_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._unavailable: set[str] = set()
        self._unavailable_since = 0.0
        self._reason = ""
        self._logged_reasons: set[str] = set()
        self.outages = 0

    @property
    def max_connections(self) -> int:
        """Size of the pool."""
        return self._fixed_size or max(1, self._own_connections + self._reserved)

    def reserve(self, connections: int) -> None:
        """Let the pool hold so many connections more, unless its size was given. Works while it is in use, too.

        A negative number takes a reservation back.
        """
        with self._pool_lock:
            self._reserved += connections
            if self._pool is not None:
                self._pool.resize(0, self.max_connections)

    def open(self) -> None:
        """Start the threads of the pool now, instead of at its first use; connects to nothing."""
        self._open_pool()

    def connect(self, *, autocommit: bool = False, timeout_seconds: float | None = None) -> DeadlineConnection:
        """Open a connection outside the pool, without a time limit once it is open. The caller closes it.

        Args:
            timeout_seconds: how long to wait for the server, at least 2; None: as the URL says, or 5.

        Raises:
            psycopg.OperationalError: the server cannot be reached, refuses, or does not answer within a few seconds.
        """
        limit = {} if timeout_seconds is None else {"connect_timeout": max(2, round(timeout_seconds))}
        connection = DeadlineConnection.connect(self.conninfo, autocommit=True, prepare_threshold=None, **limit)
        with connection.limited(ANSWER_SECONDS):
            connection.execute(_SESSION_SETTINGS)
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def connection(self, *, limit_seconds: float = LIMIT_SECONDS) -> Iterator[psycopg.Connection[Any]]:
        """Borrow a connection in autocommit mode: every statement is a transaction of its own and costs one round trip.

        For loops, which retry: after a restart of the server the first statement on an old connection fails, as in any
        outage. The whole block takes at most `limit_seconds` (above 0).

        Raises:
            DatabaseUnavailableError: no connection became available within a few seconds.
        """
        deadline = time.monotonic() + limit_seconds
        pool = self._open_pool()
        connection = self._take(pool, deadline)
        connection.deadline = deadline
        try:
            yield connection
        finally:
            self._give_back(pool, connection)

    @contextmanager
    def transaction(self, *, limit_seconds: float | None = LIMIT_SECONDS) -> Iterator[psycopg.Connection[Any]]:
        """Borrow a connection inside one transaction: committed at the end of the block, rolled back on an error.

        From the wait for a connection to the answer to the commit it takes at most `limit_seconds` (above 0). None is for
        commands, which a person can interrupt: the block and the commit then have no limit, except that the server still
        ends a transaction that is idle for 15 seconds.

        Raises:
            DatabaseUnavailableError: no connection became available within a few seconds.
            psycopg.OperationalError: among others, the limit was reached. As always when a connection is lost during a
                commit, the server may have committed.
        """
        deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
        pool = self._open_pool()
        connection, block = self._begin(pool, deadline)
        try:
            with ExitStack() as stack:
                stack.push(block)
                yield connection
        finally:
            self._give_back(pool, connection)

    def _begin(self, pool: _Pool, deadline: float | None) -> tuple[DeadlineConnection, AbstractContextManager[Any]]:
        """Return a connection and the transaction that is open on it.

        The answer to BEGIN proves that the connection works. One from before a restart of the server does not answer: it is
        discarded and the next one is tried, so that the caller never sees it.
        """
        tries = self.max_connections + 1  # every pooled connection may be that old; the last try gets a new one
        while True:
            connection = self._take(pool, deadline)
            answer_by = time.monotonic() + ANSWER_SECONDS
            connection.deadline = answer_by if deadline is None else min(answer_by, deadline)
            block = connection.transaction()
            try:
                block.__enter__()
            except BaseException as error:
                self._give_back(pool, connection)
                tries -= 1
                if not tries or not is_outage(error):
                    raise
            else:
                connection.deadline = deadline
                return connection, block

    def _take(self, pool: _Pool, deadline: float | None) -> DeadlineConnection:
        until = time.monotonic() + _POOL_WAIT_SECONDS
        until = until if deadline is None else min(until, deadline)
        while True:
            wait_seconds = until - time.monotonic()
            try:
                return pool.getconn(timeout=min(_POOL_ASK_SECONDS, wait_seconds))
            except psycopg_pool.PoolTimeout:
                if wait_seconds <= _POOL_ASK_SECONDS:
                    raise DatabaseUnavailableError(
                        DeadlineConnection.last_failure or "no free connection in the pool"
                    ) from None

    def _give_back(self, pool: _Pool, connection: DeadlineConnection) -> None:
        pool.putconn(connection)
        if connection.was_cut:
            # The other connections are most likely dead, too, and each would cost a wait to find out.
            pool.drain()

    def _open_pool(self) -> _Pool:
        with self._pool_lock:
            if self._pool is None:
                self._pool = _Pool(
                    self.conninfo,
                    connection_class=DeadlineConnection,
                    kwargs={"autocommit": True, "prepare_threshold": None},
                    configure=_configure,
                    min_size=0,
                    max_size=self.max_connections,
                    # The loops retry. The pool must neither back off for minutes nor hide the reason.
                    reconnect_timeout=0.5,
                    num_workers=1,
                    open=True,
                )
            return self._pool

    def mark_unavailable(self, task: str, error: BaseException) -> None:
        """Record that `task` failed because the database is unavailable. Each reason is logged once per outage.

        The first reason is seldom the lasting one: a connection breaks, then the next one is refused for a wrong password.
        """
        reason = summarize_error(error)
        alike = re.sub(r"\d+", "", reason)
        with self._state_lock:
            first = not self._unavailable
            self._unavailable.add(task)
            self._reason = reason
            if first:
                self._unavailable_since = time.monotonic()
                self.outages += 1
                self._logged_reasons = {alike}
                log.warning("database_unavailable", reason=reason)
            elif alike not in self._logged_reasons:
                self._logged_reasons.add(alike)
                log.warning("database_still_unavailable", reason=reason)

    def mark_available(self, task: str) -> None:
        """Record that `task` succeeded. Logged when every task that had failed has succeeded again."""
        with self._state_lock:
            if task not in self._unavailable:
                return
            self._unavailable.discard(task)
            if not self._unavailable:
                log.info("database_restored", outage_seconds=round(time.monotonic() - self._unavailable_since, 1))

    @property
    def unavailable(self) -> bool:
        """Whether a task failed because of the database and has not succeeded since."""
        return bool(self._unavailable)

    @property
    def unavailable_reason(self) -> str:
        """The newest reason of the outage; empty while the database is available."""
        return self._reason if self._unavailable else ""

    def close(self) -> None:
        """Close the pool; stop the embedded server if no other process uses it."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close(timeout=1.0)
                self._pool = None
        if self._embedded is not None:
            self._embedded.stop()

    def kill_embedded_server(self) -> None:
        """Kill the embedded server, as a power cut would, if there is one. For a second Ctrl-C."""
        if self._embedded is not None:
            self._embedded.kill()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _configure(connection: DeadlineConnection) -> None:
    """Set up a new connection. Limited, because it runs in the pool's only worker, which opens every connection."""
    with connection.limited(ANSWER_SECONDS):
        connection.execute(f"{_SESSION_SETTINGS}; {_LOCK_SETTING}")
