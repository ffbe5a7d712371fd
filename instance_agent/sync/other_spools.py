"""The spools of other instances in the same folder, which this instance does not send: an old INSTANCE_ID, most often."""

import fcntl
import os
import stat
from pathlib import Path
from typing import NamedTuple

from instance_agent.sync.spool_files import SUFFIX


class OtherSpool(NamedTuple):
    """Files with events of an instance, whose processes have ended.

    Attributes:
        folder: named after the instance.
        files: how many.
        size: their bytes.
    """

    folder: Path
    files: int
    size: int


def other_spools(shared: Path, own: Path) -> list[OtherSpool]:
    """Return the spools beside `own` with events that no running process sends, by name.

    Folders that this process may not read belong to another user, and are left out.
    """
    found = []
    for folder in _folders(shared):
        if folder == own:
            continue
        try:
            sizes = [size for path in folder.glob(f"*{SUFFIX}") if (size := _size_if_left(path))]
        except OSError:
            continue
        if sizes:
            found.append(OtherSpool(folder, len(sizes), sum(sizes)))
    return found


def _folders(shared: Path) -> list[Path]:
    try:
        with os.scandir(shared) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # missing, or a file: the writer of this instance's own spool logs it
        return []


def _size_if_left(path: Path) -> int:
    """Return the size of a file that no process holds; 0 for another one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return 0
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return status.st_size
    except BlockingIOError:
        return 0
    finally:
        os.close(descriptor)
