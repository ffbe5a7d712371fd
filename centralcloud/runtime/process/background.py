"""The one shape of every background task: a loop that runs, then waits for the clock, for `wake()` or for `stop()`."""

import random
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import bind_to_logs, get_logger, load_logging
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import (
    TableUnusableError,
    is_contention,
    is_outage,
    is_row_security,
    is_table_unusable,
    passes_by_itself,
    summarize_error,
)
from centralcloud.runtime.process.heartbeat import GRACE_SECONDS, Heartbeat
from centralcloud.runtime.wording import age

log = get_logger(__name__)

_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0
#: A degraded task may need much work for a run that fails again: it is repeated less often than after an outage.
_FIRST_DEGRADED_BACKOFF_SECONDS: Final = 1.0
_LONGEST_DEGRADED_BACKOFF_SECONDS: Final = 60.0
#: How often a task that stays degraded for one reason is logged again.
_LOG_AGAIN_SECONDS: Final = 600.0
#: Part of the grace of a heartbeat; where the URL allows a longer wait for a connection, the rest is added.
_CONNECTING_SECONDS: Final = 30.0
_MISSING_RIGHT: Final = "`centralcloud doctor` names every right that is missing"


class Degradation(NamedTuple):
    """The state of a task whose runs fail, while the rest of the program goes on.

    Attributes:
        reason: the newest error, on one line.
        since: when the first of these runs failed, in seconds of `time.monotonic`.
        failures: runs that have failed since then.
    """

    reason: str
    since: float
    failures: int

    @property
    def seconds(self) -> float:
        """How long the task has been degraded, in seconds."""
        return time.monotonic() - self.since


