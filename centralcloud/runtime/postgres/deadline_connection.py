"""A connection to PostgreSQL on which nobody waits for ever.

Behind a proxy, a NAT or a firewall that falls silent without closing anything, the peer's kernel or the proxy's own goes on
acknowledging. Neither keepalives nor tcp_user_timeout ever fire then, and a statement in flight waits for an answer that
cannot come. Only the client itself can give up.

It does so in the thread that waits: every blocking call of psycopg comes through `Connection.wait`, which looks up at least
ten times a second whether or not the server has said something. No second thread ever touches a connection, so one that was
given back cannot be cut by mistake, and an answer that has come in is taken however late it is.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: A live server answers what needs neither a lock nor a look at a table (SET, BEGIN, LISTEN) long before this.
ANSWER_SECONDS: Final = 5.0

_T = TypeVar("_T")


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection with a deadline. What is still waited for after it fails, and the connection is cut.

    A cut is an outage like any other: `psycopg.OperationalError`, and the server rolls back, now or when it notices.

    Attributes:
        deadline: when waiting for an answer ends, by `time.monotonic()` and to a tenth of a second; None: never.
        was_cut: whether the deadline came before an answer.
        last_failure: why the last attempt of this process to connect, or to get an answer, failed; the pool does not tell.
    """

    last_failure: ClassVar[str] = ""

    deadline: float | None = None
    was_cut: bool = False

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> "DeadlineConnection":
        try:
            connection = super().connect(conninfo, **kwargs)
        except psycopg.OperationalError as error:
            cls.last_failure = " ".join(str(error).split())
            raise
        cls.last_failure = ""
        return connection

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Wait for whatever is asked in the block until `seconds` from now at most.

        Raises:
            psycopg.OperationalError: no answer came in time; the connection is closed.
        """
        self.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.deadline = None

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """What psycopg does whenever it has to wait for the server, until the deadline."""
        if self.deadline is None:
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._until(self.deadline, gen), *args, **kwargs)

    def _until(self, deadline: float, gen: PQGen[_T]) -> PQGen[_T]:
        """`gen`, which yields what it waits for, and is told what is ready: ten times a second that nothing is."""
        started = time.monotonic()
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                waits_for = gen.send(ready)  # first: what has come in may be all that it waited for
                if time.monotonic() >= deadline:
                    self._cut(time.monotonic() - started)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _cut(self, waited_seconds: float) -> None:
        self.was_cut = True
        self.pgconn.finish()  # says goodbye if the socket takes it, and does not wait for that
        DeadlineConnection.last_failure = (
            f"no answer in time, given up after waiting {waited_seconds:.1f} seconds for it"
        )
        log.warning("connection_timed_out", who=threading.current_thread().name, seconds=round(waited_seconds, 1))
        raise psycopg.OperationalError(DeadlineConnection.last_failure)
