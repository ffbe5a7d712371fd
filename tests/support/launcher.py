"""Start the programs from a process that has imported them already.

An installed program spends most of a short command on imports. The launcher imports both programs once per test process
and forks for each start: a process of its own, with its own arguments, environment, folder, signals, standard streams and
exit, about 20 times cheaper. The entry points are those of the installed package. Only the imports are not repeated;
`cold=True` in support.commands starts the installed program where they matter.
"""

import atexit
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Read when they are needed. Others may be read by an import or by the interpreter itself: they need a cold start.
_READ_LATE = (
    *("CENTRALCLOUD_", "INSTANCE_", "DATABASE_URL", "EX_LLM_", "PG"),
    *("NOTIFY_SOCKET", "WATCHDOG_", "SUDO_USER", "XDG_STATE_HOME"),
)
_READ_LATE_BY_PYTEST = ("PYTEST_",)
_NAMES_READ_LATE = frozenset({"PORT", "LOG_LEVEL", "REDIS_URL", "NODE_ENV", "TERM", "COLUMNS", "LINES"})
#: Set by a shell, and read by the programs when they are needed, if at all.
_OF_SHELLS = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_ALL"})
#: The programs that it starts.
PROGRAMS = ("centralcloud", "instance-agent")
_LONGEST_REQUEST = 200_000
#: Imported in functions of the programs, or of what they use, at nearly every start.
_IMPORTED_LATE = ("structlog", "typer._adapters", "genai_prices.data", "uvloop", "encodings.idna")


class Launched(subprocess.Popen[str]):
    """A process that the launcher forked, used like any `Popen`. It is not our child: the launcher reports its exit."""

    _connection: socket.socket
    _forked = False

    def _execute_child(  # type: ignore[override]  # the signature of Python 3.11 and newer
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite,
        restore_signals, gid, gids, uid, umask, start_new_session, process_group,
    ) -> None:  # fmt: skip
        # The launcher honours some of Popen's options: another one would be ignored in silence.
        refused = [executable, preexec_fn, pass_fds, shell, gid, gids, uid, umask != -1, process_group != -1]
        assert not any(refused), f"the launcher cannot start with {refused}"
        request = {
            "arguments": [str(argument) for argument in args],
            "env": env,
            "cwd": str(cwd or Path.cwd()),
            "new_session": start_new_session,
        }
        self._connection, theirs = socket.socketpair()
        with theirs:
            # -1: the test's own stream, as Popen does.
            streams = [number if given == -1 else given for number, given in enumerate((p2cread, c2pwrite, errwrite))]
            _launcher().send(request, [*streams, theirs.fileno()])
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        self._child_created = True
        self.pid = int(self._read_line() or 0)
        assert self.pid, "the launcher ended"

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := self._connection.recv(1)):
            line += byte
        return line

    def _internal_poll(self, *_arguments: Any, **_options: Any) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._reap()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            self._reap()
        return self.returncode

    def _reap(self) -> None:
        line = self._read_line()
        self._connection.close()
        assert line, "the launcher ended"
        self.returncode = int(line)