class BackgroundTask(ABC):
    """A task in the background: one thread that calls `run_once` again and again.

    Between two runs it waits until the interval is over, or until `wake()` or `stop()` is called, whichever is first. A run
    that fails because the database is unavailable, lacks a table for now or hides its rows, or because no file descriptor is
    left, is repeated with backoff. Any other exception ends the thread and goes to `on_crash`, which stops the program: a
    task that fails must not fail silently. For a missing right the error says what the operator can do.

    A task with `may_degrade` fails alone instead: it is degraded until a run succeeds, repeats the run with backoff, and
    the other tasks go on. Its state is logged, and `on_state` shows it.

    Attributes:
        name: of the thread, and of the task in logs.
        interval_seconds: longest wait between two runs; None: one run at the start, then only after `wake()`.
        longest_run_seconds: how long a run may take before the task counts as stalled.
        connections: pooled connections that a run uses at the same time.
        may_degrade: whether the program can do its work while the runs of this task fail.
        longest_degraded_backoff_seconds: longest wait before the next run while they do.
        degradation: set while they do.
        on_state: called in the task's thread after each failed run of a degraded task, after the run that ends this, and
            at the stop of a degraded task.
        uses_database: whether a run that succeeds shows that the database is available.
        woken: whether `wake()`, and not the clock, started the current run.
        heartbeat: beats before and after every run.
    """

    def __init__(self, name: str, database: Database, *, interval_seconds: float | None, connections: int = 1) -> None:
        self.name = name
        self.interval_seconds = interval_seconds
        self.longest_run_seconds = 0.0
        self.connections = connections
        self.woken = False
        self.uses_database = True
        self.database = database
        self.on_crash: Callable[[str, BaseException], None] | None = None
        self.may_degrade = False
        self.longest_degraded_backoff_seconds = _LONGEST_DEGRADED_BACKOFF_SECONDS
        self.degradation: Degradation | None = None
        self.on_state: Callable[[BackgroundTask], None] | None = None
        waiting_seconds = GRACE_SECONDS + max(0.0, database.connect_seconds - _CONNECTING_SECONDS)
        self.heartbeat = Heartbeat(
            name, lambda: (self.interval_seconds or 0.0) + self.longest_run_seconds + waiting_seconds
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        #: Held while an outage is reported, and while `stop()` forbids it. Reentrant: a report may lead to a stop.
        self._reporting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._degraded_backoff = _FIRST_DEGRADED_BACKOFF_SECONDS
        self._logged: tuple[str, float] = ("", 0.0)

    @abstractmethod
    def run_once(self) -> bool:
        """Do one piece of work; True when there is more to do at once."""

    def start(self) -> None:
        """Start the loop in a thread of its own."""
        load_logging()
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
        """Ask the loop to end after the current run; returns at once. Safe to call twice.

        No run that fails from now on is reported as an outage: its pool may be closed before it has ended.
        """
        with self._reporting:
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
            if self.degradation and self.on_state:
                self.on_state(self)
            self.on_stop()

    def _loop(self) -> None:
        while True:
            self._wake.clear()
            if self.stopping:  # read after the clear: the wait below would miss a stop() in between
                return
            self.heartbeat.beat()
            try:
                more = self.run_once()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - what may not fail alone is raised again
                self._wait_after(error)
                continue
            if self.uses_database:
                self.database.mark_available(self.name)
            self._backoff = _FIRST_BACKOFF_SECONDS
            self._restore()
            if not more:
                self._wait_for_next_run()

    def _wait_after(self, error: BaseException) -> None:
        """Wait before the run that raised `error` is repeated; raise an error that ends the program."""
        if self._waits_for_database(error):
            self._log_outage(error)
            backoff = self._backoff
            self._backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
        else:
            if isinstance(error, psycopg.errors.InsufficientPrivilege) and not is_row_security(error):
                error = CentralCloudError(f"{summarize_error(error)}: {_MISSING_RIGHT}")
            # Without memory no task can be trusted.
            if not self.may_degrade or isinstance(error, MemoryError):
                raise error
            self.database.mark_available(self.name)
            self._backoff = _FIRST_BACKOFF_SECONDS
            backoff = self._degrade(error)
        self.heartbeat.beat()
        self._stopping.wait(backoff * random.uniform(0.5, 1.0))
        self.woken |= self._wake.is_set()

    def _waits_for_database(self, error: BaseException) -> bool:
        """Whether to wait as in an outage. A table that only this task needs does not make the database unavailable."""
        if self.may_degrade and (isinstance(error, TableUnusableError) or is_table_unusable(error)):
            return False
        return self.is_outage(error) or passes_by_itself(error)

    def _degrade(self, error: BaseException) -> float:
        """Record and show that a run has failed; return the seconds until the next one."""
        reason = _reason_of(error)
        before = self.degradation or Degradation("", time.monotonic(), 0)
        self.degradation = Degradation(reason, before.since, before.failures + 1)
        backoff = self._degraded_backoff
        self._degraded_backoff = min(backoff * 2, self.longest_degraded_backoff_seconds)
        logged_reason, logged_at = self._logged
        if reason != logged_reason or time.monotonic() - logged_at > _LOG_AGAIN_SECONDS:
            where = {} if isinstance(error, CentralCloudError) else {"traceback": traceback.format_exception(error)}
            effect = "the other tasks go on, and the run is repeated"
            log.error("background_task_degraded", task=self.name, error=reason, effect=effect, **where)
            self._logged = (reason, time.monotonic())
        if self.on_state:
            self.on_state(self)
        return backoff

    def _restore(self) -> None:
        degradation = self.degradation
        if degradation is None:
            return
        self.degradation = None
        self._degraded_backoff = _FIRST_DEGRADED_BACKOFF_SECONDS
        self._logged = ("", 0.0)
        seconds = round(degradation.seconds, 1)
        log.info("background_task_restored", task=self.name, failures=degradation.failures, seconds=seconds)
        if self.on_state:
            self.on_state(self)

    def _wait_for_next_run(self) -> None:
        if self.interval_seconds is None:
            self.heartbeat.rest()
        else:
            self.heartbeat.beat()
        self.woken = self._wake.wait(self.interval_seconds)

    def _log_outage(self, error: BaseException) -> None:
        with self._reporting:
            if self.stopping:  # nothing repeats this run
                return
            if is_contention(error):
                log.info("transaction_retried", task=self.name, reason=summarize_error(error))
            else:
                self.database.mark_unavailable(self.name, error)


def describe_degradation(task: BackgroundTask) -> str | None:
    """Return a line for the operator about a task that is degraded; None for one that is not."""
    degradation = task.degradation
    if degradation is None:
        return None
    return f"{task.name}: degraded for {age(degradation.seconds)}: {degradation.reason}"


def _reason_of(error: BaseException) -> str:
    text = summarize_error(error)
    return text if isinstance(error, CentralCloudError) else f"{type(error).__name__}: {text}"
