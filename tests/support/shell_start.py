"""The programs as a shell of the tests finds them: each command from its file once in a run of the tests, then forked.

The scripts of support.shell_programs run `main`, which asks the launcher to fork the program, hands on signals, and ends
as the program does. A start costs a tenth of one with all imports.

Imports nothing but what Python starts quickly with: it runs at each start.
"""
# ruff: noqa: PTH109, PTH118, PTH119

import json
import os
import signal
import socket
import sys

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: Words that tell commands of a program apart: `scores explain`.
_MOST_WORDS = 2


def main(program: str, launcher: str, started: str) -> None:
    """Run the program with the arguments of this process, and end as it ends.

    Args:
        program: the file of the installed program.
        launcher: the address at which the launcher listens.
        started: a folder that all processes of the tests share, for a file for each command that was started.
    """
    arguments = [program, *sys.argv[1:]]
    # A file that only this process has open cannot be handed on, and the first start is with all imports.
    if _is_first(arguments, started) or any("/fd/" in each for each in arguments):
        os.execv(program, arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "arguments": arguments,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "new_session": False,
        "umask": umask,
    }
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(launcher)
    socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
    if not (pid := int(connection.recv(100) or 0)):  # a start is not the same as a fork here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execv(program, arguments)
    for each in _SIGNALS:
        signal.signal(each, lambda number, _frame: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    code = int(connection.recv(100))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _is_first(arguments: list[str], started: str) -> bool:
    words = [os.path.basename(arguments[0])]
    for each in arguments[1 : _MOST_WORDS + 1]:
        if each.startswith("-"):
            break
        words.append(each.replace("/", "_"))
    try:
        os.close(os.open(os.path.join(started, " ".join(words)[:200]), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
