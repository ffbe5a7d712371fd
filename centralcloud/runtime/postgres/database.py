"""Connections to PostgreSQL: one pool per process, and dedicated connections for LISTEN."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, TypeAlias

import psycopg
import psycopg_pool
from psycopg.conninfo import make_conninfo

from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS, ConnectAttempts, DeadlineConnection
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_login_refused, is_outage
from centralcloud.runtime.postgres.outage_state import OutageState
from centralcloud.runtime.postgres.session import NO_LOCK_TIMEOUT, POOL_LOCK_TIMEOUT, begin_pooled, set_up
from centralcloud.runtime.postgres.url import (
    EMBEDDED_PREFIX,
    ConnectBudget,
    default_connect_timeout,
    read_conninfo,
    strip_url,
)

#: Defaults for what the URL does not set: a dead peer is noticed within half a minute instead of hours.
_CONNECTION_DEFAULTS: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Overrides the URL and the environment: our texts are UTF-8, whatever the database's encoding is.
_FIXED: dict[str, Any] = {"client_encoding": "utf8"}
#: Longest transaction: hundreds of times as long as a batch takes, and short enough for a fleet to wait.
LIMIT_SECONDS: Final = 15.0
#: Stands for LIMIT_SECONDS from the moment when a connection is there.
_DEFAULT_LIMIT: Final = -1.0
#: Longest transaction that reads or writes a lot in the background. Not unlimited: a dead connection may give no sign.
LONG_LIMIT_SECONDS: Final = 600.0
#: How long a request for a connection is repeated, although attempts to connect fail or all connections are in use.
_POOL_WAIT_SECONDS: Final = 3.0
#: A pool that could not connect tries again only for a new request, not for waiting ones. So the request is repeated.
_POOL_ASK_SECONDS: Final = 0.5
#: Threads of the pool that connect at the same time: where connecting takes seconds, tasks do not wait for each other's.
_CONNECTING_THREADS: Final = 3
#: Connections of a caller that does not say how many it needs.
_OWN_CONNECTIONS: Final = 8

_Pool: TypeAlias = psycopg_pool.ConnectionPool[DeadlineConnection]

# The pool logs a warning at every failed attempt; `Database` logs each change of state once instead.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Database(OutageState):
    """One PostgreSQL database, as one process sees it.

    Prepared statements are off: they do not work through a transaction pooler, and our batches gain nothing from them.

    Attributes:
        connect_seconds: how long connecting may take, as the URL says: its connect_timeout for each of its hosts.
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
        super().__init__()
        url = strip_url(url)
        self._embedded = EmbeddedServer.start(url) if url.startswith(EMBEDDED_PREFIX) else None
        target = self._embedded.uri if self._embedded else url
        defaults = {**_CONNECTION_DEFAULTS, **default_connect_timeout(), "application_name": application_name}
        self.conninfo = make_conninfo(**{**defaults, **read_conninfo(target), **_FIXED})
        self._budget = ConnectBudget(self.conninfo)
        self.connect_seconds = self._budget.seconds
        self._attempts = ConnectAttempts(self._embedded.restart if self._embedded else None)
        self._fixed_size = max_connections
        self._own_connections = own_connections
        self._reserved = 0
        self._pool: _Pool | None = None
        self._closed = False
        self._pool_lock = threading.Lock()

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
        connection = self._connect_plainly(**limit)
        set_up(connection, lock_timeout=NO_LOCK_TIMEOUT, answer_seconds=ANSWER_SECONDS)
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def plain_connection(self) -> Iterator[DeadlineConnection]:
        """Open a connection in autocommit mode without any of our settings, to see what the server makes of this login."""
        with self._connect_plainly() as connection, connection.limited(ANSWER_SECONDS):
            yield connection

    def _connect_plainly(self, **parameters: Any) -> DeadlineConnection:
        return DeadlineConnection.connect(
            self.conninfo, attempts=self._attempts, autocommit=True, prepare_threshold=None, **parameters
        )

    @contextmanager
    def connection(self, *, limit_seconds: float | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Borrow a connection in autocommit mode: every statement is a transaction of its own and costs one round trip.

        For loops, which retry: after a restart of the server the first statement on an old connection fails, as in any
        outage. Behind a pooler the block is one transaction, which alone keeps the settings of others away.

        Args:
            limit_seconds: for the whole block (above 0); None: 15 seconds after a connection is there.

        Raises:
            DatabaseUnavailableError: no connection became available in time.
        """
        deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
        pool = self._open_pool()
        connection = self._take(pool, deadline)
        if connection.is_pooled:
            self._give_back(pool, connection)
            with self._transaction(deadline, then_seconds=LIMIT_SECONDS) as in_transaction:
                yield in_transaction
            return
        connection.deadline = deadline or time.monotonic() + LIMIT_SECONDS
        try:
            with _closed_if_read_only(connection):
                yield connection
        finally:
            self._give_back(pool, connection)

    @contextmanager
    def transaction(self, *, limit_seconds: float | None = _DEFAULT_LIMIT) -> Iterator[psycopg.Connection[Any]]:
        """Borrow a connection inside one transaction: committed at the end of the block, rolled back on an error.

        Args:
            limit_seconds: from the wait for a connection to the answer to the commit (above 0). By default 15 seconds after
                a connection is there, for which the wait is as long as the URL says. None is for commands, which a person
                can interrupt: the block and the commit then have no limit, except that the server still ends a transaction
                that is idle for 15 seconds.

        Raises:
            DatabaseUnavailableError: no connection became available in time.
            psycopg.OperationalError: among others, the limit was reached. As always when a connection is lost during a
                commit, the server may have committed.
        """
        by_default = limit_seconds == _DEFAULT_LIMIT
        deadline = None if by_default or limit_seconds is None else time.monotonic() + limit_seconds
        with self._transaction(deadline, then_seconds=LIMIT_SECONDS if by_default else None) as connection:
            yield connection

    @contextmanager
    def _transaction(self, deadline: float | None, *, then_seconds: float | None) -> Iterator[DeadlineConnection]:
        """Begin before `deadline`, and end before it, too; or, without one, `then_seconds` after the begin."""
        pool = self._open_pool()
        connection, block = self._begin(pool, deadline)
        if deadline is None and then_seconds is not None:
            connection.deadline = time.monotonic() + then_seconds
        try:
            with _closed_if_read_only(connection), ExitStack() as stack:
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
                _begin_or_leave(connection, block)
            except BaseException as error:
                self._give_back(pool, connection)
                tries -= 1
                if not tries or not is_outage(error):
                    raise
            else:
                connection.deadline = deadline
                return connection, block

    def _take(self, pool: _Pool, deadline: float | None) -> DeadlineConnection:
        """Wait for a connection: while one is being opened, as long as the URL allows."""
        started = time.monotonic()
        patience = started + _POOL_WAIT_SECONDS
        # Every attempt ends within its own time limit; this is for a name service, say, that does not answer.
        rounds = math.ceil(self.max_connections / _CONNECTING_THREADS)
        latest = patience + self.connect_seconds * rounds
        if deadline is not None:
            patience, latest = min(patience, deadline), min(latest, deadline)
        while True:
            now = time.monotonic()
            if now >= latest:
                raise DatabaseUnavailableError(self._why_no_connection(now - started))
            failed = self._attempts.failed_since(started)
            if failed and is_login_refused(self._attempts.failure):  # also a stop must not wait for this
                raise DatabaseUnavailableError(self._attempts.failure)
            if now >= patience and (failed or not self._attempts.running):
                raise DatabaseUnavailableError(self._why_no_connection(now - started))
            try:
                return pool.getconn(timeout=min(_POOL_ASK_SECONDS, latest - now))
            except psycopg_pool.PoolTimeout:
                continue

    def _why_no_connection(self, waited_seconds: float) -> str:
        if self._attempts.failure:
            return self._attempts.failure
        if self._attempts.running:
            return f"still connecting to {self._budget.text} after {waited_seconds:.1f} seconds"
        return "no free connection in the pool"

    def _give_back(self, pool: _Pool, connection: DeadlineConnection) -> None:
        pool.putconn(connection)
        if connection.was_cut:
            # The other connections are most likely dead, too, and each would cost a wait to find out.
            pool.drain()

    def _open_pool(self) -> _Pool:
        with self._pool_lock:
            if self._closed:
                raise psycopg_pool.PoolClosed("the database was closed by this program")
            if self._pool is None:
                self._pool = _Pool(
                    self.conninfo,
                    connection_class=DeadlineConnection,
                    kwargs={"autocommit": True, "prepare_threshold": None, "attempts": self._attempts},
                    configure=_configure,
                    min_size=0,
                    max_size=self.max_connections,
                    # The loops retry. The pool must neither back off for minutes nor hide the reason.
                    reconnect_timeout=0.5,
                    num_workers=min(_CONNECTING_THREADS, self.max_connections),
                    open=True,
                )
            return self._pool

    def close(self) -> None:
        """Close the pool for good; stop the embedded server if no other process uses it."""
        with self._pool_lock:
            self._closed = True
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
    """Set up a new connection. Limited, because it runs in one of the few threads that open every connection."""
    set_up(connection, lock_timeout=POOL_LOCK_TIMEOUT, answer_seconds=ANSWER_SECONDS)


@contextmanager
def _closed_if_read_only(connection: DeadlineConnection) -> Iterator[None]:
    """Close a session that may not write: a new one may be allowed to, after a failover or a change of settings."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        connection.close()
        raise


def _begin_or_leave(connection: DeadlineConnection, block: AbstractContextManager[Any]) -> None:
    """Make the settings of a transaction that has just begun, or end it."""
    try:
        begin_pooled(connection)
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
