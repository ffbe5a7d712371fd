"""Connections to PostgreSQL: one pool a process, dedicated connections for LISTEN, and what counts as an outage."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
import psycopg_pool
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.connection import ANSWER_SECONDS, LimitedConnection
from centralcloud.runtime.embedded import EMBEDDED_PREFIX, EmbeddedServer
from centralcloud.runtime.logs import get_logger

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
_TRIES: Final = 5

_T = TypeVar("_T")
_Pool: TypeAlias = psycopg_pool.ConnectionPool[LimitedConnection]

# The pool warns at every failed attempt; `Database` reports each change of state once instead.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class DatabaseAwayError(CentralCloudError):
    """The database cannot be reached, or does not take work at the moment."""


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
            **{**_CONNECTION_DEFAULTS, "application_name": application_name, **_read_conninfo(target), **_FIXED}
        )
        self._max_connections = max_connections
        self._pool: _Pool | None = None
        self._pool_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._away: set[str] = set()
        self._away_since = 0.0
        self._reason = ""
        self._reasons_said: set[str] = set()
        self.outages = 0

    def connect(self, *, autocommit: bool = False) -> LimitedConnection:
        """A connection of its own, outside the pool, without a limit once it is there. The caller closes it.

        Raises:
            psycopg.OperationalError: the server cannot be reached, refuses, or does not answer within a few seconds.
        """
        connection = LimitedConnection.connect(self.conninfo, autocommit=True, prepare_threshold=None)
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
            DatabaseAwayError: no connection could be had within a few seconds.
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
            DatabaseAwayError: no connection could be had within a few seconds.
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

    def _begin(self, pool: _Pool, deadline: float | None) -> tuple[LimitedConnection, AbstractContextManager[Any]]:
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

    def _take(self, pool: _Pool, deadline: float | None) -> LimitedConnection:
        until = time.monotonic() + _POOL_WAIT_SECONDS
        until = until if deadline is None else min(until, deadline)
        while True:
            wait_seconds = until - time.monotonic()
            try:
                return pool.getconn(timeout=min(_POOL_ASK_SECONDS, wait_seconds))
            except psycopg_pool.PoolTimeout:
                if wait_seconds <= _POOL_ASK_SECONDS:
                    raise DatabaseAwayError(
                        LimitedConnection.last_failure or "no free connection in the pool"
                    ) from None

    def _give_back(self, pool: _Pool, connection: LimitedConnection) -> None:
        pool.putconn(connection)
        if connection.was_cut:
            # The others have most likely fallen silent with it, and each would cost a wait to find that out.
            pool.drain()

    def _open_pool(self) -> _Pool:
        with self._pool_lock:
            if self._pool is None:
                self._pool = _Pool(
                    self.conninfo,
                    connection_class=LimitedConnection,
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

    def mark_away(self, who: str, error: BaseException) -> None:
        """Record that `who` failed for want of the database. Each reason is logged once in an outage.

        What is heard first is seldom why it lasts: a connection breaks, and the next one is refused for a wrong password.
        """
        reason = one_line(error)
        alike = re.sub(r"\d+", "", reason)
        with self._state_lock:
            first = not self._away
            self._away.add(who)
            self._reason = reason
            if first:
                self._away_since = time.monotonic()
                self.outages += 1
                self._reasons_said = {alike}
                log.warning("database_away", reason=reason)
            elif alike not in self._reasons_said:
                self._reasons_said.add(alike)
                log.warning("database_still_away", reason=reason)

    def mark_back(self, who: str) -> None:
        """Record that `who` succeeded. Logged when everybody who had failed has succeeded again."""
        with self._state_lock:
            if who not in self._away:
                return
            self._away.discard(who)
            if not self._away:
                log.info("database_back", away_seconds=round(time.monotonic() - self._away_since, 1))

    @property
    def away(self) -> bool:
        """Whether somebody failed for want of the database, and has not succeeded since."""
        return bool(self._away)

    @property
    def why_away(self) -> str:
        """What the newest failure for want of the database said; empty while it is there."""
        return self._reason if self._away else ""

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


def is_outage(error: BaseException) -> bool:
    """Whether `error` says that the database is away or takes no work for now, rather than that the work is wrong.

    True for lost connections, shutdowns, exhausted resources, a read-only server (SQLSTATE class 25), lock timeouts,
    deadlocks and serialisation failures: the transaction was rolled back and may be tried again as it is.
    """
    if isinstance(error, DatabaseAwayError):
        return True
    if not isinstance(error, psycopg.Error) or is_refusal(error):
        return False
    connection_error = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return connection_error or (error.sqlstate or "").startswith("25")


def is_database_error(error: BaseException) -> bool:
    """Whether `error` came from the database in any way: what an instance, which must go on routing, waits out."""
    return isinstance(error, psycopg.Error | DatabaseAwayError)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the database refuses what it was given: bad data, a violated constraint, or beyond its limits.

    SQLSTATE classes 22, 23 and 54. The same again fails again; something else in the same batch may be fine.
    """
    return (error.sqlstate or "")[:2] in {"22", "23", "54"}


def is_contention(error: BaseException) -> bool:
    """Whether `error` is an outage only in the sense that another transaction was in the way."""
    return isinstance(
        error,
        psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure | psycopg.errors.LockNotAvailable,
    )


def patiently(work: Callable[[], _T], *, is_in_the_way: Callable[[BaseException], bool] = is_contention) -> _T:
    """Do `work` again when another transaction was in the way, as the loops do; for commands. Gives up after some tries."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except psycopg.Error as error:
            if not is_in_the_way(error):
                raise
    return work()


def one_line(error: BaseException) -> str:
    """The message of `error` on one line, without the statement it is about."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((message or str(error)).split()) or type(error).__name__


def check_url(url: str) -> str:
    """`url` when it names a database.

    Raises:
        ValueError: neither ``embedded:`` nor anything libpq can use. The text never repeats the URL, which may hold a
            password.
    """
    if url.startswith(EMBEDDED_PREFIX):
        return url
    if not url:
        raise ValueError("empty")
    try:
        conninfo = _read_conninfo(url)
    except psycopg.ProgrammingError:
        raise ValueError("not a libpq URI") from None
    if not _could_be_reached(conninfo):
        raise ValueError("names no host and port")
    return url


def _could_be_reached(conninfo: dict[str, Any]) -> bool:
    """Whether hosts, ports and the time-out can be what they say.

    An @ or / in a password that is not percent-encoded ends it: the rest counts as host or port, which every message of a
    failed connection would repeat.
    """
    hosts, ports = (str(conninfo.get(name, "")).split(",") for name in ("host", "port"))
    seconds = str(conninfo.get("connect_timeout", "0"))
    return (
        not any("@" in host[1:] and not host.startswith("/") for host in hosts)
        and all(port == "" or (port.isdecimal() and 0 < int(port) < 65_536) for port in ports)
        and seconds.removeprefix("-").isdecimal()
    )


def _read_conninfo(url: str) -> dict[str, Any]:
    return {name: value for name, value in conninfo_to_dict(url).items() if value is not None}


def _configure(connection: LimitedConnection) -> None:
    """Runs in the pool's only worker: if it waited for ever, no connection would be made again."""
    with connection.limited(ANSWER_SECONDS):
        connection.execute(f"{_SESSION_SETTINGS}; {_LOCK_SETTING}")
