"""Reads the files of a spool folder that are to be sent: those of ended processes, and this one's that have overflowed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.sync.damaged_files import keep_damaged
from instance_agent.sync.left_files import LeftFile
from instance_agent.sync.other_spools import other_spools
from instance_agent.sync.overflow import Overflow
from instance_agent.sync.spool_files import SUFFIX, OwnFile

log = get_logger(__name__)

#: Most files of ended processes that are open at a time: each holds a descriptor, of which a process may have 1,024.
_MOST_FILES: Final = 100


class SpoolReader:
    """The files to send, oldest first. One thread sends; any thread may close it.

    Attributes:
        skipped: about how many records were damaged, and not sent.
        on_missing: called with the number of events of this process that cannot be read from its file any more.
    """

    def __init__(
        self,
        folder: Path,
        overflow: Overflow,
        *,
        make_folder: Callable[[Path], None],
        held: Callable[[], set[Path]],
        shared: Path | None,
        look_again_seconds: float,
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: of the spool.
            overflow: gives the files of this process.
            make_folder: called before the folder is read.
            held: returns the files to which this process appends.
            shared: where other instances have their folders: events that wait there are logged. None: nowhere.
            look_again_seconds: time between two searches for files of ended processes.
        """
        self.skipped = 0
        self.on_missing: Callable[[int], None] | None = None
        self._folder = folder
        self._overflow = overflow
        self._make_folder = make_folder
        self._held = held
        self._shared = shared
        self._named: set[Path] = set()
        self._look_again_seconds = look_again_seconds
        self._looked_at: float | None = None
        self._unreadable: set[Path] = set()
        self._sent: set[Path] = set()  # files that were sent and cannot be removed
        self._files: list[LeftFile] = []
        self._current: LeftFile | None = None
        self._closed = False
        self._lock = threading.RLock()

    @property
    def records(self) -> int:
        """Number of events in the files that are not sent; about, when records are damaged."""
        return self._overflow.records + sum(file.records for file in self._files.copy())

    @property
    def oldest(self) -> str | None:
        """The oldest event on disk that is not in memory, as far as it is known."""
        return next((file.first for file in self._files.copy() if file.first), None) or self._overflow.oldest

    @property
    def descriptors(self) -> list[int]:
        """Descriptors of the files."""
        return [file.descriptor for file in self._files]

    def look(self) -> None:
        """Find the files of ended processes, unless the last search was a short time ago or found some."""
        now = time.monotonic()
        if self._files or (self._looked_at is not None and now < self._looked_at + self._look_again_seconds):
            return
        self._looked_at = now
        found = [] if self._closed else self._find()
        with self._lock:
            if self._closed:
                for file in found:
                    file.close()
            else:
                self._files = found
        self._log_others()

    def next(self, count: int, max_bytes: int, *, own_only: bool) -> list[str]:
        """Return the next events, at most `count`; none when there are no more. The same ones until `confirm`.

        Args:
            count: most events.
            max_bytes: about the most characters of text.
            own_only: only events of this process.
        """
        while (file := self._choose(own_only)) is not None:
            try:
                batch = file.peek(count, max_bytes)
            except (OSError, ValueError) as error:  # ValueError: closed by another thread
                if isinstance(error, OSError):
                    self._log_unreadable(file.path, error)
                    self._forget(file)
                    file.close()
                continue
            if batch:
                self._current = file
                return batch
            self._end(file)
        return []

    def confirm(self) -> tuple[int, bool]:
        """Go on to the events after those of `next`; return their number, and whether this process has written them."""
        with self._lock:
            file, self._current = self._current, None
            return (0, False) if file is None or self._closed else (file.advance(), file.own)

    def remove(self, file: OwnFile | LeftFile) -> None:
        """Remove a file whose events were sent. If it stays, this process does not send it again."""
        try:
            file.remove()
        except OSError as error:
            self._log_not_removed(file.path, error)

    def close(self) -> None:
        """Release the files. Another process may then send what is in them."""
        with self._lock:
            self._closed = True
            for file in self._files:
                file.close()
            self._files, self._current = [], None

    def _choose(self, own_only: bool) -> LeftFile | None:
        with self._lock:
            if self._closed:
                return None
            if not any(file.own or not own_only for file in self._files):
                self._files += self._overflow.take()
            return next((file for file in self._files if file.own or not own_only), None)

    def _end(self, file: LeftFile) -> None:
        """Remove a file without further events."""
        if file.skipped:
            self._keep_damaged(file)
        else:
            self.remove(file)
        self._forget(file)

    def _forget(self, file: LeftFile) -> None:
        with self._lock:
            self._files = [each for each in self._files if each is not file]
        if file.own and file.records and self.on_missing is not None:
            self.on_missing(file.records)

    def _log_not_removed(self, path: Path, error: OSError) -> None:
        self._sent.add(path)
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

    def _find(self) -> list[LeftFile]:
        try:
            self._make_folder(self._folder)
            paths = _oldest_first(self._folder.glob(f"*{SUFFIX}"))
        except OSError as error:
            self._log_unreadable(self._folder, error)
            return []
        self._unreadable &= {*paths}
        own = self._held() | self._sent
        left: list[LeftFile] = []
        for path in paths:
            if path in own:
                continue
            if len(left) == _MOST_FILES:
                self._looked_at = None  # the others are found as soon as these were sent
                break
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
            log.info("spool_found", path=str(self._folder), files=len(left), events=sum(file.records for file in left))
        return left

    def _log_others(self) -> None:
        """Log events of other instances that no process sends, once for each folder."""
        for folder, files, size in [] if self._shared is None else other_spools(self._shared, self._folder):
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
    modified: dict[Path, tuple[int, str]] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # its process has sent the events meanwhile
            # The clock of a file system may stand still for milliseconds; the names of one process have their order.
            modified[path] = (path.lstat().st_mtime_ns, path.name)
    return sorted(modified, key=modified.__getitem__)
