"""The spool of a publisher: a folder of files that keep the events which were not sent when a process was killed.

Each process appends to files of its own, which it holds with a lock. A file that no process holds belongs to one that has
ended: another process sends its events, at its start or within a minute. A record is one line, a checksum and the event,
so that a damaged one costs only itself. An event is given to the operating system at once, so that a process that is killed
loses none; see `recent_events`. Events are then written in batches, each synced; of a batch that does not fit, the oldest
events are written that do. Events for which memory has no room are only on disk; see `overflow`. A file is removed when all
of its events were sent. After a crash some are sent twice, which the decision ids make harmless. A file that another program
has removed or emptied is noticed, and its events, which are still in memory, are written again. A file with damaged records
is kept under another name.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.sync.event_queue import EventQueue, QueuedEvent
from instance_agent.sync.overflow import Overflow
from instance_agent.sync.recent_events import RecentEvents
from instance_agent.sync.spool_files import OwnFile, record_size, size_of_spool
from instance_agent.sync.spool_reader import SpoolReader

log = get_logger(__name__)

#: Most bytes of a spool folder; the default of INSTANCE_AGENT_SPOOL_BYTES.
DEFAULT_SPOOL_BYTES: Final = 100_000_000
#: A new file is begun after this many bytes: files are removed as a whole.
_FILE_BYTES: Final = 1_000_000
#: How often to look for files of ended processes: one that ends after this process has started leaves its files later.
_LOOK_AGAIN_SECONDS: Final = 60.0
#: How many bytes there must be room for before a full folder counts as writable again: a few events.
_TRIED_BYTES: Final = 4096


class Spool:
    """The files of one process in a spool folder, and those that ended processes have left there. Thread-safe.

    Attributes:
        folder: mode 0700; its files have mode 0600.
        written_through: the number of the newest event on disk.
        problem: why the newest events are not on disk, or the next one would not be; None: they are, or will be within a
            tenth of a second.
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
        self.not_written = 0
        self._files: list[OwnFile] = []
        self._confirmed_through = 0
        self._seen_through = 0
        self._closed = False
        self._lock = threading.RLock()  # reentrant for a signal handler in a thread that writes
        self.problem: str | None = None
        self._needs_new_file = False
        self._recent = RecentEvents(folder, _make_private, max_bytes // 10)
        self._overflow = Overflow(folder, _make_private, max_bytes)
        self._reader = SpoolReader(
            folder,
            self._overflow,
            make_folder=_make_private,
            held=self._held,
            shared=shared,
            look_again_seconds=look_again_seconds,
        )

    @property
    def skipped(self) -> int:
        """About how many records of files that were read were damaged, and not sent."""
        return self._reader.skipped

    @property
    def waiting(self) -> int:
        """Number of events that are only on disk: for memory they were too many, or an ended process has left them."""
        return self._reader.records

    @property
    def oldest(self) -> str | None:
        """The oldest of these events, as far as it is known."""
        return self._reader.oldest

    @property
    def overflow_problem(self) -> str | None:
        """Why the newest event for which memory had no room was not kept; None: it was, or there was none."""
        return self._overflow.problem

    def on_missing(self, call: Callable[[int], None]) -> None:
        """Let `call` know how many events that `keep` has written cannot be read any more."""
        self._reader.on_missing = call

    def keep(self, text: str) -> str | None:
        """Keep an event for which memory has no room; return why it was not kept, None when it was. Never raises."""
        return self._overflow.add(text)

    def add(self, texts: Sequence[str]) -> None:
        """Keep events at once that were just added to the queue, in case that the process is killed. Never raises."""
        self._recent.add(texts)

    def write_new(self, queue: EventQueue) -> None:
        """Append the events of `queue` that are not on disk, and sync them. A problem is logged once, and never raised.

        Those whose file another program has removed meanwhile are not on disk either.
        """
        self._overflow.sync()
        with self._lock:
            if self._closed:
                return
            self._recent.begin_write()
            self._forget_missing_files(queue)
            waiting = [event for event in queue.after(self.written_through) if event.number > self._confirmed_through]
            events = self._not_on_disk(waiting)
            try:
                problem = self._write(events) if events else self._try_again()
            except OSError as error:
                problem = error.strerror or str(error)
            if events:
                new = sum(event.number > max(self._seen_through, self.written_through) for event in events)
                self._seen_through = max(self._seen_through, events[-1].number)
                self.not_written += 0 if problem is None else new
            if problem is None or not events:
                self.written_through = waiting[-1].number if waiting else self.written_through
                self._recent.end_write()
            self._note(problem)

    def confirm(self, number: int) -> None:
        """Remove the files whose events were all sent or rejected: those up to this number were."""
        with self._lock:
            self._confirmed_through = max(self._confirmed_through, number)
            done = [file for file in self._files if file.last_number <= number]
            self._files = [file for file in self._files if file.last_number > number]
            for file in done:
                self._reader.remove(file)

    def look_for_left(self) -> None:
        """Find the files that ended processes have left, unless it was done a short time ago. Needs no database."""
        self._reader.look()

    def next_left(self, count: int, max_bytes: int, *, own_only: bool = False) -> list[str]:
        """Return the next events that are only on disk, at most `count`; none when there are no more.

        They are returned again until `confirm_left`.

        Args:
            count: most events.
            max_bytes: about the most characters of text.
            own_only: only events of this process, not those that an ended one has left.
        """
        if own_only:
            return self._reader.next(count, max_bytes, own_only=True)
        self._reader.look()
        if not (texts := self._reader.next(count, max_bytes, own_only=False)):
            self._reader.look()  # very many files are opened part by part
            texts = self._reader.next(count, max_bytes, own_only=False)
        return texts

    def confirm_left(self) -> tuple[int, bool]:
        """Go on to the events after those that `next_left` has returned: they were sent or rejected.

        Returns:
            Their number, and whether this process has written them.
        """
        return self._reader.confirm()

    def close(self) -> None:
        """Release the files. The next start sends the events in them."""
        with self._lock:
            self._closed = True
            for file in self._files:
                os.close(file.descriptor)
            self._files = []
            self._recent.close(keep=self.problem is not None)
        self._reader.close()
        self._overflow.close()

    def abandon(self) -> None:
        """Release the files in the child of a fork. The parent's locks stay; no lock of this object is used."""
        nothing = os.open(os.devnull, os.O_RDWR)
        own = [file.descriptor for file in self._files] + self._recent.descriptors
        for descriptor in own + self._overflow.descriptors + self._reader.descriptors:
            os.dup2(nothing, descriptor, inheritable=False)  # not closed: the number stays taken until its object goes
        os.close(nothing)

    def _held(self) -> set[Path]:
        with self._lock:
            return {file.path for file in self._files} | self._recent.paths

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
            return _no_room(size_of_spool(self.folder)[1], self.max_bytes)
        return None

    def _try_again(self) -> str | None:
        """After a problem, find out whether it is still there: without an event to write, its end would go unnoticed.

        Raises:
            OSError: the disk still has no room, or cannot be written.
        """
        if self.problem is None:
            return None
        _make_private(self.folder)
        if (used := size_of_spool(self.folder)[1]) + _TRIED_BYTES > self.max_bytes:
            return _no_room(used, self.max_bytes)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            os.posix_fallocate(file.fileno(), 0, _TRIED_BYTES)
            os.fsync(file)
        return None

    def _note(self, problem: str | None) -> None:
        if problem is not None and self.problem is None:
            effect = "the events wait in memory only, and are lost if the process is killed"
            log.error("spool_not_written", path=str(self.folder), reason=problem, effect=effect)
        elif problem is None and self.problem is not None:
            log.info("spool_written_again", path=str(self.folder), not_written=self.not_written)
        self.problem = problem

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


def _no_room(used: int, max_bytes: int) -> str:
    return f"{used} bytes of {max_bytes} (INSTANCE_AGENT_SPOOL_BYTES) are used"


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_mode & 0o077:
        folder.chmod(0o700)
