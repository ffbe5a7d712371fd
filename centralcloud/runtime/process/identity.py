"""Identities of processes on this machine."""

import errno
import os
from functools import cache
from pathlib import Path
from typing import Final

#: Error numbers: none is left in this process, or on this machine.
OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


def this_process() -> str:
    """Return this process's identity, for `is_running`."""
    return _own_identity(os.getpid())


def is_running(identity: str) -> bool:
    """Whether the process with that identity runs, as far as this process can see.

    Raises:
        OSError: no file descriptor is left to look with. Then the answer is not known.
    """
    try:
        return _identity(int(identity.partition(":")[0])) == identity
    except ValueError:
        return False
    except OSError as error:
        if error.errno in OUT_OF_DESCRIPTORS:
            raise
        return False


def has_ended(pid: int) -> bool:
    """Whether no process with that id runs; a zombie has ended.

    Raises:
        OSError: no file descriptor is left to look with. Then the answer is not known.
    """
    try:
        _identity(pid)
    except OSError as error:
        if error.errno in OUT_OF_DESCRIPTORS:
            raise
        return True
    return False


@cache  # read once: later there may be no file descriptor left to read it with
def _own_identity(pid: int) -> str:
    return _identity(pid)


def _identity(pid: int) -> str:
    """Process id and start time, because ids are reused. A zombie counts as a process that has ended."""
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state in {"Z", "X"}:
        raise ProcessLookupError(pid)
    return f"{pid}:{fields[18]}"
