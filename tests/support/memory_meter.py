"""Memory that a program has in use, as its allocator counts it: a leak is seen after a few thousand requests.

The resident memory also holds what fragmentation keeps and what was not given back to the system. It changes by a megabyte
where nothing leaks, and a leak of 300 bytes reaches that only after thousands of requests.
"""

import ctypes
import gc
import os
import re
import signal
from pathlib import Path
from typing import Any, Final

from support.programs import Program
from support.waiting import eventually

#: Python's objects, too, come from the allocator of the C library then.
VARIABLES: Final = {"PYTHONMALLOC": "malloc"}
#: Has no default: the program is started by the fault `metered_memory` or `leaking_memory` of support.sabotage.
FILE: Final = "MEMORY_METER_FILE"
_TOTALS: Final = re.compile(
    rb'<total type="fast" count="\d+" size="(\d+)"/>\s*<total type="rest" count="\d+" size="(\d+)"/>\s*'
    rb'<total type="mmap" count="\d+" size="(\d+)"/>\s*<system type="current" size="(\d+)"/>'
)


def is_possible() -> bool:
    """Whether the C library counts: glibc does, others do not."""
    return hasattr(ctypes.CDLL(None), "malloc_info")


def bytes_in_use() -> int:
    """Return the bytes that this process has allocated and not freed, after a collection of cycles."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.open_memstream.restype = ctypes.c_void_p
    libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.fclose.argtypes = libc.free.argtypes = [ctypes.c_void_p]
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = libc.open_memstream(ctypes.byref(text), ctypes.byref(size))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    try:
        *_, total = _TOTALS.finditer(text.value or b"")
    finally:
        libc.free(text)
    fast, rest, mapped, current = map(int, total.groups())
    return current + mapped - fast - rest


def report_on_signal() -> None:
    """In the program: write the bytes in use into a file, at each SIGUSR2."""
    file = Path(os.environ[FILE])

    def report(*_: Any) -> None:
        new = file.with_suffix(".new")
        new.write_text(str(bytes_in_use()))
        new.replace(file)

    signal.signal(signal.SIGUSR2, report)


class MemoryMeter:
    """Asks a program that was started with `report_on_signal` for its bytes in use."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def variables(self) -> dict[str, str]:
        """Variables to start the program with."""
        return {**VARIABLES, FILE: str(self._file)}

    def read(self, program: Program) -> int:
        """Return the bytes that the program has in use."""
        self._file.unlink(missing_ok=True)
        program.process.send_signal(signal.SIGUSR2)
        eventually(self._file.exists, what="the report of memory")
        return int(self._file.read_text())
