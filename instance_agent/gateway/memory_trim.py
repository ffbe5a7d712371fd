"""Give memory back to the system that large requests have left free.

The allocator of glibc keeps what was freed for later requests, in the arena of each thread. After bodies of some MiB that is
hundreds of MiB, which are resident and not in use. Small requests leave nothing to give back.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: Shortest time between two trims. A trim takes some 0.1 ms for each MiB that it gives back.
_WAIT_SECONDS: Final = 10.0
#: Longest, where trims give back little: the memory is in use.
_LONGEST_WAIT_SECONDS: Final = 320.0
#: Memory above the lowest that was seen.
_STEP_BYTES: Final = 64 * 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


class MemoryTrim:
    """Decides when to trim: resident memory is 64 MiB above its lowest, less and less often where that does not help.

    Attributes:
        wait_seconds: until the next `is_due`.
    """

    def __init__(self, resident_bytes: Callable[[], int], trim: Callable[[], object]) -> None:
        self.wait_seconds = _WAIT_SECONDS
        self._resident_bytes = resident_bytes
        self._trim = trim
        self._lowest = resident_bytes()

    def is_due(self) -> bool:
        """Whether to call `trim` now."""
        now = self._resident_bytes()
        self._lowest = min(self._lowest, now)
        if now - self._lowest >= _STEP_BYTES:
            return True
        self.wait_seconds = _WAIT_SECONDS
        return False

    def trim(self) -> None:
        """Give free memory back. From any thread; others that allocate may wait for it."""
        before = self._resident_bytes()
        self._trim()
        after = self._resident_bytes()
        helped = before - after >= _STEP_BYTES // 2
        self.wait_seconds = _WAIT_SECONDS if helped else min(2 * self.wait_seconds, _LONGEST_WAIT_SECONDS)
        log.debug("memory_trimmed", resident_bytes=after, given_back_bytes=before - after)


async def give_memory_back() -> None:
    """Trim memory again and again. Returns at once where the C library cannot: other ones than glibc give it back anyway."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or not _STATM.exists():
        return
    trim.argtypes = [ctypes.c_size_t]
    memory = MemoryTrim(_resident_bytes, lambda: trim(0))
    while True:
        await asyncio.sleep(memory.wait_seconds)
        if memory.is_due():
            await asyncio.to_thread(memory.trim)


def _resident_bytes() -> int:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
