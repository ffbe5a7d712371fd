"""A connection to PostgreSQL whose every wait has a deadline.

A proxy, a NAT or a firewall may stop forwarding without closing anything, while the kernel on the other side keeps
acknowledging packets. Then neither keepalives nor tcp_user_timeout ever fire, and a statement in flight waits for ever. Only
the client itself can give up.

It does so in the thread that waits: every blocking call of psycopg goes through `Connection.wait`, which wakes at least ten
times a second even if the server has sent nothing. No second thread touches a connection. So a connection that was returned
to the pool is never closed by mistake, and an answer that has arrived is used however late it is.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: A working server answers statements that need no lock and no table (SET, BEGIN, LISTEN) much faster.
ANSWER_SECONDS: Final = 5.0

_T = TypeVar("_T")


class ConnectAttempts:
    """The attempts of one `Database` to connect, for those who wait for a connection. Thread-safe.

    Attributes:
        restart_server: starts the server again if it has ended, and returns whether to try once more; only for a server
            that this process may start. It raises a `CentralCloudError` when it cannot.
        failure: why the newest attempt, or the newest wait for an answer, failed; empty after a success. The pool does not
            report it.
    """

    def __init__(self, restart_server: Callable[[], bool] | None = None) -> None:
        self.restart_server = restart_server
        self._lock = threading.Lock()
        self._running: list[float] = []
        self._failed_start = float("-inf")
        self.failure = ""

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count the block as an attempt, which fails with a `psycopg.OperationalError`, or without file descriptors."""
        started = time.monotonic()
        with self._lock:
            self._running.append(started)
        try:
            yield
        except (psycopg.OperationalError, OSError) as error:
            with self._lock:
                self._failed_start = max(self._failed_start, started)
                self.failure = " ".join(str(error).split())
            raise
        else:
            self.failure = ""
        finally:
            with self._lock:
                self._running.remove(started)

    def revive_server(self) -> bool:
        """Start the server again if it has ended and this process may; return whether to try once more.

        Raises:
            psycopg.OperationalError: the server has ended and cannot be started now: an outage, with the reason.
        """
        if self.restart_server is None:
            return False
        try:
            return self.restart_server()
        except CentralCloudError as error:
            raise psycopg.OperationalError(str(error)) from None

    @property
    def running(self) -> bool:
        """Whether an attempt is in progress."""
        return bool(self._running)

    def failed_since(self, moment: float) -> bool:
        """Whether an attempt has failed that began at `moment`, by `time.monotonic()`, or later."""
        return self._failed_start >= moment


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection with a deadline. A statement without an answer by then fails, and the connection is closed.

    That is an outage like any other: `psycopg.OperationalError`, and the server rolls back, now or when it notices.

    Attributes:
        deadline: when waiting for an answer ends, by `time.monotonic()` and to a tenth of a second; None: never.
        was_cut: whether the deadline passed before an answer.
        is_pooled: whether a pooler gives the session to other clients, too.
        lock_timeout: longest wait for a lock, as PostgreSQL writes it.
        attempts: of the database that the connection belongs to.
    """

    deadline: float | None = None
    was_cut: bool = False
    is_pooled: bool = False
    lock_timeout: str = "0"
    attempts: ConnectAttempts

    @classmethod
    def connect(  # type: ignore[override]  # psycopg's other parameters are among `kwargs`
        cls, conninfo: str = "", *, attempts: ConnectAttempts | None = None, **kwargs: Any
    ) -> "DeadlineConnection":
        attempts = attempts or ConnectAttempts()
        with attempts.attempt():
            try:
                connection = super().connect(conninfo, **kwargs)
            except psycopg.OperationalError:
                if not attempts.revive_server():
                    raise
                connection = super().connect(conninfo, **kwargs)
        connection.attempts = attempts
        return connection

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Limit every wait in the block to `seconds` from now.

        Raises:
            psycopg.OperationalError: no answer arrived in time; the connection is closed.
        """
        self.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.deadline = None

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """Wait for the server as psycopg does, until the deadline."""
        if self.deadline is None:
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._until(self.deadline, gen), *args, **kwargs)

    def _until(self, deadline: float, gen: PQGen[_T]) -> PQGen[_T]:
        """Run `gen`, which yields what it waits for and receives what is ready; ten times a second it receives nothing."""
        started = time.monotonic()
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                waits_for = gen.send(ready)  # before the deadline is checked: the answer may be complete
                if time.monotonic() >= deadline:
                    self._cut(time.monotonic() - started)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _cut(self, waited_seconds: float) -> None:
        self.was_cut = True
        self.pgconn.finish()  # does not wait for the server
        self.attempts.failure = f"no answer from the server, gave up after {waited_seconds:.1f} seconds"
        log.warning("connection_timed_out", thread=threading.current_thread().name, seconds=round(waited_seconds, 1))
        raise psycopg.OperationalError(self.attempts.failure)
