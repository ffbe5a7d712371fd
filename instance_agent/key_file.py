"""The file that `instance-agent keys` writes a new key to: mode 0600, and never without its key in the database.

The key is written to a file beside it first, which gets its name after the commit. A run that was interrupted in between is
continued by the next one, with the same key.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.contracts.fleet_configuration import key_prefix, new_key_text

_LONGEST: Final = 200


class KeyFile:
    """A file with one key.

    Attributes:
        path: of the file.
        text: the key to register: that of the file, of an interrupted run, or a new one.
    """

    def __init__(self, path: Path, *, may_exist: bool) -> None:
        """Read the file, or write a new key beside it.

        Args:
            may_exist: whether a file that exists is used.

        Raises:
            SettingsError: the file exists and may not, or has no key.
            CentralCloudError: it cannot be read or written.
        """
        self.path = path
        self._pending = path.with_name(f".{path.name}.pending")
        try:
            if path.exists() or path.is_symlink():
                if not may_exist:
                    raise SettingsError(f"--output: {path} exists, expected a new file")
                self.text = _read(path)
            elif self._pending.exists():
                self.text = _read(self._pending)
            else:
                self.text = new_key_text()
                _write(self._pending, self.text)
        except OSError as error:
            raise CentralCloudError(f"--output: cannot write {path}: {error.strerror or error}") from None

    def keep(self) -> None:
        """Give the file its name: its key is registered.

        Raises:
            CentralCloudError: it cannot be renamed; the next run does.
        """
        try:
            if self._pending.exists():
                self._pending.replace(self.path)
        except OSError as error:
            found = f"--output: cannot write {self.path}: {error.strerror or error}"
            raise CentralCloudError(f"{found}; the key is in {self._pending}") from None

    def discard(self) -> None:
        """Remove what was written: the key is not registered."""
        with contextlib.suppress(OSError):
            self._pending.unlink(missing_ok=True)


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        text = stream.read(_LONGEST).decode(errors="replace").strip()
    if key_prefix(text) is None:
        raise SettingsError(f"--output: {path} exists and has no key, expected one, or a new file")
    return text


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())
