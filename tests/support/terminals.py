"""Run a program on a terminal, as a person does."""

import fcntl
import os
import pty
import struct
import termios
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from support.commands import BIN, environment
from support.launcher import Launched, can_start


class OnTerminal(NamedTuple):
    """The exit code of a program, and everything that the terminal showed."""

    code: int
    screen: str


class TerminalProgram:
    """A program that runs on a terminal of its own, with `columns` columns."""

    def __init__(self, program: str, *arguments: str, env: Mapping[str, str], columns: int = 80) -> None:
        self._keyboard, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        variables = {name: value for name, value in environment(**env).items() if name not in ("COLUMNS", "LINES")}
        variables["TERM"] = "xterm"
        assert can_start(program, variables)
        # The launcher makes the terminal the one that controls the program.
        self._process = Launched(
            [BIN / program, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=variables,
            start_new_session=True,
        )
        os.close(terminal)
        self._shown = b""

    def type(self, keys: bytes, *, after: bytes) -> None:
        """Press keys once the terminal shows `after`."""
        while after not in self._shown:
            if not (more := self._read()):
                raise AssertionError(f"the program ended without {after!r}: {self._shown!r}")
            self._shown += more
        os.write(self._keyboard, keys)

    def end(self) -> OnTerminal:
        """Wait for the end of the program."""
        while more := self._read():
            self._shown += more
        os.close(self._keyboard)
        return OnTerminal(self._process.wait(timeout=60), self._shown.decode().replace("\r\n", "\n"))

    def _read(self) -> bytes:
        try:
            return os.read(self._keyboard, 65_536)
        except OSError:  # the program has ended
            return b""


def control_characters(text: str) -> set[str]:
    """Return the characters of `text`, line feeds apart, that move a cursor, end a line, or are invisible."""
    return {each for each in text if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")}
