"""Telling one process of this machine from another."""

import os
from pathlib import Path


def this_process() -> str:
    """This process's identity, for `lives`."""
    return _identity(os.getpid())


def lives(identity: str) -> bool:
    """Whether the process with that identity runs, as far as this process can see."""
    try:
        return _identity(int(identity.partition(":")[0])) == identity
    except (OSError, ValueError):
        return False


def _identity(pid: int) -> str:
    """A process by its id and start time: ids are used again."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid}:{fields[19]}"
