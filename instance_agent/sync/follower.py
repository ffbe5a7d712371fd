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
        self._state = file.read() if state is None else state
        #: The state in the file, as far as known: that of a parent process may have missed it.
        self._written: State | None = self._state if state is None else None
        self._reconcile_interval_seconds = reconcile_interval_seconds
        self._reconciled_at: float | None = None
        self._wakes = wakes
        self._unwritable = False
        self.may_store: Callable[[], bool] = _always

    @abstractmethod
    def run_once(self) -> bool:
        """Poll once; True when there is more to read."""

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
        if self._written is self._state or not self.may_store():
            return True
        try:
            self._file.write(self._state)
        except OSError as error:
            if not self._unwritable:
                self.log_not_written(str(error))
            self._unwritable = True
            return False
        if self._unwritable:
            self.log_written_again()
        self._unwritable = False
        self._written = self._state
        return True


def _always() -> bool:
    return True
