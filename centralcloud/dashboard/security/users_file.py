"""The file of users: one line a user, ``name:role:hash``. Comments (#) and empty lines stay."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.dashboard.security.passwords import PasswordHash, parse_hash
from centralcloud.dashboard.security.viewer import NAME_EXPECTED, ROLES, Role, is_user_name
from centralcloud.runtime.bounded_file import read_bounded, replace_file

#: Some 8,000 users.
_MOST_BYTES: Final = 2**20
_LINE_EXPECTED: Final = "expected name:role:hash, as `centralcloud dashboard-users add` writes it"


class User(NamedTuple):
    """A line of the file."""

    name: str
    role: Role
    password: PasswordHash


Users = Mapping[str, User]
NO_USERS: Final[Users] = MappingProxyType({})


def parse_users(text: str, where: str) -> Users:
    """Read the content of a file.

    Args:
        text: of the file.
        where: its name in messages.

    Raises:
        SettingsError: a line is damaged; names its number, and never the hash.
    """
    users: dict[str, User] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not _is_user(line):
            continue
        try:
            user = _parse_line(line.strip())
            if user.name in users:
                raise ValueError(f"found {user.name} again, as in line {lines[user.name]}: expected one line a user")
        except ValueError as error:
            raise SettingsError(f"{where}, line {number}: {error}") from None
        users[user.name], lines[user.name] = user, number
    return MappingProxyType(users)


def with_user(text: str, user: User) -> str:
    """Return the content with this user: on its line, else on a new one at the end."""
    line = f"{user.name}:{user.role}:{user.password}"
    lines = text.split("\n")
    for index, each in enumerate(lines):
        if _is_user(each) and _name_of(each) == user.name:
            lines[index] = line
            return "\n".join(lines)
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"


def without_user(text: str, name: str) -> str:
    """Return the content without the line of this user."""
    return "\n".join(line for line in text.split("\n") if not _is_user(line) or _name_of(line) != name)


def read_text(path: Path) -> str:
    """Return the content of a file that only its owner can write and read.

    Raises:
        SettingsError: it cannot be read, or others can read or write it.
    """
    try:
        return read_bounded(path, _MOST_BYTES, lambda status: _check_mode(path, status)).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: found a byte that is not UTF-8, {_LINE_EXPECTED}") from None
    except OSError as error:
        raise SettingsError(
            f"cannot read the users of the dashboard in {path}: {error.strerror or error}; expected a file of "
            "`centralcloud dashboard-users add`"
        ) from None


def read_users(path: Path) -> Users:
    """Return the users of a file, by name.

    Raises:
        SettingsError: as `read_text` and `parse_users`.
    """
    return parse_users(read_text(path), str(path))


@contextlib.contextmanager
def editing(path: Path) -> Iterator["UsersFile"]:
    """Hold the file for a change: another process that changes it waits.

    Raises:
        SettingsError: its folder cannot be used, or as `read_users`.
    """
    path = path.resolve()  # a link stays one
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError(f"cannot use the folder {path.parent} of the users: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield UsersFile(path)
    finally:
        os.close(folder)


class UsersFile:
    """A file of users that is held for a change, see `editing`.

    Attributes:
        users: in it; none, when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = read_text(path) if path.exists() else ""
        self.users = parse_users(self._text, str(path))

    def put(self, user: User) -> None:
        """Add a user, or replace its line.

        Raises:
            SettingsError: the file cannot be written.
        """
        self._write(with_user(self._text, user))

    def remove(self, name: str) -> None:
        """Remove the line of a user.

        Raises:
            SettingsError: the file cannot be written.
        """
        self._write(without_user(self._text, name))

    def _write(self, text: str) -> None:
        parse_users(text, str(self._path))  # never a file that cannot be read again
        try:
            like = self._path.stat() if self._path.exists() else None
            replace_file(self._path, text.encode(), _MOST_BYTES, like)
        except OSError as error:
            raise SettingsError(
                f"cannot write the users of the dashboard to {self._path}: {error.strerror or error}"
            ) from None


def _is_user(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _name_of(line: str) -> str:
    return line.strip().partition(":")[0]


def _parse_line(line: str) -> User:
    parts = line.split(":")
    if len(parts) != 3:
        raise ValueError(f"found {len(parts)} of 3 parts, {_LINE_EXPECTED}")
    name, role, password = parts
    if not is_user_name(name):
        raise ValueError(f"found the name {quote(name)}, expected {NAME_EXPECTED}")
    known = next((each for each in ROLES if each == role), None)
    if known is None:
        raise ValueError(f"found the role {quote(role)} of {name}, expected {' or '.join(ROLES)}")
    return User(name, known, parse_hash(password))


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Refuse a file that others can change or read. As PostgreSQL does with keys: a group may read a file of root.

    Kubernetes mounts secrets in this way.
    """
    if status.st_uid not in (0, os.geteuid()):
        raise SettingsError(f"{path} belongs to uid {status.st_uid}, expected a file of root or of uid {os.geteuid()}")
    allowed = 0o640 if status.st_uid == 0 else 0o600
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 & ~allowed:
        raise SettingsError(
            f"{path} has the mode {mode:04o}, so others can read or write it: expected {allowed:04o} or less, "
            f"as after `chmod {allowed:o} {path}`"
        )
