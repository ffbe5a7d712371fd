"""Output on the terminal: tables, lines and JSON documents.

Every text goes through `printable` here: a name or message of others must not clear the screen or forge a line. Commands
print by these functions only.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from centralcloud.runtime.terminal.emphasis import Style, emphasize
from centralcloud.runtime.terminal.lines import Line, print_lines, terminal_width
from centralcloud.runtime.terminal.results import printing
from centralcloud.runtime.terminal.streams import as_printed
from centralcloud.runtime.terminal.table_layout import plain_lines, table_lines
from centralcloud.runtime.wording import printable, printable_json

#: The option of every command that shows something.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


#: Digits of a number in a JSON document: fewer than a float has, so that 4.2 - 4.5 is -0.3.
_DIGITS: Final = 12
_INDENT: Final = "  "


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output: decimals as numbers, times as ISO 8601, numbers without rounding errors."""
    text = _json_text(value)
    with printing(text):
        print(text)  # noqa: T201


def print_json_list(values: Iterable[Any]) -> None:
    """Print `values` as `print_json` prints a list, but each as it comes: all together they may not fit into memory."""
    separator = "["
    for value in values:
        print(separator, _json_text(value), sep="", end="")  # noqa: T201
        separator = ", "
    print("[]" if separator == "[" else "]")  # noqa: T201


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    empty: str,
    texts: Collection[str] = (),
    heading: str | None = None,
) -> None:
    """Print rows as a table: fitted to the width of a terminal, elsewhere one line per row. Without rows, print `empty`.

    Args:
        texts: columns with sentences. On a terminal that is too narrow for them, they stand below their row.
        heading: the column that stands over its rows on a terminal that is too narrow even then; without it, the first one.
    """
    columns = [_cell(column) for column in columns]  # rules of others, in some tables
    texts = [_cell(text) for text in texts]
    heading = None if heading is None else _cell(heading)
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        lines: Iterable[str] = [empty]
    elif sys.stdout.isatty():
        lines = table_lines(columns, cells, terminal_width(), texts=texts, heading=heading, emphasis=_title)
    else:  # for grep and awk
        lines = plain_lines(columns, cells)
    for line in lines:
        with printing(line):
            print(line)  # noqa: T201


def print_rows(
    rows: list[dict[str, Any]],
    columns: Mapping[str, Callable[[Any], Any] | None],
    *,
    empty: str,
    texts: Collection[str] = (),
    heading: str | None = None,
) -> None:
    """Print some `columns` of rows as a table; a column may have a function that formats its values, except None."""
    print_table(
        list(columns),
        (
            [
                row[name] if convert is None or row[name] is None else convert(row[name])
                for name, convert in columns.items()
            ]
            for row in rows
        ),
        empty=empty,
        texts=texts,
        heading=heading,
    )


def print_text(text: str) -> None:
    """Print a sentence: on one line, or wrapped between words to the width of a terminal, the rest indented."""
    with printing(printable(text)):
        print_lines([Line(text)], indent=_INDENT)


def _json_text(value: Any) -> str:
    return printable_json(json.dumps(_rounded(value), default=_jsonable, allow_nan=False))


def print_line(text: str, *, err: bool = False) -> None:
    """Print a text on one line, however long it is; on standard error with `err`."""
    text = printable(text)
    if err:
        print(text, file=sys.stderr)  # noqa: T201
        return
    with printing(text):
        print(text)  # noqa: T201


def print_document(text: str) -> None:
    """Print a text of several lines, such as a message in JSON."""
    for line in text.split("\n"):
        print_line(line)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _rounded(value: Any) -> Any:
    """Return a JSON value with every float rounded to the digits that count."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def _title(line: str) -> str:
    return emphasize(line, Style.TITLE)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().isoformat(" ", "seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        value = json.dumps(value, default=_jsonable, ensure_ascii=False)
    if isinstance(value, int):
        return f"{value:,}"
    return as_printed(printable(str(value)))
