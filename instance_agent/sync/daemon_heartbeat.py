"""The sign of life of the daemon that watches experiments, as this process knows it: without it, nothing is treated.

The database says how old the sign is; from then on the clock of this process counts, also while the database is unavailable.
A file keeps it for a start without the database: its time of change is that of the sign.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from centralcloud.contracts.limits import EXPERIMENTS_SILENT_SECONDS
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.wording import ago

log = get_logger(__name__)

_FILE_NAME: Final = "experiments_seen"
#: A daemon looks after a new experiment within this time: until then it is awaited, and not silent.
_AWAITED_SECONDS: Final = 30.0
#: How often the file gets the newest sign.
_STORE_SECONDS: Final = 60.0
#: Nothing runs; the daemon has not looked after what has just begun; it is silent; it was seen.
_Reported = Literal["idle", "awaited", "silent", "seen"]


def silent_words(age_seconds: float | None) -> str:
    """Return the problem of a daemon that is silent, with its age in words."""
    seen = "was never seen" if age_seconds is None else f"was last seen {ago(age_seconds)}"
    return f"no treatment of an experiment serves a request: the daemon {seen}"


class DaemonHeartbeat:
    """The sign of life. Written by one thread; `is_silent` may be asked by any."""

    def __init__(
        self, folder: Path, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        """Begin with the sign of the last run.

        Args:
            folder: of the file.
            clock: seconds, never set; `wall`: seconds since 1970.
        """
        self.path = folder / _FILE_NAME
        self._clock = clock
        self._wall = wall
        self._stored_at = float("-inf")
        self._reported: _Reported = "idle"
        self._awaited_until = float("-inf")
        self._file_problem: str | None = None
        self._seen_at = float("-inf")
        self.read()

    def read(self) -> None:
        """Take the sign that is in the file: of the last run, or of the gateway that writes it."""
        try:
            age = max(0.0, self._wall() - self.path.stat().st_mtime)
        except OSError:
            return
        self._seen_at = self._clock() - age

    @property
    def age_seconds(self) -> float | None:
        """For how long there was no sign; None: there never was one."""
        age = self._clock() - self._seen_at
        return None if age == float("inf") else age

    def is_silent(self) -> bool:
        """Whether there was no sign for 15 minutes, or never."""
        return self._clock() - self._seen_at > EXPERIMENTS_SILENT_SECONDS

    def seen(self, age_seconds: float | None) -> None:
        """Take the age of the sign from the database; None: it has none, as before the first experiment."""
        self._seen_at = float("-inf") if age_seconds is None else self._clock() - max(0.0, age_seconds)

    def report(self, running: int) -> None:
        """Log that treatments have ended, or that none has begun for 30 seconds, and that they go on.

        Args:
            running: experiments that run.
        """
        before, self._reported = self._reported, self._state(running)
        if self._reported == before:
            return
        if self._reported == "silent":
            age = self.age_seconds
            log.error(
                "experiments_daemon_silent",
                seconds=None if age is None else round(age),
                experiments=running,
                effect="every request is served as without experiments until the daemon is seen again",
                expected="`centralcloud run` on this database, see `centralcloud doctor`",
            )
        elif self._reported == "seen" and before != "idle":
            log.info("experiments_daemon_seen", experiments=running)

    def _state(self, running: int) -> _Reported:
        if not running:
            return "idle"
        if not self.is_silent():
            return "seen"
        if self._reported == "idle":
            self._awaited_until = self._clock() + _AWAITED_SECONDS
        is_awaited = self._reported in ("idle", "awaited") and self._clock() < self._awaited_until
        return "awaited" if is_awaited else "silent"

    def store(self) -> None:
        """Store the sign, at most once a minute."""
        age = self.age_seconds
        now = self._clock()
        if age is None or now - self._stored_at < _STORE_SECONDS:
            return
        self._stored_at = now
        seen = self._wall() - age
        try:
            self.path.touch(mode=0o600)
            os.utime(self.path, (seen, seen))
        except OSError as error:
            if self._file_problem is None:
                effect = "a start without the database begins without treatments"
                log.warning("experiments_file_not_written", path=str(self.path), reason=str(error), effect=effect)
            self._file_problem = str(error)
        else:
            self._file_problem = None
