"""The one shape of every background task: a loop that runs, then waits for the clock, for `wake()` or for `stop()`."""

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_contention, is_outage, passes_by_itself, summarize_error
from centralcloud.runtime.process.heartbeat import GRACE_SECONDS, Heartbeat

log = get_logger(__name__)

_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0
#: Part of the grace of a heartbeat; where the URL allows a longer wait for a connection, the rest is added.
_CONNECTING_SECONDS: Final = 30.0
_MISSING_RIGHT: Final = "`centralcloud doctor` names every right that is missing"


class BackgroundTask(ABC):
    """A task in the background: one thread that calls `run_once` again and again.

    Between two runs it waits until the interval is over, or until `wake()` or `stop()` is called, whichever is first. A run
    that fails because the database is unavailable, lacks a table for now, or because no file descriptor is left, is repeated
    with backoff. Any other exception
    ends the thread and goes to `on_crash`, which stops the program: a task that fails must not fail silently. For a missing
    right the error says what the operator can do.

    Attributes:
        name: of the thread, and of the task in logs.
        interval_seconds: longest wait between two runs; None: one run at the start, then only after `wake()`.
        longest_run_seconds: how long a run may take before the task counts as stalled.
        connections: pooled connections that a run uses at the same time.
        woken: whether `wake()`, and not the clock, started the current run.
        heartbeat: beats before and after every run.
    """

    def __init__(self, name: str, database: Database, *, interval_seconds: float | None, connections: int = 1) -> None:
        self.name = name
        self.interval_seconds = interval_seconds
        self.longest_run_seconds = 0.0
        self.connections = connections
        self.woken = False
        self.database = database
        self.on_crash: Callable[[str, BaseException], None] | None = None
        waiting_seconds = GRACE_SECONDS + max(0.0, database.connect_seconds - _CONNECTING_SECONDS)
        self.heartbeat = Heartbeat(
            name, lambda: (self.interval_seconds or 0.0) + self.longest_run_seconds + waiting_seconds
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def run_once(self) -> bool:
        """Do one piece of work; True when there is more to do at once."""

    def start(self) -> None:
        """Start the loop in a thread of its own."""
        self.heartbeat.beat()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Start the next run now, not at the end of the interval."""
        self._wake.set()

    def pause(self, seconds: float) -> None:
        """Wait in the middle of a run. `stop()` ends the wait; so does `wake()`, and the next run then follows at once."""
        self._wake.wait(seconds)

    def stop(self) -> None:
        """Ask the loop to end after the current run; returns at once. Safe to call twice."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of the loop; True when it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)
            return not self._thread.is_alive()
        return True

    @property
    def stopping(self) -> bool:
        """Whether `stop()` has been called."""
        return self._stopping.is_set()

    def is_outage(self, error: BaseException) -> bool:
        """Whether a run that raised `error` is repeated; any other error ends the program."""
        return is_outage(error)

    def on_stop(self) -> None:  # noqa: B027 - most tasks hold nothing
        """Release what the task holds; called in its thread after the last run."""

    def _run(self) -> None:
        bind_to_logs(task=self.name)
        try:
            self._loop()
        except BaseException as error:
            if self.on_crash is None:
                raise
            self.on_crash(self.name, error)
        finally:
            self.heartbeat.rest()
            self.on_stop()

    def _loop(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            self._wake.clear()
            if self.stopping:  # read after the clear: the wait below would miss a stop() in between
                return
            self.heartbeat.beat()
            try:
                more = self.run_once()
            except Exception as error:
                if not self.is_outage(error) and not passes_by_itself(error):
                    if isinstance(error, psycopg.errors.InsufficientPrivilege):
                        raise CentralCloudError(f"{summarize_error(error)}: {_MISSING_RIGHT}") from None
                    raise
                self._log_outage(error)
                self.heartbeat.beat()
                self._stopping.wait(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
                continue
            self.database.mark_available(self.name)
            backoff = _FIRST_BACKOFF_SECONDS
            if not more:
                self._wait_for_next_run()

    def _wait_for_next_run(self) -> None:
        if self.interval_seconds is None:
            self.heartbeat.rest()
        else:
            self.heartbeat.beat()
        self.woken = self._wake.wait(self.interval_seconds)

    def _log_outage(self, error: Exception) -> None:
        if is_contention(error):
            log.info("transaction_retried", task=self.name, reason=summarize_error(error))
        else:
            self.database.mark_unavailable(self.name, error)
