"""Files of state: replaced in one step, and read with bounds: a device, a pipe or a huge file must not stop the program."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """A value that changes whenever a file is written or replaced.

    Attributes:
        inode: of the file.
        modified_ns: time of its last change, in nanoseconds.
        size: in bytes.
    """

    inode: int
    modified_ns: int
    size: int


def read_bounded(path: Path, max_bytes: int, check: Callable[[os.stat_result], object] | None = None) -> bytes:
    """Return the content of a regular file with at most `max_bytes` bytes. Never waits for a writer.

    Args:
        path: of the file.
        max_bytes: in it.
        check: called with the status of the file that is read, before it is; may raise.

    Raises:
        OSError: the file cannot be read, is not a regular one, or is larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(0, "found a device, pipe or folder, expected a regular file")
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor has no path
        if check is not None:
            check(status)
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(0, f"found {max(status.st_size, len(content))} bytes, expected at most {max_bytes}")
    return content


def replace_file(path: Path, content: bytes, max_bytes: int, like: os.stat_result | None = None) -> None:
    """Replace a file, readable by its owner only, in one step: a reader, or a crash, finds the old content or the new.

    Args:
        path: of the file.
        content: to write.
        max_bytes: that readers take.
        like: status of a file whose owner and permissions it gets; None: those of a new file.

    Raises:
        OSError: the file cannot be written, or would be larger than `max_bytes`; the old content stays.
    """
    if len(content) > max_bytes:
        raise OSError(0, f"the content needs {len(content)} bytes, expected at most {max_bytes}")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if like is not None:
                _give(stream.fileno(), like)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _give(descriptor: int, like: os.stat_result) -> None:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def fingerprint_of(path: Path) -> Fingerprint | None:
    """Return the fingerprint of a file; None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Fingerprint(status.st_ino, status.st_mtime_ns, status.st_size)
