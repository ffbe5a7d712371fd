"""The one shape of every background part: start, stop, run_once, and a loop that waits for work, the clock or the end."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_contention, is_outage, summarize_error

log = get_logger(__name__)

_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 5.0
#: Of a role, which is an operator's to mend and no fault of the program.
_RIGHTS: Final = "`centralcloud doctor` names every right that is missing"


class BackgroundTask(ABC):
    """A background part: one thread that calls `run_once` again and again.

    Between two runs it waits until `wake()` is called, the interval is over, or `stop()` is called, whichever is first.
    An outage of the database is waited out with backoff. Any other exception ends the thread and is handed to `on_crash`: a
    part that dies stops the program loudly; for a right that is missing, with a line for the operator.

    Attributes:
        name: names the thread, and the part in logs.
        interval_seconds: longest wait between two runs; None: runs at the start, and then only when woken.
        longest_run_seconds: a run may take so long before the loop counts as one that no longer comes round.
        woken: whether the run in hand was asked for by `wake()`, and not by the clock.
    """

    def __init__(self, name: str, database: Database, *, interval_seconds: float | None) -> None:
        self.name = name
        self.interval_seconds = interval_seconds
        self.longest_run_seconds = 0.0
        self.woken = False
        self.database = database
        self.on_crash: Callable[[str, BaseException], None] | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._advanced_at = time.monotonic()
        self._waits_to_be_woken = False

    @abstractmethod
    def run_once(self) -> bool:
        """Do one piece of work; True when there is more to do at once."""

    def start(self) -> None:
        """Start the loop in a thread of its own."""
        self._advanced_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Make the loop run now instead of at the end of its wait."""
        self._wake.set()

    def pause(self, seconds: float) -> None:
        """Wait in the middle of a run. Ended early by `wake()`, after which the next run comes at once, and by `stop()`."""
        self._wake.wait(seconds)

    def stop(self) -> None:
        """Ask the loop to end after the work in hand; returns at once. Safe to call twice."""
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

    @property
    def seconds_overdue(self) -> float:
        """For how long the loop should have come round and has not; 0.0 or less while all is well.

        A run that fails for want of the database comes round; one that hangs does not.
        """
        if self._thread is None or self._waits_to_be_woken:
            return 0.0
        return time.monotonic() - self._advanced_at - (self.interval_seconds or 0.0) - self.longest_run_seconds

    def is_outage(self, error: BaseException) -> bool:
        """Whether `error` is to be waited out rather than to end the program."""
        return is_outage(error)

    def on_stop(self) -> None:  # noqa: B027 - most parts hold nothing
        """Release what the part holds; called in its thread after the last run."""

    def _run(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        bind_to_logs(task=self.name)
        try:
            while True:
                self._wake.clear()
                if self.stopping:  # looked at after the clear, or a stop() in between would be slept through
                    break
                self._advanced_at = time.monotonic()
                try:
                    more = self.run_once()
                except Exception as error:
                    if not self.is_outage(error):
                        if isinstance(error, psycopg.errors.InsufficientPrivilege):
                            raise CentralCloudError(f"{summarize_error(error)}: {_RIGHTS}") from None
                        raise
                    if is_contention(error):
                        log.info("transaction_retried", task=self.name, reason=summarize_error(error))
                    else:
                        self.database.mark_unavailable(self.name, error)
                    self._advanced_at = time.monotonic()
                    self._stopping.wait(backoff * random.uniform(0.5, 1.0))
                    backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
                    continue
                self.database.mark_available(self.name)
                backoff = _FIRST_BACKOFF_SECONDS
                self._advanced_at = time.monotonic()
                if not more:
                    self._waits_to_be_woken = self.interval_seconds is None
                    self.woken = self._wake.wait(self.interval_seconds)
                    self._advanced_at = time.monotonic()
                    self._waits_to_be_woken = False
        except BaseException as error:
            if self.on_crash is None:
                raise
            self.on_crash(self.name, error)
        finally:
            self.on_stop()
