"""The skeleton of the tasks that bring a state of the database to this process: scores, and the fleet's configuration.

A follower reads the changes after a cursor, and at the start and at every reconcile interval a snapshot, which repairs
whatever it missed. Polling is the guarantee; a notification only starts the next poll sooner. The state is kept in a file,
for a start without the database. It belongs to one history of the database: in another one the follower starts over.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from centralcloud.runtime.bounded_file import fingerprint_of
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.sync.token_bucket import TokenBucket

State = TypeVar("State")


class StateFile(Protocol[State]):
    """The file that keeps a state."""

    path: Path

    def read(self) -> State:
        """Return the state in the file; an empty one when there is none that can be used. Never raises."""
        ...

    def write(self, state: State) -> None:
        """Replace the file in one step. May raise OSError."""
        ...


class Follower(BackgroundTask, Generic[State]):
    """Keeps a state up to date by polling, and stores it in a file.

    While the database is unavailable, the file and this process keep the last good state.

    Attributes:
        may_store: asked before each write of the file: another process may write it.
        not_stored: why the current state is not in the file; None: it is, or another process writes it.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        *,
        file: StateFile[State],
        state: State | None,
        poll_interval_seconds: float,
        reconcile_interval_seconds: float,
        wakes: TokenBucket,
    ) -> None:
        """Create a follower.

        Args:
            name: of the task.
            database: has the state.
            file: the state of the last run, and where it is stored.
            state: to start from, instead of that of the file.
            poll_interval_seconds: longest wait before the next poll.
            reconcile_interval_seconds: time between two snapshots.
            wakes: limits the polls that notifications start: a storm of them costs a bounded rate.
        """
        super().__init__(name, database, interval_seconds=poll_interval_seconds)
        self._file = file
        #: The file as it was read or written last; None: not known, or another process writes it.
        self._fingerprint = fingerprint_of(file.path) if state is None else None
        self._state = file.read() if state is None else state
        #: The state in the file, as far as known: that of a parent process may have missed it.
        self._written: State | None = self._state if state is None else None
        self._reconcile_interval_seconds = reconcile_interval_seconds
        self._reconciled_at: float | None = None
        self._wakes = wakes
        self.not_stored: str | None = None
        self.may_store: Callable[[], bool] = _always

    @abstractmethod
    def run_once(self) -> bool:
        """Poll once; True when there is more to read."""

    @abstractmethod
    def log_file_changed(self) -> None:
        """Log that another program has changed or removed the file; it is written again."""

    @abstractmethod
    def log_not_written(self, reason: str) -> None:
        """Log that the file cannot be written; called once until it can."""

    @abstractmethod
    def log_written_again(self) -> None:
        """Log that the file can be written again."""

    def is_outage(self, error: BaseException) -> bool:
        """Return True for every database error: the instance continues with the state it has, and retries."""
        return is_database_error(error)

    def _wait_in_a_storm(self, *, reads_on: bool = False) -> None:
        """Delay a poll that a notification has started too soon; all that arrive meanwhile count as one.

        Args:
            reads_on: whether the poll reads the next page of what is already known to be there.
        """
        if self.woken and not reads_on and not self.stopping:
            self._stopping.wait(self._wakes.seconds_until_token(time.monotonic()))
        self._wakes.take(time.monotonic())

    def _reconcile_is_due(self) -> bool:
        due_at = None if self._reconciled_at is None else self._reconciled_at + self._reconcile_interval_seconds
        return due_at is None or time.monotonic() >= due_at

    def _mark_reconciled(self) -> None:
        self._reconciled_at = time.monotonic()

    def _store(self) -> bool:
        """Write the current state to the file if it lacks it; return whether it has it. The next poll retries."""
        changed = self._fingerprint is not None and fingerprint_of(self._file.path) != self._fingerprint
        if self._written is self._state and not changed:
            return True
        if not self.may_store():
            self._fingerprint = None
            self.not_stored = None
            return True
        if changed and self.not_stored is None:
            self.log_file_changed()
        try:
            self._file.write(self._state)
        except OSError as error:
            if self.not_stored is None:
                self.log_not_written(str(error))
            self.not_stored = error.strerror or str(error)
            self._written = None
            return False
        if self.not_stored is not None:
            self.log_written_again()
        self.not_stored = None
        self._written = self._state
        self._recognize_file()
        return True

    def _recognize_file(self) -> None:
        """Remember the file as this process has just written or touched it."""
        self._fingerprint = fingerprint_of(self._file.path)


def _always() -> bool:
    return True
