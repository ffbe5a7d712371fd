"""Questions on the terminal."""

import getpass
import sys
from collections.abc import Sequence

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.wording import printable


class NotConfirmedError(CentralCloudError):
    """The operator did not answer a question with yes."""


class InterruptedAtPromptError(CentralCloudError):
    """The operator pressed Ctrl-C instead of an answer."""

    exit_code = 130


def confirm(question: str, *, yes: bool, otherwise: str, concerned: Sequence[str] = ()) -> None:
    """Ask a question on the terminal; return if it is answered with yes, or if `yes` is given.

    The question is printed to standard error: standard output may be a pipe.

    Args:
        otherwise: the effect of any other answer, for example "nothing was purged".
        concerned: the things that the question is about, each a line above it.

    Raises:
        NotConfirmedError: the answer is no, or the input ends.
        InterruptedAtPromptError: Ctrl-C was pressed.
        SettingsError: no terminal can answer.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        asked = f" to answer: {printable(question)} ({printable('; '.join(concerned))})" if concerned else ""
        raise SettingsError(f"--yes is required: standard input is not a terminal{asked}")
    try:
        for each in concerned:
            print(f"  {printable(each)}", file=sys.stderr)  # noqa: T201
        answer = ""
        while answer not in ("y", "yes", "n", "no"):
            print(f"{printable(question)} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201
            line = sys.stdin.readline()
            if not line.endswith("\n"):  # Ctrl-D: the cursor is still behind the question
                print(file=sys.stderr)  # noqa: T201
            answer = line.strip().lower() or "n"
    except KeyboardInterrupt:
        print(file=sys.stderr)  # noqa: T201
        raise InterruptedAtPromptError(f"interrupted: {otherwise}") from None
    if answer not in ("y", "yes"):
        raise NotConfirmedError(otherwise)


def ask_password(owner: str, where: str, otherwise: str) -> str:
    """Ask for a password twice on the terminal, without showing it; from a pipe, read one line for each password.

    Args:
        owner: whose password it is.
        where: the begin of the message about two different ones.
        otherwise: the effect of Ctrl-C, for example "nothing was granted".

    Raises:
        SettingsError: the two are not the same.
        InterruptedAtPromptError: Ctrl-C was pressed, or the input has ended.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return "" if sys.stdin is None else sys.stdin.readline()
    try:
        password, again = (
            getpass.getpass(f"{text} of {printable(owner)}: ") for text in ("Password", "Once more, password")
        )
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)  # noqa: T201
        raise InterruptedAtPromptError(f"interrupted: {otherwise}") from None
    if password != again:
        raise SettingsError(f"{where}found two different passwords, expected the same one twice")
    return password
