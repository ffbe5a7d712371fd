"""`centralcloud publish`: routing events from a file."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.process.shutdown import SignalledInterrupt, interrupted_by
from centralcloud.runtime.terminal.emphasis import rich_console
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_text
from centralcloud.runtime.terminal.results import result_matters
from centralcloud.runtime.wording import counted

if TYPE_CHECKING:
    from centralcloud.ingest.file_publisher import Refusal

#: Refused lines that are listed one by one.
_MOST_LISTED: Final = 20


def publish(
    file: Annotated[str, typer.Argument(help="JSON lines, one routing event a line; - reads standard input.")],
    json_output: AsJson = False,
) -> None:
    """Send routing events from a file.

    They go to the queue model_routing_decisions. A line that is not a JSON object, or that PostgreSQL refuses, is
    reported with its number, up to 20 of them. The other lines are sent, and the exit code is 1.
    """
    from centralcloud.ingest.file_publisher import bounded_lines, publish_lines

    settings = read_settings()
    result_matters()
    report = _RefusalReport(file)
    with _open(file) as lines, open_database(settings, "publish") as database, _progress(file) as advance:
        try:
            with interrupted_by(signal.SIGTERM, signal.SIGHUP):
                published = publish_lines(
                    database,
                    bounded_lines(lines),
                    batch_size=settings.batch_size,
                    batch_bytes=settings.batch_bytes,
                    on_refusal=report,
                    on_progress=advance,
                )
        except BaseException as error:
            # The lines to continue from without sending twice: a batch that was not confirmed may have arrived.
            print_line(
                f"stopped after line {advance.lines}: {counted(advance.sent, 'event')} sent; "
                f"the next {settings.batch_size} lines may or may not have been sent",
                err=True,
            )
            if isinstance(error, SignalledInterrupt):
                raise typer.Exit(error.exit_code) from None
            raise
        finally:
            report.finish()
    if json_output:
        print_json({"sent": published.sent, "refused": published.refused, "refused_lines": report.listed})
        raise typer.Exit(1 if published.refused else 0)
    refused = f", {counted(published.refused, 'line')} refused" if published.refused else ""
    print_text(f"sent {counted(published.sent, 'event')} to model_routing_decisions{refused}")
    if published.refused:
        raise typer.Exit(1)


class _RefusalReport:
    """Prints refused lines on standard error: the first ones in full, then how many more there are."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._more = 0
        self.listed: list[dict[str, Any]] = []

    def __call__(self, refusal: "Refusal") -> None:
        if len(self.listed) == _MOST_LISTED:
            self._more += 1
            return
        self.listed.append({"line": refusal.number, "reason": refusal.reason})
        print_line(f"{self._file}: line {refusal.number}: {refusal.reason}", err=True)

    def finish(self) -> None:
        if self._more:
            print_line(f"{self._file}: {counted(self._more, 'more line')} refused, not listed", err=True)


@contextmanager
def _open(file: str) -> Iterator[BinaryIO]:
    """Open the input, and check by its first bytes that it may hold JSON lines.

    Raises:
        SettingsError: it cannot be read, or holds another format.
    """
    if file == "-":
        if sys.stdin is None:
            raise SettingsError("cannot read standard input: it is closed")
        _check_format(file, sys.stdin.buffer)
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None
    with stream:
        _check_format(file, stream)
        yield stream


def _check_format(file: str, stream: BinaryIO) -> None:
    from centralcloud.ingest.input_format import wrong_format

    if isinstance(stream, BufferedReader) and (problem := wrong_format(stream.peek(), file)):
        raise SettingsError(problem)


class _Advance:
    """Moves the progress bar by the size of each batch, and counts lines and events."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("sending", total=total)
        self.lines = 0
        self.sent = 0

    def __call__(self, lines: int, size: int, sent: int) -> None:
        self.lines += lines
        self.sent += sent
        self._progress.update(self._task, advance=size, description=f"{self.lines:,} lines")


@contextmanager
def _progress(file: str) -> Iterator[_Advance]:
    """Show a progress bar on a terminal, nothing elsewhere."""
    total = None if file == "-" else Path(file).stat().st_size
    console = rich_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield _Advance(progress, total)