class _Launcher:
    """The other process, as seen from the tests."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._folder = tempfile.mkdtemp(prefix="launcher-")  # short: the address of a socket has 107 bytes at most
        self.address = f"{self._folder}/socket"
        shells = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        shells.bind(self.address)
        shells.listen()
        with theirs, shells:
            command = [sys.executable, "-P", __file__, str(theirs.fileno()), str(shells.fileno())]
            # A session of its own: Ctrl-C ends the tests, and the end of the tests ends the launcher.
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno(), shells.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._started_with = dict(os.environ)

    def can_start(self, program: str, env: dict[str, str]) -> bool:
        """Whether a fork is the same as a start: nothing that imports or the interpreter read differs."""
        return program in PROGRAMS and _is_late(_changed(self._started_with, env))

    def send(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        message = json.dumps(request).encode()
        assert len(message) < _LONGEST_REQUEST
        socket.send_fds(self._socket, [message], descriptors)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()
        shutil.rmtree(self._folder)


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name, _value in before.items() ^ after.items()}


def _is_late(names: set[str]) -> bool:
    return all(name in _NAMES_READ_LATE or name.startswith(_READ_LATE + _READ_LATE_BY_PYTEST) for name in names)


_running: _Launcher | None = None


def _launcher() -> _Launcher:
    global _running
    if _running is None:
        _running = _Launcher()
    return _running


def can_start(program: str, env: dict[str, str]) -> bool:
    """Whether `Launched` does the same as a start of the installed program in this environment."""
    return _launcher().can_start(program, env)


def launcher_address() -> str:
    """Return where the launcher listens for the programs of shells (support.shell_start)."""
    return _launcher().address


def stop_launcher() -> None:
    """End the launcher; what it started runs on."""
    global _running
    if _running is not None:
        _running.close()
        _running = None


# From here on: the launcher itself.


def _import_programs() -> dict[str, Any]:
    import gc
    import importlib
    import pkgutil
    from importlib.metadata import entry_points

    mains = {program: entry_points(group="console_scripts")[program].load() for program in PROGRAMS}
    for name in ("centralcloud", "instance_agent"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # an extra that is not installed: its user says so
                    importlib.import_module(module.name)
    for late in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(late)
    gc.collect()
    gc.freeze()  # the collector of a child then copies no memory that it only reads
    return mains


def _serve(control: socket.socket, shells: socket.socket) -> dict[str, Any] | None:
    """Fork for each request of the tests or of a shell. Return the request in the child; None when the tests have ended."""
    children: dict[int, socket.socket] = {}
    of_shells: set[socket.socket] = set()
    started_with = dict(os.environ)
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control, shells, woken, *of_shells], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _report_exits(children)
        of_shells.intersection_update(children.values())
        for pid, connection in children.items():
            if connection in of_shells.intersection(ready):  # closed: the process that waits for the program was killed
                os.kill(pid, signal.SIGKILL)
        if shells in ready:
            connection, _ = shells.accept()
            message, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST, 3)
            request = json.loads(message)
            if not _is_late(_changed(started_with, request["env"]) - _OF_SHELLS):
                connection.sendall(b"0")
                _close([connection.detach(), *descriptors])
                continue
            of_shells.add(connection)
        elif control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_REQUEST, 4)
            if not message:
                return None
            request = json.loads(message)
            connection = socket.socket(fileno=descriptors.pop())
        else:
            continue
        pid = os.fork()
        if pid:
            children[pid] = connection
            _close(descriptors)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (control, shells, woken, waker, *children.values()):
            other.close()
        if request["new_session"]:
            os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if request["new_session"] and os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C reaches a program only on the terminal that controls it
        with connection:
            connection.sendall(b"%d\n" % os.getpid())
        return request


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _report_exits(children: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        with children.pop(pid) as connection, contextlib.suppress(OSError):  # a test that failed waits for nothing
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(request: dict[str, Any]) -> None:
    """Make this process what the interpreter makes of a program that it starts."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if "umask" in request:
        os.umask(request["umask"])
    sys.argv = request["arguments"]
    # New objects: those of the launcher remember whether its own streams could be sought.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _run(program: Callable[[], Any]) -> None:
    """Run a program to its end.

    The interpreter's own end follows, as always, except its last step: taking apart all modules, which takes longer than
    most commands.
    """
    try:
        sys.exit(program())
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            raise
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def main() -> None:
    mains = _import_programs()
    request = _serve(*(socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3]))
    if request is None:
        return
    _become(request)
    if sys.argv[1:3] == ["-m", "support.sabotage"]:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        del sys.argv[1:3]
        from support.sabotage import main as sabotaged

        _run(sabotaged)
    else:
        _run(mains[Path(sys.argv[0]).name])


if __name__ == "__main__":
    main()
