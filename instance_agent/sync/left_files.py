"""A file of a spool to which no process appends any more, read batch by batch.

A batch that the database has is marked in the file: its first record begins with a character that no checksum has, and with
its length. A process that is killed while it sends a file so leaves at most one batch that the next one sends again.
"""

import contextlib
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

from instance_agent.sync.spool_files import LONGEST_RECORD, OwnFile, decode_record

#: The usual size of a record: a decision or an outcome.
_USUAL_BYTES: Final = 1000
#: Digits alone: a sign, which `int` reads too, would lead back.
_MARK: Final = re.compile(rb">([0-9a-f]{7}) ")
#: Most bytes that a mark can skip.
_LONGEST_SKIP: Final = 0xFFF_FFFF
#: So many bytes of a file are counted, and its other records estimated from them: to read all would delay a start.
_COUNTED_BYTES: Final = 1_000_000


class LeftFile:
    """A file that an ended process has left, or one of this process that is complete. For one thread.

    Attributes:
        records: how many have not been sent; about, in a large file that an ended process has left.
        first: the oldest event that was not sent, when it is known; for any thread.
        own: this process has written it.
        skipped: damaged records so far.
        skipped_bytes: their bytes.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, records: int = 0, first: str | None = None) -> None:
        self.path = path
        self.descriptor = stream.fileno()
        self.records = records
        self.first = first
        self.own = False
        self.skipped = 0
        self.skipped_bytes = 0
        self._good_records = self._good_bytes = 0
        self._stream = stream
        self._batch: list[str] = []
        self._pending: bytes | None = None
        self._begin = self._end = 0  # of the batch, in the file

    @classmethod
    def open(cls, path: Path) -> "LeftFile | None":
        """Open and lock a file, and go to the first event that was not sent; None when a process still holds it.

        Raises:
            OSError: it is not a regular file, or cannot be opened.
        """
        stream = os.fdopen(_open(path), "rb")
        try:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError("found another kind of file, expected a regular file")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                return None
            if not os.fstat(stream.fileno()).st_nlink:  # its process has sent the events meanwhile
                stream.close()
                return None
            file = cls(path, stream)
            file._go_behind_marks()
        except BaseException:
            stream.close()
            raise
        return file

    @classmethod
    def complete(cls, file: OwnFile, records: int, first: str | None) -> "LeftFile":
        """Take over a file of this process, with its lock: nothing is appended to it any more.

        Raises:
            OSError: it cannot be read.
        """
        flags = fcntl.fcntl(file.descriptor, fcntl.F_GETFL)
        fcntl.fcntl(file.descriptor, fcntl.F_SETFL, flags & ~os.O_APPEND)  # a mark is not written at the end
        stream = os.fdopen(file.descriptor, "rb")
        stream.seek(0)
        left = cls(file.path, stream, records=records, first=first)
        left.own = True
        return left

    def peek(self, count: int, max_bytes: int) -> list[str]:
        """Return the next events, at most `count` with about `max_bytes` characters; the same ones until `advance`.

        Raises:
            OSError: the file cannot be read.
        """
        if self._batch:
            return self._batch
        length = 0
        batch: list[str] = []
        self._begin = self._end
        while (line := self._next_line()) is not None:
            text = decode_record(line)
            if text is None:
                self.skipped += 1
                self.skipped_bytes += len(line)
            elif batch and (len(batch) >= count or length + len(text) > max_bytes):
                self._pending = line
                break
            else:
                batch.append(text)
                length += len(text)
                self._good_records += 1
                self._good_bytes += len(line)
            self._end += len(line)
        self._batch = batch
        self.first = batch[0] if batch else None
        return batch

    def advance(self) -> int:
        """Mark the events of `peek` as sent, and go on to those after them; return their number."""
        count, self._batch = len(self._batch), []
        self.records = max(0, self.records - count)
        length = self._end - self._begin
        if count and length <= _LONGEST_SKIP:
            with contextlib.suppress(OSError):  # on a disk that is read only they are sent again, which is harmless
                written = os.fstat(self.descriptor)
                os.pwrite(self.descriptor, b">%07x " % length, self._begin)
                os.utime(self.descriptor, ns=(written.st_atime_ns, written.st_mtime_ns))  # files are sent oldest first
        return count

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
        line = self._stream.readline(LONGEST_RECORD)
        return line or None

    def _go_behind_marks(self) -> None:
        line = self._next_line()
        while line is not None and (length := _marked_length(line)):
            self._end += length
            self._stream.seek(self._end)
            line = self._next_line()
        self._stream.seek(self._end)
        self.first = None if line is None else decode_record(line)
        if counted := self._stream.read(_COUNTED_BYTES):
            left = os.fstat(self.descriptor).st_size - self._end
            self.records = round(counted.count(b"\n") * left / len(counted))
        self._stream.seek(self._end)


def _open(path: Path) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


def _marked_length(line: bytes) -> int:
    """Return how many bytes from the begin of this line were sent; 0 when it is not a mark."""
    mark = _MARK.match(line)
    return int(mark[1], 16) if mark else 0
