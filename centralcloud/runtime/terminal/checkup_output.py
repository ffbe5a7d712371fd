"""Output of both doctors: a line that shows the progress, then the results, the worst first."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import typer

from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.terminal.emphasis import Style, emphasize
from centralcloud.runtime.terminal.output import print_json
from centralcloud.runtime.wording import counted, printable

_STYLES: Final = {Verdict.OK: Style.GOOD, Verdict.WARN: Style.WARNING, Verdict.FAIL: Style.ERROR}
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
        for line in _lines(results):
            print(line)  # noqa: T201
    if failed:
        raise typer.Exit(1)


def _lines(results: Sequence[NamedCheckResult]) -> Iterator[str]:
    for result in results:
        if result.verdict == Verdict.SKIP:
            continue
        verdict = emphasize(result.verdict, _STYLES[result.verdict])
        yield f"{verdict}{' ' * (6 - len(result.verdict))}{result.check}: {printable(result.found)}"
        if result.advice:
            yield f"      {printable(result.advice)}"
        if prevented := [other.check for other in results if other.cause == result.check]:
            need = f"{counted(len(prevented), 'further check')} {'needs' if len(prevented) == 1 else 'need'} this"
            yield f"      {need}: {', '.join(prevented)}"
    numbers = {verdict: sum(result.verdict == verdict for result in results) for verdict in Verdict}
    shown = [f"{numbers[verdict]} {verdict}" for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.OK, Verdict.SKIP)]
    yield f"{counted(len(results), 'check')}: {', '.join(each for each in shown if not each.startswith('0 '))}"
