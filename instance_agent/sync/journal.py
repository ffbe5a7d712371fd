"""The journal of a publisher: each event is in a file before `publish` returns, so that a kill of the process loses none.

The spool is written and synced ten times a second by a thread of its own. Until then the journal has the events: written,
and not synced, since the system keeps what was written when only the process ends. There are two files: events are appended
to one while the spool takes over those of the other, which is then emptied. They lie in the folder of the spool and have its
form, so that the next process sends what a killed one has left. Events that were also in its spool are then sent twice,
which their decision ids make harmless.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.sync.spool_files import OwnFile, encode

log = get_logger(__name__)

#: Most bytes of one file: some seconds at full load. It fills up only while the spool cannot be written, which is logged.
_MAX_BYTES: Final = 16_000_000


class Journal:
    """Two files in the folder of a spool. Thread-safe: `append` may be called while another thread calls the others."""

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self._folder = folder
        self._lock = threading.Lock()
        self._active: OwnFile | None = None
        self._other: OwnFile | None = None
        self._failed = False
        self._closed = threading.Event()

    def open(self) -> None:
        """Create the files, again where another program has removed them. A problem is logged once, and never raised."""
        with self._lock:  # its size must not change meanwhile
            files = (self._active, self._other)
            if self._closed.is_set() or all(each is not None and not each.is_missing() for each in files):
                return
        self._release(keep=False)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            other = OwnFile(self._folder)
            try:
                active = OwnFile(self._folder)
            except BaseException:
                other.remove()
                raise
        except OSError as error:
            if not self._failed:
                effect = "a kill of the process loses the events of the last 0.1 seconds"
                log.warning(
                    "journal_not_written", path=str(self._folder), reason=error.strerror or str(error), effect=effect
                )
            self._failed = True
            return
        self._failed = False
        with self._lock:
            self._active, self._other = active, other
        if self._closed.is_set():  # meanwhile
            self._release(keep=False)

    def append(self, texts: Sequence[str]) -> None:
        """Write events. Where that is not possible, they wait for the spool in memory."""
        data = b"".join([encode(text) for text in texts])
        with self._lock:
            file = self._active
            if file is None or file.size + len(data) > _MAX_BYTES:
                return
            try:
                written = os.write(file.descriptor, data)
                if written == len(data):
                    file.size += written
                else:
                    os.ftruncate(file.descriptor, file.size)
            except OSError:
                return  # the spool meets the same problem, and logs it

    def switch(self) -> None:
        """Append to the other file from now on, if it is empty."""
        with self._lock:
            if self._other is not None and self._other.size == 0:
                self._active, self._other = self._other, self._active

    def empty_other(self) -> None:
        """Empty the file that is not appended to: the spool has its events."""
        other = self._other
        if other is not None and other.size:
            os.ftruncate(other.descriptor, 0)
            other.size = 0

    def close(self, *, keep: bool) -> None:
        """Release the files; `keep`: they have events that are not in the spool, and the next process sends them."""
        self._closed.set()
        self._release(keep=keep)

    def _release(self, *, keep: bool) -> None:
        with self._lock:
            files = [each for each in (self._active, self._other) if each is not None]
            self._active = self._other = None
        for file in files:
            if keep and file.size:
                os.close(file.descriptor)
                continue
            try:
                file.remove()
            except OSError as error:
                log.debug("journal_not_removed", path=str(file.path), reason=error.strerror or str(error))
