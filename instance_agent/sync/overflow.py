"""The events for which memory has no room: in files of their own, until they are sent.

During a long outage of the database the queue in memory is full of the oldest events. Those after them are only on disk. A
file takes events until it has its size; it is then complete, and is read as one that an ended process has left, so that a
kill at any moment loses nothing. An event is given to the operating system at once, and synced within a tenth of a second.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.sync.left_files import LeftFile
from instance_agent.sync.spool_files import OwnFile, encode_record, size_of_spool, sync_folder

log = get_logger(__name__)

#: Least bytes of a file that is complete: it is removed as a whole, and each one holds a descriptor.
_FILE_BYTES: Final = 8_000_000
#: Most files that are complete, about.
_MOST_FILES: Final = 128


class Overflow:
    """The files of one process with events that are not in memory. Thread-safe.

    Attributes:
        problem: why the newest event was not kept; None: it was.
    """

    def __init__(self, folder: Path, make_folder: Callable[[Path], None], max_bytes: int) -> None:
        """Touch nothing yet.

        Args:
            folder: of the spool.
            make_folder: called before a file is created.
            max_bytes: most bytes of all files in the folder together.
        """
        self.problem: str | None = None
        self._folder = folder
        self._make_folder = make_folder
        self._max_bytes = max_bytes
        self._file_bytes = min(max(_FILE_BYTES, max_bytes // _MOST_FILES), max_bytes // 10)
        self._file: OwnFile | None = None
        self._records = 0
        self._first: str | None = None
        self._complete: list[LeftFile] = []
        #: Bytes that the folder has room for; None: not measured yet. A scan for each event would take too long.
        self._room: int | None = None
        self._not_synced = False
        self._to_sync: list[int] = []
        self._new_name = False
        self._sync_failed = False
        self._closed = False
        self._lock = threading.RLock()  # reentrant for a signal handler in a thread that adds

    @property
    def records(self) -> int:
        """Number of events in the files that were not taken."""
        with self._lock:
            return self._records + sum(file.records for file in self._complete)

    @property
    def oldest(self) -> str | None:
        """The oldest event of the files that were not taken."""
        with self._lock:
            return self._complete[0].first if self._complete else self._first

    @property
    def descriptors(self) -> list[int]:
        """Descriptors of the files."""
        open_files = [] if self._file is None else [self._file.descriptor]
        return open_files + [file.descriptor for file in self._complete] + self._to_sync

    def add(self, text: str) -> str | None:
        """Append an event, without a sync; return why it was not kept, None when it was."""
        with self._lock:
            try:
                self.problem = "the spool is closed" if self._closed else self._add(text)
            except OSError as error:
                self.problem = error.strerror or str(error)
            return self.problem

    def sync(self) -> None:
        """Sync what was added, and measure the room in the folder. A problem is logged once, and never raised."""
        with self._lock:
            if self._closed or (self._file is None and self._room is None):
                return
            self._leave_missing_file()
            self._keep_for_sync()
            descriptors, self._to_sync = self._to_sync, []
            new_name, self._new_name = self._new_name, False
        try:
            for descriptor in descriptors:
                os.fsync(descriptor)
            if new_name:
                sync_folder(self._folder)
        except OSError as error:
            if not self._sync_failed:
                effect = "a crash of the machine loses the newest events"
                log.error(
                    "spool_not_synced", path=str(self._folder), reason=error.strerror or str(error), effect=effect
                )
            self._sync_failed = True
        else:
            self._sync_failed = self._sync_failed and not descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        used = size_of_spool(self._folder)[1]
        with self._lock:
            # Measured again before the first event of the next file.
            self._room = None if self._file is None else self._max_bytes - used

    def take(self) -> list[LeftFile]:
        """Return the complete files, oldest first, for the caller to send and remove; if there is none, the newest one."""
        with self._lock:
            if not self._complete:
                self._end_file()
            files, self._complete = self._complete, []
            return files

    def close(self) -> None:
        """Release the files. The next start sends the events in them."""
        self.sync()
        with self._lock:
            self._closed = True
            if self._file is not None:
                if self._file.size:
                    os.close(self._file.descriptor)
                else:
                    self._file.remove()
            for file in self._complete:
                file.close()
            for descriptor in self._to_sync:
                os.close(descriptor)
            self._file, self._complete, self._to_sync = None, [], []

    def _add(self, text: str) -> str | None:
        record = encode_record(text)
        if self._room is None:
            self._room = self._max_bytes - size_of_spool(self._folder)[1]
        if len(record) > self._room:
            return f"{self._max_bytes - self._room} bytes of {self._max_bytes} (INSTANCE_AGENT_SPOOL_BYTES) are used"
        if self._file is not None and self._file.size + len(record) > self._file_bytes:
            self._end_file()
        if self._file is None:
            self._make_folder(self._folder)
            self._file = OwnFile(self._folder, synced=False)
            self._new_name = True
        self._file.add(record)
        self._not_synced = True
        self._room -= len(record)
        self._first = self._first or text
        self._records += 1
        return None

    def _leave_missing_file(self) -> None:
        """Let further events go to a new file when another program has removed, replaced or cut the newest one.

        The events in it are sent from its descriptor, as long as this process lives.
        """
        if self._file is None or not self._file.is_missing():
            return
        log.warning(
            "spool_file_missing",
            path=str(self._folder),
            files=1,
            events=self._records,
            reason="another program has removed or changed them",
            effect="their events are sent as far as they can still be read, and are lost if the process is killed before",
        )
        if self._records:
            self._end_file()
        else:
            os.close(self._file.descriptor)
            self._file = None

    def _end_file(self) -> None:
        file = self._file
        if file is None or not self._records:
            return
        self._keep_for_sync()
        self._not_synced = False
        self._complete.append(LeftFile.complete(file, self._records, self._first))
        self._file, self._records, self._first = None, 0, None

    def _keep_for_sync(self) -> None:
        """Duplicate the descriptor of the newest file, which may be sent and closed before it is synced."""
        if self._not_synced and self._file is not None:
            with contextlib.suppress(OSError):  # no descriptor is left: it is synced the next time
                self._to_sync.append(os.dup(self._file.descriptor))
                self._not_synced = False
