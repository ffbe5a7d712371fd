"""Output on the terminal: tables and JSON documents."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from centralcloud.runtime.wording import printable

#: The option of every command that shows something.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


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
