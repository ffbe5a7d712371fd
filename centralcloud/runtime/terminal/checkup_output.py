"""Output of both doctors: a line that shows the progress, then the results, the worst first."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import typer

from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.terminal.emphasis import Style
from centralcloud.runtime.terminal.lines import Line, print_lines
from centralcloud.runtime.terminal.output import print_json
from centralcloud.runtime.wording import counted, printable

_STYLES: Final = {Verdict.OK: Style.GOOD, Verdict.WARN: Style.WARNING, Verdict.FAIL: Style.ERROR}
_INDENT: Final = " " * 6
_ERASE_LINE: Final = "\r\x1b[K"


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Show on a terminal which check is running: a slow database may take seconds for one. Yields what shows a check's name.

    The line is written to standard error, and removed at the end. Elsewhere nothing is shown.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda check: print(f"{_ERASE_LINE}checking: {check}", end="", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        print(_ERASE_LINE, end="", file=sys.stderr, flush=True)  # noqa: T201


def print_checkup(results: Sequence[NamedCheckResult], *, as_json: bool) -> None:
    """Print the results of a doctor's checks. A check that another one prevented is named below that one.

    Raises:
        typer.Exit: with code 1, when a check failed.
    """
    failed = any(result.verdict == Verdict.FAIL for result in results)
    if as_json:
        print_json({"ok": not failed, "checks": [result._asdict() for result in results]})
    else:
        print_lines(checkup_lines(results), indent=_INDENT)
    if failed:
        raise typer.Exit(1)


def checkup_lines(results: Sequence[NamedCheckResult]) -> Iterator[Line]:
    """Yield the results: a line for each check with its verdict, what to do and what it prevented below it, and a sum."""
    for result in results:
        if result.verdict == Verdict.SKIP:
            continue
        found = f"{result.verdict:<{len(_INDENT)}}{result.check}: {printable(result.found)}"
        yield Line(found, _STYLES[result.verdict], len(result.verdict))
        if result.advice:
            yield Line(f"{_INDENT}{printable(result.advice)}")
        if prevented := [other.check for other in results if other.cause == result.check]:
            need = f"{counted(len(prevented), 'further check')} {'needs' if len(prevented) == 1 else 'need'} this"
            yield Line(f"{_INDENT}{need}: {', '.join(prevented)}")
    numbers = {verdict: sum(result.verdict == verdict for result in results) for verdict in Verdict}
    shown = [f"{numbers[verdict]} {verdict}" for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.OK, Verdict.SKIP)]
    yield Line(f"{counted(len(results), 'check')}: {', '.join(each for each in shown if not each.startswith('0 '))}")
