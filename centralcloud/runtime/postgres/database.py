"""Connections to PostgreSQL: one pool a process, dedicated connections for LISTEN, and what counts as an outage."""

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

#: Merged under what the URL says: a dead peer is noticed within half a minute instead of hours.
_CONNECTION_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Wins over what the URL and the environment say: our texts are UTF-8, whatever the database's encoding is.
_FIXED: dict[str, Any] = {"client_encoding": "utf8"}
#: Of a transaction: hundreds of times what a batch takes, and short enough for a fleet to wait out.
LIMIT_SECONDS: Final = 15.0
#: Of a transaction that reads or writes a great deal in the background. Not endless: the connection may be a silent one.
LONG_LIMIT_SECONDS: Final = 600.0
#: For the server, when the client has vanished without closing: how long it keeps a transaction that is idle, or a result
#: that nobody takes, and with them locks that others wait for. Nothing of ours idles longer than a batch is decoded, and
#: psycopg takes a result as it comes.
#: And for ourselves: a statement that has waited for a lock must see what it has waited for, and dates must
#: be such as psycopg reads, whatever the server's defaults are.
_SESSION_SETTINGS: Final = """
    SET idle_in_transaction_session_timeout = '15s'; SET tcp_user_timeout = '15s';
    SET default_transaction_isolation = 'read committed'; SET datestyle = 'ISO'
"""
#: In the pool: a statement that waits for a lock ends before its client gives up. Else it would go on waiting with nobody
#: behind it, and one more would join it at every retry, until the server has no connections left.
_LOCK_SETTING: Final = "SET lock_timeout = '12s'"
_POOL_WAIT_SECONDS: Final = 3.0
#: A pool that could not connect does not try again for those who wait already, only for who asks: so ask again.
_POOL_ASK_SECONDS: Final = 0.5

_Pool: TypeAlias = psycopg_pool.ConnectionPool[DeadlineConnection]

# The pool warns at every failed attempt; `Database` reports each change of state once instead.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Database:
    """One PostgreSQL database, as one process sees it.

    Prepared statements are off: they do not survive a transaction pooler, and our batches gain nothing from them.

    Attributes:
        outages: how often it has gone away while somebody wanted something of it.
    """

    def __init__(self, url: str, *, application_name: str, max_connections: int = 8) -> None:
        """`url` is a libpq URI, a libpq keyword string, or ``embedded:`` with an optional folder, which starts a server."""
        self._embedded = EmbeddedServer.start(url) if url.startswith(EMBEDDED_PREFIX) else None
        target = self._embedded.uri if self._embedded else url
        self.conninfo = make_conninfo(
            **{**_CONNECTION_DEFAULTS, "application_name": application_name, **read_conninfo(target), **_FIXED}
        )
        self._max_connections = max_connections
        self._pool: _Pool | None = None
        self._pool_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._unavailable: set[str] = set()
        self._unavailable_since = 0.0
        self._reason = ""
        self._reasons_said: set[str] = set()
        self.outages = 0

    def connect(self, *, autocommit: bool = False) -> DeadlineConnection:
        """A connection of its own, outside the pool, without a limit once it is there. The caller closes it.

        Raises:
            psycopg.OperationalError: the server cannot be reached, refuses, or does not answer within a few seconds.
        """
        connection = DeadlineConnection.connect(self.conninfo, autocommit=True, prepare_threshold=None)
        with connection.limited(ANSWER_SECONDS):
            connection.execute(_SESSION_SETTINGS)
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def connection(self, *, limit_seconds: float = LIMIT_SECONDS) -> Iterator[psycopg.Connection[Any]]:
        """A pooled connection in autocommit: every statement is a transaction of its own, and costs one round trip.

        For loops, which try again: on a connection from before a restart of the server the first statement fails, as in any
        outage. All of it takes `limit_seconds` (above 0) at most.

        Raises:
            DatabaseUnavailableError: no connection could be had within a few seconds.
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
        """A pooled connection inside one transaction: committed at the end of the block, rolled back on an error.

        All of it, from the wait for a connection to the answer to the commit, takes `limit_seconds` (above 0) at most. None
        is for commands, where somebody waits and can interrupt: the block and the commit have no limit then, except that the
        server still ends a transaction that is left idle for 15 seconds.

        Raises:
            DatabaseUnavailableError: no connection could be had within a few seconds.
            psycopg.OperationalError: among others, the limit was reached. As with every connection that is lost in a commit,
                the server may have committed.
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
        """A connection, and the transaction that is open on it.

        The answer to BEGIN shows that the connection lives. One from before a restart of the server gives none: it is
        thrown away and the next one tried, so that the caller never sees it.
        """
        tries = self._max_connections + 1  # all that the pool holds may be that old, and then one new
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
            # The others have most likely fallen silent with it, and each would cost a wait to find that out.
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
                    max_size=self._max_connections,
                    # The loops retry; the pool should neither back off for minutes nor hide the reason.
                    reconnect_timeout=0.5,
                    num_workers=1,
                    open=True,
                )
            return self._pool

    def mark_unavailable(self, who: str, error: BaseException) -> None:
        """Record that `who` failed for want of the database. Each reason is logged once in an outage.

        What is heard first is seldom why it lasts: a connection breaks, and the next one is refused for a wrong password.
        """
        reason = summarize_error(error)
        alike = re.sub(r"\d+", "", reason)
        with self._state_lock:
            first = not self._unavailable
            self._unavailable.add(who)
            self._reason = reason
            if first:
                self._unavailable_since = time.monotonic()
                self.outages += 1
                self._reasons_said = {alike}
                log.warning("database_unavailable", reason=reason)
            elif alike not in self._reasons_said:
                self._reasons_said.add(alike)
                log.warning("database_still_unavailable", reason=reason)

    def mark_available(self, who: str) -> None:
        """Record that `who` succeeded. Logged when everybody who had failed has succeeded again."""
        with self._state_lock:
            if who not in self._unavailable:
                return
            self._unavailable.discard(who)
            if not self._unavailable:
                log.info("database_restored", away_seconds=round(time.monotonic() - self._unavailable_since, 1))

    @property
    def unavailable(self) -> bool:
        """Whether somebody failed for want of the database, and has not succeeded since."""
        return bool(self._unavailable)

    @property
    def unavailable_reason(self) -> str:
        """What the newest failure for want of the database said; empty while it is there."""
        return self._reason if self._unavailable else ""

    def close(self) -> None:
        """Close the pool; stop the embedded server if this process was the last to use it."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close(timeout=1.0)
                self._pool = None
        if self._embedded is not None:
            self._embedded.stop()

    def kill_embedded_server(self) -> None:
        """End the embedded server at once, as a power cut would, when there is one. For a second Ctrl-C."""
        if self._embedded is not None:
            self._embedded.kill()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _configure(connection: DeadlineConnection) -> None:
    """Runs in the pool's only worker: if it waited for ever, no connection would be made again."""
    with connection.limited(ANSWER_SECONDS):
        connection.execute(f"{_SESSION_SETTINGS}; {_LOCK_SETTING}")
