"""The newest events of a process, given to the operating system at once: a process that is killed loses none of them.

The spool writes and syncs its files ten times a second, in a thread of its own, because a sync waits for the disk. Until
then an event is appended here, without a sync: that costs some 10 microseconds, and is as good against everything but a
crash of the machine. There are two files. Events go to one of them, while the other one is emptied as soon as its events
are in the files of the spool. Both are files of a spool to those who read them after the end of the process.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from instance_agent.sync.spool_files import OwnFile, encode_record

#: Most bytes of each of the two files: what a busy gateway sends in some seconds, for a disk that stalls.
_MOST_BYTES: Final = 4_000_000


class RecentEvents:
    """The two files of one process in a spool folder. Thread-safe.

    An error of the disk is not reported here: the spool meets it, too. Until the next `begin_write` nothing is added then.
    One thread at a time calls `begin_write`, `end_write` and `close`.
    """

    def __init__(self, folder: Path, make_folder: Callable[[Path], None], max_bytes: int = _MOST_BYTES) -> None:
        """Touch nothing yet; `make_folder` is called before a file is created."""
        self._folder = folder
        self._make_folder = make_folder
        self._max_bytes = min(max_bytes, _MOST_BYTES)
        #: The first one takes the events; the second one has those that are being written to the spool.
        self._files: list[OwnFile] = []
        self._failed = False
        self._closed = False
        self._adding = False
        self._lock = threading.RLock()  # reentrant for a signal handler in a thread that adds

    @property
    def paths(self) -> set[Path]:
        """The files."""
        return {file.path for file in self._files}

    @property
    def descriptors(self) -> list[int]:
        """Descriptors of the files."""
        return [file.descriptor for file in self._files]

    def add(self, texts: Sequence[str]) -> None:
        """Append events, as JSON text. Never raises, and waits for no sync."""
        with self._lock:
            if self._failed or self._closed or self._adding:
                return
            self._adding = True
            try:
                self._add(b"".join(map(encode_record, texts)))
            except OSError:
                self._failed = True
            finally:
                self._adding = False

    def begin_write(self) -> None:
        """Let further events go to the other file, if that is empty: the spool is about to write those up to now."""
        missing = [file for file in list(self._files) if file.is_missing()]
        with self._lock:
            self._failed = False
            self._files = [file for file in self._files if file not in missing]
            if len(self._files) == 2 and self._files[1].size == 0:
                self._files.reverse()
        for file in missing:
            os.close(file.descriptor)

    def end_write(self) -> None:
        """Empty the file whose events the spool has written, or that were sent. No event is added to it meanwhile."""
        if len(self._files) == 2 and self._files[1].size:
            with contextlib.suppress(OSError):
                self._files[1].empty()

    def close(self, *, keep: bool) -> None:
        """Release the files, and remove them, unless `keep`: the spool could not write their events."""
        with self._lock:
            self._closed = True
            files, self._files = self._files, []
            for file in files:
                if keep and file.size:
                    os.close(file.descriptor)
                else:
                    with contextlib.suppress(OSError):
                        file.remove()

    def _add(self, records: bytes) -> None:
        if len(self._files) < 2:
            self._make_folder(self._folder)
            while len(self._files) < 2:
                self._files.append(OwnFile(self._folder, synced=False))
        file = self._files[0]
        if file.size + len(records) <= self._max_bytes:
            file.add(records)
