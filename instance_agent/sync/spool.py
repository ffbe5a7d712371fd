"""The spool of a publisher: a folder of files that keep the events which were not sent when a process was killed.

Each process appends to files of its own, which it holds with a lock. A file that no process holds belongs to one that has
ended: another process sends its events, at its start or within a minute. A record is one line, a checksum and the event,
so that a damaged one costs only itself. Events are written in batches, each synced; of a batch that does not fit, the oldest
events are written that do. A file is removed when all of its events were sent. After a crash some are sent twice, which the
decision ids make harmless. A file that another program has removed or emptied is noticed, and its events, which are still in
memory, are written again. A file with damaged records is kept under another name.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.sync.damaged_files import keep_damaged
from instance_agent.sync.event_queue import EventQueue, QueuedEvent
from instance_agent.sync.other_spools import other_spools
from instance_agent.sync.spool_files import SUFFIX, LeftFile, OwnFile, record_size

log = get_logger(__name__)

#: Most bytes of a spool folder; the default of INSTANCE_AGENT_SPOOL_BYTES.
DEFAULT_SPOOL_BYTES: Final = 100_000_000
#: A new file is begun after this many bytes: files are removed as a whole.
_FILE_BYTES: Final = 1_000_000
#: How often to look for files of ended processes: one that ends after this process has started leaves its files later.
_LOOK_AGAIN_SECONDS: Final = 60.0


class Spool:
    """The files of one process in a spool folder, and those that ended processes have left there. Thread-safe.

    Attributes:
        folder: mode 0700; its files have mode 0600.
        written_through: the number of the newest event on disk.
        skipped: about how many records of other processes were damaged, and not sent.
        not_written: events that did not get to the disk at the first attempt, because the folder is full or cannot be
            written.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int = DEFAULT_SPOOL_BYTES,
        *,
        shared: Path | None = None,
        look_again_seconds: float = _LOOK_AGAIN_SECONDS,
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: of one instance: another one may not be allowed to send its events.
            max_bytes: most bytes of all files in the folder together.
            shared: where other instances have their folders: events that wait there are logged. None: nowhere.
            look_again_seconds: time between two searches for files of ended processes.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self.written_through = 0
        self.skipped = 0
        self.not_written = 0
        self._files: list[OwnFile] = []
        self._left: list[LeftFile] = []
        self._shared = shared
        self._named: set[Path] = set()
        self._look_again_seconds = look_again_seconds
        self._looked_at: float | None = None
        self._unreadable: set[Path] = set()
        self._confirmed_through = 0
        self._seen_through = 0
        self._closed = False
        self._lock = threading.RLock()  # reentrant for a signal handler in a thread that writes
        self._problem: str | None = None
        self._needs_new_file = False
        self._sent_files: set[Path] = set()  # of ended processes: those that were sent and cannot be removed

    def write_new(self, queue: EventQueue) -> None:
        """Append the events of `queue` that are not on disk, and sync them. A problem is logged once, and never raised.

        Those whose file another program has removed meanwhile are not on disk either.
        """
        with self._lock:
            if self._closed:
                return
            self._forget_missing_files(queue)
            waiting = [event for event in queue.after(self.written_through) if event.number > self._confirmed_through]
            events = self._not_on_disk(waiting)
            if not events:
                if waiting:
                    self.written_through = waiting[-1].number
                return
            try:
                problem = self._write(events)
            except OSError as error:
                problem = f"{error.strerror or error}"
            new = sum(event.number > max(self._seen_through, self.written_through) for event in events)
            self._seen_through = max(self._seen_through, events[-1].number)
            if problem is None:
                self.written_through = waiting[-1].number
            if problem is not None:
                self.not_written += new
                if self._problem is None:
                    effect = "the events wait in memory only, and are lost if the process is killed"
                    log.error("spool_not_written", path=str(self.folder), reason=problem, effect=effect)
            elif self._problem is not None:
                log.info("spool_written_again", path=str(self.folder), not_written=self.not_written)
            self._problem = problem

    @property
    def is_written(self) -> bool:
        """Whether the last `write_new` has written everything."""
        return self._problem is None

    def confirm(self, number: int) -> None:
        """Remove the files whose events were all sent or rejected: those up to this number were."""
        with self._lock:
            self._confirmed_through = max(self._confirmed_through, number)
            done = [file for file in self._files if file.last_number <= number]
            self._files = [file for file in self._files if file.last_number > number]
            for file in done:
                self._remove(file)

    def next_left(self, count: int, max_bytes: int) -> list[str]:
        """Return the next events that an ended process has left, at most `count`; none when there are no more.

        They are returned again until `confirm_left`.
        """
        now = time.monotonic()
        if not self._left and (self._looked_at is None or now >= self._looked_at + self._look_again_seconds):
            self._looked_at = now
            with self._lock:
                self._left = [] if self._closed else self._find_left()
            self._log_others()
        while self._left:
            file = self._left[0]
            try:
                batch = file.peek(count, max_bytes)
            except OSError as error:
                self._log_unreadable(file.path, error)
                file.close()
                del self._left[0]
                continue
            if batch:
                return batch
            if file.skipped:
                self._keep_damaged(file)
            else:
                self._remove(file)
            del self._left[0]
        return []

    def confirm_left(self) -> None:
        """Go on to the events after those that `next_left` has returned: they were sent or rejected."""
        if self._left:
            self._left[0].advance()

    def close(self) -> None:
        """Release the files. The next start sends the events in them."""
        with self._lock:
            self._closed = True
            for file in self._files:
                os.close(file.descriptor)
            self._files = []
            for left in self._left:
                left.close()
            self._left = []

    def abandon(self) -> None:
        """Release the files in the child of a fork. The parent's locks stay; no lock of this object is used."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in [file.descriptor for file in self._files] + [left.descriptor for left in self._left]:
            os.dup2(nothing, descriptor, inheritable=False)  # not closed: the number stays taken until its object goes
        os.close(nothing)

    def _write(self, events: Sequence[QueuedEvent]) -> str | None:
        """Write the events that fit, oldest first; return why there is no room for the others, None when all fitted.

        Raises:
            OSError: the disk has no room for all of them, or cannot be written.
        """
        _make_private(self.folder)
        used = size_of_spool(self.folder)[1]
        sizes = (record_size(event.text) for event in events)
        fitting = events[: sum(used + end <= self.max_bytes for end in accumulate(sizes))]
        if fitting:
            if not self._files or self._needs_new_file or self._files[-1].size >= _FILE_BYTES:
                self._files.append(OwnFile(self.folder))
                self._needs_new_file = False
            file = self._files[-1]
            try:
                file.append(fitting)
            finally:
                self.written_through = max(self.written_through, file.last_number)
        if len(fitting) < len(events):
            used = size_of_spool(self.folder)[1]
            return f"{used} bytes of {self.max_bytes} (INSTANCE_AGENT_SPOOL_BYTES) are used"
        return None

    def _not_on_disk(self, events: Sequence[QueuedEvent]) -> Sequence[QueuedEvent]:
        newest = max((file.last_number for file in self._files), default=0)
        if not events or events[0].number > newest:  # nearly always
            return events
        return [event for event in events if not any(file.has(event.number) for file in self._files)]

    def _forget_missing_files(self, queue: EventQueue) -> None:
        """Let the events be written again whose files another program has removed or emptied."""
        missing = [file for file in self._files if file.is_missing()]
        if not missing:
            return
        waiting = [event.number for event in queue.after(self._confirmed_through)]
        numbers = [number for number in waiting if any(file.has(number) for file in missing)]
        log.warning(
            "spool_file_missing",
            path=str(self.folder),
            files=len(missing),
            events=len(numbers),
            reason="another program has removed or changed them",
            effect="their events are still in memory, and are written again",
        )
        self._files = [file for file in self._files if file not in missing]
        for file in missing:
            os.close(file.descriptor)
        if numbers:
            self.written_through = min(self.written_through, numbers[0] - 1)
        self._needs_new_file = True

    def _remove(self, file: OwnFile | LeftFile) -> None:
        """Remove a file whose events were sent. If it stays, this process does not send it again."""
        try:
            file.remove()
        except OSError as error:
            self._log_not_removed(file.path, error)

    def _log_not_removed(self, path: Path, error: OSError) -> None:
        self._sent_files.add(path)
        effect = "the next start sends its events again, which the decision ids make harmless"
        log.warning("spool_file_not_removed", path=str(path), reason=error.strerror or str(error), effect=effect)

    def _keep_damaged(self, file: LeftFile) -> None:
        """Keep a file whose good records were sent and that has damaged ones, and log them."""
        about = file.damaged_records()
        self.skipped += about
        found = {"count": file.skipped, "bytes": file.skipped_bytes, "about": about}
        try:
            kept = keep_damaged(file.path)
        except OSError as error:
            log.warning("spool_records_skipped", path=str(file.path), kept_as=str(file.path), **found)
            self._log_not_removed(file.path, error)
        else:
            kept_as = None if kept is None else str(kept)
            log.warning("spool_records_skipped", path=str(file.path), kept_as=kept_as, **found)
        file.close()

    def _find_left(self) -> list[LeftFile]:
        try:
            _make_private(self.folder)
            paths = _oldest_first(self.folder.glob(f"*{SUFFIX}"))
        except OSError as error:
            self._log_unreadable(self.folder, error)
            return []
        self._unreadable &= {*paths}
        own = {file.path for file in self._files} | self._sent_files
        left = []
        for path in paths:
            if path in own:
                continue
            try:
                file = LeftFile.open(path)
            except FileNotFoundError:
                continue  # its process has sent the events meanwhile
            except OSError as error:
                self._log_unreadable(path, error)
                continue
            if file is not None:
                left.append(file)
        if left:
            log.info("spool_found", path=str(self.folder), files=len(left))
        return left

    def _log_others(self) -> None:
        """Log events of other instances that no process sends, once for each folder."""
        for folder, files, size in [] if self._shared is None else other_spools(self._shared, self.folder):
            if folder not in self._named:
                self._named.add(folder)
                log.warning(
                    "spool_of_another_instance",
                    path=str(folder),
                    files=files,
                    bytes=size,
                    effect="they wait: an instance sends its own events only",
                    expected=f"start a router once with INSTANCE_ID={folder.name}, or remove the folder",
                )

    def _log_unreadable(self, path: Path, error: OSError) -> None:
        if path not in self._unreadable:  # once, not in every search
            self._unreadable.add(path)
            log.error("spool_not_read", path=str(path), reason=error.strerror or str(error))


def _oldest_first(paths: Iterable[Path]) -> list[Path]:
    modified: dict[Path, int] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # its process has sent the events meanwhile
            modified[path] = path.lstat().st_mtime_ns
    return sorted(modified, key=modified.__getitem__)


def size_of_spool(folder: Path) -> tuple[int, int]:
    """Return how many files a spool folder has, and their bytes; zeros when it does not exist or cannot be read."""
    files = size = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    size += entry.stat(follow_symlinks=False).st_size
                    files += 1
    return files, size


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_mode & 0o077:
        folder.chmod(0o700)
