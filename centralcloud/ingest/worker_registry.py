"""The register of worker processes: a start finds out whether one was killed at its work."""

import socket
import threading
import time
from typing import Any, Final

import psycopg

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.identity import is_running, this_process

log = get_logger(__name__)

_LIST_WORKERS = Query(__package__, "list_workers")
_REGISTER = Query(__package__, "register_worker")
_TOUCH_WORKER = Query(__package__, "touch_worker")
_DEREGISTER = Query(__package__, "deregister_workers")
_HEARTBEAT_SECONDS: Final = 60.0


class WorkerRegistry:
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
        self._isolate_next = 0
        self._killed_here: list[int] = []

    @property
    def worker_id(self) -> int | None:
        """Names this process in the register; None while no consumer is at work."""
        return self._worker_id

    def register(self) -> int:
        """A consumer begins.

        Returns:
            How many messages it should handle with care: the largest batch of a worker that may have been killed, or 0.

        Raises:
            psycopg.Error, DatabaseUnavailableError: it has not begun.
        """
        with self._lock:
            if self._worker_id is None:
                with self._database.transaction() as connection:
                    self._isolate_next, self._killed_here = _unclean_exits(connection)
                    self._worker_id = self._register_worker(connection)
                self._seen_at = time.monotonic()
            self._consumers += 1
            return self._isolate_next

    def heartbeat(self) -> None:
        """Say now and then that the process lives."""
        if time.monotonic() - self._seen_at < _HEARTBEAT_SECONDS:
            return
        with self._lock, self._database.transaction() as connection:
            if connection.execute(_TOUCH_WORKER.text, {"worker_id": self._worker_id}).rowcount == 0:
                self._worker_id = self._register_worker(connection)  # maintenance took us for dead
            self._seen_at = time.monotonic()

    def deregister(self) -> None:
        """A consumer has ended as it should; the last one says goodbye. Without a database the next start is careful."""
        with self._lock:
            self._consumers -= 1
            if self._consumers or self._worker_id is None:
                return
            try:
                with self._database.transaction() as connection:
                    # We have come through: those who were killed here before us are no reason to be careful any more.
                    connection.execute(_DEREGISTER.text, {"worker_ids": [self._worker_id, *self._killed_here]})
            except Exception as error:
                if not is_database_error(error):
                    raise
            self._worker_id = None

    def _register_worker(self, connection: psycopg.Connection[Any]) -> int:
        worker = {"host": socket.gethostname(), "process": this_process(), "batch_size": self._batch_size}
        row = connection.execute(_REGISTER.text, worker).fetchone()
        assert row is not None
        return int(row[0])


def _unclean_exits(connection: psycopg.Connection[Any]) -> tuple[int, list[int]]:
    """The largest batch of a worker that may have been killed, 0 when there is none; and those of this machine."""
    here = socket.gethostname()
    killed = [
        row for row in connection.execute(_LIST_WORKERS.text).fetchall() if not (row[1] == here and is_running(row[2]))
    ]
    largest = max((batch_size for *_, batch_size in killed), default=0)
    if killed:
        log.warning("unclean_worker_exit", workers=len(killed), effect=f"careful for {largest} messages")
    return largest, [worker_id for worker_id, host, *_ in killed if host == here]
