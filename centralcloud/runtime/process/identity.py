"""Telling one process of this machine from another."""

import os
from pathlib import Path


def this_process() -> str:
    """This process's identity, for `is_running`."""
    return _identity(os.getpid())


def is_running(identity: str) -> bool:
    """Whether the process with that identity runs, as far as this process can see."""
    try:
        return _identity(int(identity.partition(":")[0])) == identity
    except (OSError, ValueError):
        return False


def _identity(pid: int) -> str:
    """A process by its id and start time: ids are used again. One that has ended and waits to be reaped is none any more."""
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state in {"Z", "X"}:
        raise ProcessLookupError(pid)
    return f"{pid}:{fields[18]}"
