"""The lock on the folder of an embedded server, which processes hold while they start or stop the server."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

_POLL_SECONDS: Final = 0.05
#: Starting a server takes a second, creating one a few. A wait that is longer is logged.
QUIET_SECONDS: Final = 3.0


class FolderLockedError(CentralCloudError):
    """Another process has held the lock for too long: it is suspended, or hangs."""


@contextlib.contextmanager
def lock_folder(
    folder: Path,
    *,
    limit_seconds: float,
    quiet_seconds: float = QUIET_SECONDS,
    given_up: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Hold the lock on `folder` in the block. A process that ends, in any way, releases it.

    Args:
        limit_seconds: longest wait for another process.
        quiet_seconds: after this time the wait is logged, with the process that is waited for.
        given_up: asked during the wait; True ends it.

    Raises:
        FolderLockedError: another process still holds the lock at the end of the wait.
        OSError: the folder cannot be used.
    """
    with (folder / "postgresql.lock").open("a+") as lock:
        _wait(lock, folder, limit_seconds, quiet_seconds, given_up or (lambda: False))
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _wait(
    lock: IO[str], folder: Path, limit_seconds: float, quiet_seconds: float, given_up: Callable[[], bool]
) -> None:
    started = time.monotonic()
    logged = False
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        waited = time.monotonic() - started
        if waited >= limit_seconds or given_up():
            raise FolderLockedError(
                f"gave up after {waited:.0f} seconds of waiting for {_holder(lock)}, which is starting or stopping the "
                f"embedded server in {folder}: end that process if it is suspended or hangs, then try again"
            )
        if waited >= quiet_seconds and not logged:
            logged = True
            log.warning(
                "embedded_server_locked",
                reason=f"waiting for {_holder(lock)}, which is starting or stopping the server in {folder}; "
                f"giving up after {limit_seconds:.0f} seconds",
            )
        time.sleep(_POLL_SECONDS)


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    pid = lock.read().strip()
    return f"process {pid}" if pid.isdigit() else "another process"
