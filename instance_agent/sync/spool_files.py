"""The files of a spool: those that this process appends to, and those that ended processes have left."""

import contextlib
import fcntl
import os
import stat
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from instance_agent.sync.event_queue import QueuedEvent

#: The end of the name of each file.
SUFFIX: Final = ".events"
_CHECKSUM_LENGTH: Final = 8
_LONGEST_LINE: Final = MAX_MESSAGE_BYTES + _CHECKSUM_LENGTH + 2


#: The usual size of a record: a decision or an outcome.
_USUAL_BYTES: Final = 1000


class _NotSyncedError(Exception):
    """The events were written, but the file system has not stored them."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class OwnFile:
    """A file that this process appends to, locked until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
        self.descriptor = os.open(self.path, flags, 0o600)
        self.last_number = 0
        self.size = 0
        self._ranges: list[range] = []
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sync_folder(folder)
        except BaseException:
            self.remove()
            raise

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
        records = [encode(event.text) for event in events]
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


class LeftFile:
    """A file that an ended process has left, read batch by batch."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.descriptor = stream.fileno()
        self.skipped = 0
        self.skipped_bytes = 0
        self._good_records = self._good_bytes = 0
        self._stream = stream
        self._batch: list[str] = []
        self._pending: bytes | None = None

    @classmethod
    def open(cls, path: Path) -> "LeftFile | None":
        """Open and lock a file; None when a process still holds it.

        Raises:
            OSError: it is not a regular file, or cannot be opened.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        stream = os.fdopen(descriptor, "rb")
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("found another kind of file, expected a regular file")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                return None
            if not os.fstat(descriptor).st_nlink:  # its process has sent the events meanwhile
                stream.close()
                return None
        except BaseException:
            stream.close()
            raise
        return cls(path, stream)

    def peek(self, count: int, max_bytes: int) -> list[str]:
        """Return the next events, at most `count` with about `max_bytes` characters; the same ones until `advance`."""
        length = 0
        while not self._batch and (line := self._next_line()) is not None:
            while line is not None:
                text = _decode(line)
                if text is None:
                    self.skipped += 1
                    self.skipped_bytes += len(line)
                elif self._batch and (len(self._batch) >= count or length + len(text) > max_bytes):
                    self._pending = line
                    break
                else:
                    self._batch.append(text)
                    length += len(text)
                    self._good_records += 1
                    self._good_bytes += len(line)
                line = self._next_line()
        return self._batch

    def advance(self) -> None:
        """Go on to the events after those of `peek`."""
        self._batch = []

    def damaged_records(self) -> int:
        """Return about how many records were damaged: damage may have removed the ends of lines between them.

        Estimated from the size of the good records in the file, or else of usual ones.
        """
        usual = self._good_bytes / self._good_records if self._good_records else _USUAL_BYTES
        return max(self.skipped, round(self.skipped_bytes / usual))

    def remove(self) -> None:
        """Remove the file, and release it.

        Raises:
            OSError: it cannot be removed; it is released.
        """
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Release the file. Another process may then send what is in it."""
        self._stream.close()

    def _next_line(self) -> bytes | None:
        if self._pending is not None:
            line, self._pending = self._pending, None
            return line
        line = self._stream.readline(_LONGEST_LINE)
        return line or None


def _sync_folder(folder: Path) -> None:
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


def encode(text: str) -> bytes:
    """Return the record of an event."""
    data = text.encode(errors="surrogatepass").replace(b"\n", b" ")
    return b"%08x %b\n" % (zlib.crc32(data), data)


def _decode(line: bytes) -> str | None:
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
