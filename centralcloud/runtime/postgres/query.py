"""SQL files as objects: a query is loaded once from the package that uses it, and runs on any connection."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

import psycopg
from psycopg import rows

_Row = TypeVar("_Row")
_Connection: TypeAlias = psycopg.Connection[Any]
_Parameters: TypeAlias = Mapping[str, Any]

#: Rows that libpq passes on at a time to a loop over `each`; older versions of libpq pass on one.
_ROWS_IN_MEMORY: Final = 1000

#: Types of a single column; a query whose row is one of them returns the bare value.
_SCALARS = (bool, int, float, str, datetime)


class Query(Generic[_Row]):
    """The statement in ``sql/<name>.sql`` of a package, with psycopg's named parameters in it.

    Attributes:
        name: of the file, without its ending: a verb and its object.
        text: the statement.
    """

    @overload
    def __init__(self: "Query[tuple[Any, ...]]", package: str | None, name: str) -> None: ...
    @overload
    def __init__(
        self: "Query[dict[str, Any]]", package: str | None, name: str, *, row: type[dict[Any, Any]]
    ) -> None: ...
    @overload
    def __init__(self, package: str | None, name: str, *, row: type[_Row]) -> None: ...

    def __init__(self, package: str | None, name: str, *, row: Any = tuple) -> None:
        """Load the statement.

        Args:
            package: usually `__package__` of the module that uses the query.
            row: what a row becomes: `tuple`, `dict` (by column), `int`, `float`, `str`, `bool` or `datetime` (the value of
                the only column), or a class with a keyword argument for each column.
        """
        self.name = name
        self.text = files(package or "").joinpath("sql", f"{name}.sql").read_bytes()
        self._row_factory = _row_factory(row)

    def one(self, connection: _Connection, parameters: _Parameters | None = None, *, binary: bool = False) -> _Row:
        """Return the only row of the query.

        Raises:
            RuntimeError: it returns none. Use `maybe` for a query that may return none.
        """
        with self._executed(connection, parameters, binary=binary) as cursor:
            row: Any = cursor.fetchone()
            if row is None and cursor.rowcount == 0:  # the value of a row of one column may be None, too
                raise RuntimeError(f"{self.name}.sql: found no row, expected one")
            return row  # type: ignore[no-any-return]

    def maybe(
        self, connection: _Connection, parameters: _Parameters | None = None, *, binary: bool = False
    ) -> _Row | None:
        """Return the first row of the query; None when it has none."""
        with self._executed(connection, parameters, binary=binary) as cursor:
            row: _Row | None = cursor.fetchone()
            return row

    def all(
        self, connection: _Connection, parameters: _Parameters | None = None, *, binary: bool = False
    ) -> list[_Row]:
        """Return every row of the query."""
        with self._executed(connection, parameters, binary=binary) as cursor:
            return cursor.fetchall()

    def each(self, connection: _Connection, parameters: _Parameters | None = None) -> Iterator[_Row]:
        """Yield every row of the query, which is one statement, and keep only some of them in memory.

        The connection can do nothing else until the last row, or the end of the loop. An error of the server may come in
        between.
        """
        size = _ROWS_IN_MEMORY if psycopg.capabilities.has_stream_chunked() else 1
        with connection.cursor(row_factory=self._row_factory) as cursor:
            yield from cursor.stream(self.text, parameters, size=size)

    def run(self, connection: _Connection, parameters: _Parameters | None = None) -> int:
        """Execute the statement for its effect; returns the number of affected rows."""
        return connection.execute(self.text, parameters).rowcount

    def run_each(self, connection: _Connection, parameters: Iterable[_Parameters]) -> None:
        """Execute the statement once for each set of parameters, in one pipeline."""
        with connection.cursor() as cursor:
            cursor.executemany(self.text, parameters)

    def one_each(self, connection: _Connection, parameters: Iterable[_Parameters]) -> list[_Row]:
        """As `one` for each set of parameters, in one pipeline: the rows in the order of the parameters."""
        with connection.cursor(row_factory=self._row_factory) as cursor:
            cursor.executemany(self.text, parameters, returning=True)
            found: list[_Row] = []
            while cursor.pgresult is not None:
                found.extend(cursor.fetchall())
                if not cursor.nextset():
                    break
            return found

    def _executed(
        self, connection: _Connection, parameters: _Parameters | None, *, binary: bool
    ) -> psycopg.Cursor[Any]:
        """Return a cursor on the rows of the statement, or of the last one of several."""
        cursor = connection.cursor(binary=binary, row_factory=self._row_factory)
        cursor.execute(self.text, parameters)
        while cursor.nextset():
            pass
        return cursor


def _row_factory(row: Any) -> Callable[[Any], Any]:
    if row is tuple:
        return rows.tuple_row
    if row is dict:
        return rows.dict_row
    if row in _SCALARS:
        return rows.scalar_row
    return rows.class_row(row)
