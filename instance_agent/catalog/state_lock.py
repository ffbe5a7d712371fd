"""The lock on the state folder of an instance: one process keeps its files up to date."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

_FILE_NAME: Final = "agent.lock"
_LONGEST_CONTENT: Final = 32


class StateLock:
    """A lock on a folder, held by one process until it ends or releases it. Its file has the number of that process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE_NAME
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> str | None:
        """Take the lock; a folder that cannot be written needs none.

        Returns:
            None: it is held now, or is not needed. Otherwise the process that holds it, in words.
        """
        if self._descriptor is not None:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError:
            return None  # writing the scores will fail, and say so
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, _LONGEST_CONTENT).decode(errors="replace").strip()
            os.close(descriptor)
            return f"process {holder}" if holder.isdigit() else "another process"
        except OSError:
            os.close(descriptor)
            return None  # a file system without locks
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the number of its process
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Release the lock, if it is held. In the child of a fork, the lock of the parent stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
