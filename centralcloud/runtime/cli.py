"""Shared by both command lines: one line for an error, the right exit code, JSON and tables."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.postgres.errors import is_contention, is_outage, summarize_error
from centralcloud.runtime.wording import printable

_WRONG_USAGE = 2
_FAILED = 1


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


def new_app(purpose: str, settings: str) -> typer.Typer:
    """Create an empty command line; its help states the `purpose` of the program and the `settings` that it needs."""
    return typer.Typer(
        help=f"{purpose}\n\n{settings} Exit codes: 0 done, 1 failed, 2 wrong usage or settings.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run_app(app: typer.Typer, name: str) -> None:
    """Run a command line and end the process: 0 done, 1 failed work, 2 wrong usage or settings, 130 interrupted.

    A mistake of the operator is one line on standard error. A traceback means a bug in the program.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the rest of the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        code = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except CentralCloudError as error:
        code = _print_error(name, str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output is gone. Python must not report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _FAILED
    except OSError as error:
        # Usually a full disk behind our output. Python must not report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _print_error(name, str(error), _FAILED)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a class of typer's own copy of click
            typer.echo(str(error), err=True)
            code = _WRONG_USAGE
        elif (usage := _usage_message(error)) is not None:
            code = _print_error(name, usage, _WRONG_USAGE)
        elif isinstance(error, psycopg.Error):
            code = _print_error(name, f"{_describe(error)}: {summarize_error(error)}", _FAILED)
        else:
            raise
    sys.exit(code if isinstance(code, int) else 0)


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output: decimals as numbers, times as ISO 8601."""
    print(json.dumps(value, default=_jsonable, allow_nan=False))  # noqa: T201


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows as a table: wrapped to fit a terminal, elsewhere one line per row. Print the line `empty` without rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        print(empty)  # noqa: T201
    elif sys.stdout.isatty():
        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in cells:
            table.add_row(*row)
        Console().print(table, markup=False, highlight=False)
    else:  # for grep and awk
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in (list(columns), *cells):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(line.rstrip())  # noqa: T201


def print_rows(rows: list[dict[str, Any]], columns: Mapping[str, Callable[[Any], Any] | None], *, empty: str) -> None:
    """Print some `columns` of rows as a table; a column may have a function that formats its values."""
    print_table(
        list(columns),
        ([convert(row[name]) if convert else row[name] for name, convert in columns.items()] for row in rows),
        empty=empty,
    )


def print_checkup(results: Iterable[NamedCheckResult], *, as_json: bool) -> None:
    """Print each check of a doctor when it is done.

    Raises:
        typer.Exit: with code 1, when a check failed.
    """
    done = []
    for result in results:
        done.append(result)
        if not as_json:
            print(f"{result.verdict:<4}  {result.check}: {result.found}", flush=True)  # noqa: T201
            if result.advice:
                print(f"      {result.advice}", flush=True)  # noqa: T201
    failed = any(result.verdict == Verdict.FAIL for result in done)
    if as_json:
        print_json({"ok": not failed, "checks": [result._asdict() for result in done]})
    if failed:
        raise typer.Exit(_FAILED)


def _describe(error: psycopg.Error) -> str:
    if is_contention(error):
        return "blocked by another transaction (`centralcloud doctor` names it)"
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "the database is read-only"
    return "the database is unavailable" if is_outage(error) else "the database rejects the statement"


def _usage_message(error: Exception) -> str | None:
    """Return the text of a usage error; None for any other error. Typer brings its own copy of click."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path.split(" ", 1)[1:] if context else []
    hint = " ".join(["try", context.command_path if command else context.info_name, "--help"]) if context else ""
    return f"{summarize_error(Exception(format_message()))}{f' ({hint})' if hint else ''}"


def _print_error(name: str, message: str, code: int) -> int:
    print(f"{name}: {message}", file=sys.stderr)  # noqa: T201
    return code


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))
