"""The register of worker processes: a start finds out whether one was killed at its work."""

import socket
import threading
import time
from typing import Any, Final

import psycopg

from centralcloud.runtime.database import Database, is_database_error
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.processes import lives, this_process
from centralcloud.store import queries

log = get_logger(__name__)

_OTHERS = queries.load("other_workers")
_SAY_HELLO = queries.load("say_hello")
_SEEN = queries.load("worker_seen")
_SAY_GOODBYE = queries.load("say_goodbye")
_HEARTBEAT_SECONDS: Final = 60.0


class WorkerRegister:
    """This process's row in `ingest_workers`, shared by its consumers.

    The row is there from the first `join` until every consumer has left. A process that is killed leaves it behind. Of
    another machine's row nobody knows whether its process lives; it counts as one that was killed, because a careful start
    costs a second or two, and a message that kills one worker after the other costs the night.
    """

    def __init__(self, database: Database, *, batch_size: int) -> None:
        self._database = database
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._worker_id: int | None = None
        self._seen_at = 0.0
        self._consumers = 0
        self._careful_for = 0
        self._killed_here: list[int] = []

    @property
    def worker_id(self) -> int | None:
        """Names this process in the register; None while no consumer is at work."""
        return self._worker_id

    def join(self) -> int:
        """A consumer begins.

        Returns:
            How many messages it should handle with care: the largest batch of a worker that may have been killed, or 0.

        Raises:
            psycopg.Error, DatabaseAwayError: it has not begun.
        """
        with self._lock:
            if self._worker_id is None:
                with self._database.transaction() as connection:
                    self._careful_for, self._killed_here = _find_the_killed(connection)
                    self._worker_id = self._say_hello(connection)
                self._seen_at = time.monotonic()
            self._consumers += 1
            return self._careful_for

    def check_in(self) -> None:
        """Say now and then that the process lives."""
        if time.monotonic() - self._seen_at < _HEARTBEAT_SECONDS:
            return
        with self._lock, self._database.transaction() as connection:
            if connection.execute(_SEEN, {"worker_id": self._worker_id}).rowcount == 0:
                self._worker_id = self._say_hello(connection)  # maintenance took us for dead
            self._seen_at = time.monotonic()

    def leave(self) -> None:
        """A consumer has ended as it should; the last one says goodbye. Without a database the next start is careful."""
        with self._lock:
            self._consumers -= 1
            if self._consumers or self._worker_id is None:
                return
            try:
                with self._database.transaction() as connection:
                    # We have come through: those who were killed here before us are no reason to be careful any more.
                    connection.execute(_SAY_GOODBYE, {"worker_ids": [self._worker_id, *self._killed_here]})
            except Exception as error:
                if not is_database_error(error):
                    raise
            self._worker_id = None

    def _say_hello(self, connection: psycopg.Connection[Any]) -> int:
        worker = {"host": socket.gethostname(), "process": this_process(), "batch_size": self._batch_size}
        row = connection.execute(_SAY_HELLO, worker).fetchone()
        assert row is not None
        return int(row[0])


def _find_the_killed(connection: psycopg.Connection[Any]) -> tuple[int, list[int]]:
    """The largest batch of a worker that may have been killed, 0 when there is none; and those of this machine."""
    here = socket.gethostname()
    killed = [row for row in connection.execute(_OTHERS).fetchall() if not (row[1] == here and lives(row[2]))]
    largest = max((batch_size for *_, batch_size in killed), default=0)
    if killed:
        log.warning("worker_never_said_goodbye", workers=len(killed), effect=f"careful for {largest} messages")
    return largest, [worker_id for worker_id, host, *_ in killed if host == here]
