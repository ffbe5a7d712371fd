"""Questions on the terminal."""

import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.terminal.prompts import confirm


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Return a function that types an answer on the terminal that standard input is."""
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield lambda keys: os.write(keyboard, keys)
    os.close(keyboard)


@pytest.mark.parametrize("keys", [b"y\n", b"Yes\n", b"what?\ny\n"])
def test_yes_goes_on(answer, keys: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    answer(keys)
    confirm("Remove it?", yes=False, otherwise="nothing was removed")
    output = capsys.readouterr()
    assert (output.out, output.err.startswith("Remove it? [y/N]: ")) == ("", True)


@pytest.mark.parametrize("keys", [b"n\n", b"\n", b"No\n", b"\x04"])
def test_any_other_answer_and_the_end_of_the_input_do_not(answer, keys: bytes) -> None:
    answer(keys)
    with pytest.raises(CentralCloudError, match=r"^nothing was removed$") as error:
        confirm("Remove it?", yes=False, otherwise="nothing was removed")
    assert error.value.exit_code == 1


def test_ctrl_c_is_an_interruption(answer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Keyboard())
    with pytest.raises(CentralCloudError, match=r"^interrupted: nothing was removed$") as error:
        confirm("Remove it?", yes=False, otherwise="nothing was removed")
    assert error.value.exit_code == 130


def test_without_a_terminal_yes_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as stdin:
        for each in (stdin, None):
            monkeypatch.setattr(sys, "stdin", each)
            with pytest.raises(CentralCloudError, match=r"^--yes is required") as error:
                confirm("Remove it?", yes=False, otherwise="nothing was removed")
            assert error.value.exit_code == 2
            confirm("Remove it?", yes=True, otherwise="nothing was removed")
