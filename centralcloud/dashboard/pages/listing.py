"""Long lists on pages: one page of rows, and the addresses of the others. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

_T = TypeVar("_T")


class Pager(NamedTuple):
    """Where a page of rows stands among the others. Rows count from 1; an address is None where there is no page."""

    first: int
    last: int
    total: int
    newer: str | None
    older: str | None


def address(path: str, query: Mapping[str, str], /, anchor: str = "", **changes: Any) -> str:
    """Return an address with the parameters of the query; `changes` replaces them, and removes those with None or ""."""
    kept = {name: value for name, value in query.items() if name not in changes}
    given = {name: str(value) for name, value in changes.items() if value is not None and value != ""}
    parameters = urlencode({**kept, **given})
    return f"{path}{'?' if parameters else ''}{parameters}{anchor}"


def page_of(
    rows: Sequence[_T], query: Mapping[str, str], path: str, size: int, anchor: str = ""
) -> tuple[Sequence[_T], Pager]:
    """Return the rows of the page that the parameter ``page`` asks for, from 1; one that does not exist is the nearest."""
    last_page = max(1, -(-len(rows) // size))
    number = min(max(1, whole(query.get("page")) or 1), last_page)
    start = (number - 1) * size
    shown = rows[start : start + size]
    newer = address(path, query, anchor, page=number - 1 if number > 2 else None) if number > 1 else None
    older = address(path, query, anchor, page=number + 1) if number < last_page else None
    return shown, Pager(start + 1 if shown else 0, start + len(shown), len(rows), newer, older)


def whole(text: str | None) -> int | None:
    """Return a number from a parameter, 0 to 10^18; None where it is not one."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None
