"""The files of a spool that this process appends to, and the form of a record in them."""

import contextlib
import errno
import fcntl
import os
import time
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from instance_agent.sync.event_queue import QueuedEvent

#: The end of the name of each file.
SUFFIX: Final = ".events"
_CHECKSUM_LENGTH: Final = 8
#: Longest record, in bytes.
LONGEST_RECORD: Final = MAX_MESSAGE_BYTES + _CHECKSUM_LENGTH + 2


class _NotSyncedError(Exception):
    """The events were written, but the file system has not stored them."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class OwnFile:
    """A file that this process appends to, locked until it is closed."""

    def __init__(self, folder: Path, *, synced: bool = True) -> None:
        """Create it; `synced`: its name outlasts a crash of the machine."""
        while not self._create(folder):  # another process took it for one that an ended process has left
            pass
        self.last_number = 0
        self.size = 0
        self._ranges: list[range] = []
        if synced:
            try:
                sync_folder(folder)
            except BaseException:
                self.remove()
                raise

    def _create(self, folder: Path) -> bool:
        """Create and lock a file; return False when another process was first to lock or remove it."""
        self.path = folder / f"{os.getpid()}-{time.time_ns():020}-{os.urandom(4).hex()}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
        self.descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = os.fstat(self.descriptor).st_nlink > 0
        except BlockingIOError:
            own = False
        except BaseException:
            self.remove()
            raise
        if not own:
            self.remove()
        return own

    def add(self, records: bytes) -> None:
        """Append whole records, without a sync.

        Raises:
            OSError: not all of them fitted; none was added.
        """
        if os.write(self.descriptor, records) < len(records):
            os.ftruncate(self.descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(records)

    def empty(self) -> None:
        """Remove everything that was added.

        Raises:
            OSError: the file cannot be changed.
        """
        os.ftruncate(self.descriptor, 0)
        self.size = 0

    def append(self, events: Sequence[QueuedEvent]) -> None:
        """Write and sync the events. On an error the file keeps those that fitted, up to `last_number`.

        Raises:
            OSError: not all of them fitted.
        """
        try:
            self._append(events)
        except _NotSyncedError as error:
            if len(events) == 1:
                raise error.reason from None
            # Some file systems find out only now that they are full, and do not say where.
            self.append(events[: len(events) // 2])
            self.append(events[len(events) // 2 :])

    def _append(self, events: Sequence[QueuedEvent]) -> None:
        records = [encode_record(event.text) for event in events]
        ends = [*accumulate(map(len, records), initial=0)]
        written, failure = 0, None
        try:
            try:
                data = memoryview(b"".join(records))
                while written < len(data):
                    written += os.write(self.descriptor, data[written:])
            except OSError as error:
                failure = error
            whole = bisect_right(ends, written) - 1
            if ends[whole] < written:
                os.ftruncate(self.descriptor, self.size + ends[whole])
            if whole:
                _sync(self.descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise
        if whole:
            self.size += ends[whole]
            self._remember([event.number for event in events[:whole]])
        if failure is not None:
            raise failure

    def has(self, number: int) -> bool:
        """Whether the event with this number is in the file."""
        return any(number in each for each in self._ranges)

    def is_missing(self) -> bool:
        """Whether another program has removed, replaced or cut the file."""
        held = os.fstat(self.descriptor)
        try:
            found = self.path.lstat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino) or held.st_size < self.size

    def remove(self) -> None:
        """Remove the file, and release it.

        Raises:
            OSError: it cannot be removed; it is released.
        """
        try:
            self.path.unlink(missing_ok=True)
        finally:
            os.close(self.descriptor)

    def _remember(self, numbers: Sequence[int]) -> None:
        self.last_number = numbers[-1]
        for number in numbers:
            if self._ranges and self._ranges[-1].stop == number:
                self._ranges[-1] = range(self._ranges[-1].start, number + 1)
            else:
                self._ranges.append(range(number, number + 1))


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


def sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a crash of the machine.

    Raises:
        OSError: the folder is gone, or the disk has failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _NotSyncedError(error) from None


def record_size(text: str) -> int:
    """Return the size of an event in a file, in bytes."""
    return len(text.encode(errors="surrogatepass")) + _CHECKSUM_LENGTH + 2


def encode_record(text: str) -> bytes:
    """Return an event as a record of a file."""
    data = text.encode(errors="surrogatepass").replace(b"\n", b" ")
    return b"%08x %b\n" % (zlib.crc32(data), data)


def decode_record(line: bytes) -> str | None:
    """Return the event of a record; None when the record is damaged or cut off."""
    checksum, space, rest = line.partition(b" ")
    if len(checksum) != _CHECKSUM_LENGTH or not space or not rest.endswith(b"\n"):
        return None
    data = rest[:-1]
    try:
        if int(checksum, 16) != zlib.crc32(data):
            return None
        return data.decode()
    except ValueError:
        return None
