"""The registry of worker processes: a worker that starts finds out whether another one was killed."""

import socket
import threading
import time
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.identity import is_running, this_process

log = get_logger(__name__)

_HEARTBEAT_SECONDS: Final = 60.0


class _Worker(NamedTuple):
    worker_id: int
    host: str
    process: str
    batch_size: int


_LIST_WORKERS = Query(__package__, "list_workers", row=_Worker)
_REGISTER_WORKER = Query(__package__, "register_worker", row=int)
_TOUCH_WORKER = Query(__package__, "touch_worker")
_DEREGISTER_WORKERS = Query(__package__, "deregister_workers")


class WorkerRegistry:
    """This process's row in `ingest_workers`, shared by its consumers.

    The row exists from the first `register` until every consumer has deregistered. A process that is killed leaves it
    behind. A row of another machine counts as that of a killed process, because this process cannot see whether it is
    running. The slow path at the start costs a second or two; without it, one message could kill worker after worker.
    """

    def __init__(self, database: Database, *, batch_size: int) -> None:
        self._database = database
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._worker_id: int | None = None
        self._seen_at = 0.0
        self._consumers = 0
        self._isolate_next = 0
        self._killed_here: list[_Worker] = []

    @property
    def worker_id(self) -> int | None:
        """Identifies this process in the registry; None while no consumer is registered."""
        return self._worker_id

    def register(self) -> int:
        """Register a consumer of this process.

        Returns:
            How many messages it should ingest by the slow path: the largest batch of a worker that may have been killed,
            or 0.

        Raises:
            psycopg.Error, DatabaseUnavailableError: the consumer is not registered.
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
        """Update the row once a minute: this process is running."""
        if time.monotonic() - self._seen_at < _HEARTBEAT_SECONDS:
            return
        with self._lock, self._database.transaction() as connection:
            if _TOUCH_WORKER.run(connection, {**self._identity(), "worker_id": self._worker_id}) == 0:
                # Maintenance has deleted the row as stale, or the database is another one.
                self._worker_id = self._register_worker(connection)
            self._seen_at = time.monotonic()

    def deregister(self) -> None:
        """Deregister a consumer that has stopped cleanly; the last one deletes the row, if the database is available."""
        with self._lock:
            self._consumers -= 1
            if self._consumers or self._worker_id is None:
                return
            try:
                with self._database.transaction() as connection:
                    # This worker has ingested what may have killed earlier ones on this machine: forget them, too.
                    here = self._identity()
                    ended = [(self._worker_id, here["process"])]
                    ended += [(worker.worker_id, worker.process) for worker in self._killed_here]
                    worker_ids, processes = map(list, zip(*ended, strict=True))
                    workers = {"worker_ids": worker_ids, "processes": processes, "host": here["host"]}
                    _DEREGISTER_WORKERS.run(connection, workers)
            except Exception as error:
                if not is_database_error(error):
                    raise
            self._worker_id = None

    def _register_worker(self, connection: psycopg.Connection[Any]) -> int:
        return _REGISTER_WORKER.one(connection, {**self._identity(), "batch_size": self._batch_size})

    def _identity(self) -> dict[str, str]:
        return {"host": socket.gethostname(), "process": this_process()}


def _unclean_exits(connection: psycopg.Connection[Any]) -> tuple[int, list[_Worker]]:
    """Return the largest batch of a worker that may have been killed, or 0, and those of this machine."""
    here = socket.gethostname()
    killed = [
        worker for worker in _LIST_WORKERS.all(connection) if not (worker.host == here and is_running(worker.process))
    ]
    largest = max((worker.batch_size for worker in killed), default=0)
    if killed:
        log.warning("unclean_worker_exit", workers=len(killed), effect=f"the next {largest} messages are isolated")
    return largest, [worker for worker in killed if worker.host == here]
