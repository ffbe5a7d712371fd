"""Arrays of PostgreSQL as arrays of numpy, without a Python object for each value."""

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from centralcloud.runtime.arrays import np
from centralcloud.runtime.postgres.query import Query

#: The binary form of an array of one dimension: 20 bytes of dimensions, type and length; then each value after its length.
_HEAD_BYTES = 20


class _BinaryLoader(Loader):
    format = Format.BINARY


class _Numbers(_BinaryLoader):
    def load(self, data: Buffer) -> Any:
        return bytes(data)


def read_arrays(connection: psycopg.Connection[Any], query: Query[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the only row of a query whose columns are arrays of bigint or double precision without nulls, or bytea.

    A column without a value is an array of no values, or no bytes.
    """
    with connection.cursor(binary=True) as cursor:
        cursor.adapters.register_loader("int8[]", _Numbers)
        cursor.adapters.register_loader("float8[]", _Numbers)
        cursor.execute(query.text, parameters)
        row = cursor.fetchone()
        columns = cursor.description
    assert row is not None
    assert columns is not None
    return {column.name: _values(value, column.type_code) for column, value in zip(columns, row, strict=True)}


def _values(value: Any, type_code: int) -> Any:
    types = psycopg.adapters.types
    of_type = {types["int8"].array_oid: (">i8", np.int64), types["float8"].array_oid: (">f8", np.float64)}
    if type_code not in of_type:
        return b"" if value is None else bytes(value)
    sent, kept = of_type[type_code]
    if value is None:
        return np.zeros(0, dtype=kept)
    return np.frombuffer(value, np.dtype([("length", ">i4"), ("value", sent)]), offset=_HEAD_BYTES)["value"].astype(
        kept
    )
