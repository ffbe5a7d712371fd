"""Arrays of PostgreSQL as arrays of numpy, without a Python object for each value."""

from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from centralcloud.runtime.arrays import np
from centralcloud.runtime.postgres.query import Query

#: The binary form of an array of one dimension: dimensions, flags, type, length and first index; then each value after its
#: length.
_HEAD_BYTES: Final = 20
_BIGINTS: Final = psycopg.adapters.types["int8"].array_oid
_DOUBLES: Final = psycopg.adapters.types["float8"].array_oid


class _Bytes(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_arrays(connection: psycopg.Connection[Any], query: Query[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the only row of a query whose columns are arrays of bigint or double precision without nulls, or bytea.

    A column without a value is an array of no values, or no bytes.
    """
    with connection.cursor(binary=True) as cursor:
        for each in (_BIGINTS, _DOUBLES):
            cursor.adapters.register_loader(each, _Bytes)
        cursor.execute(query.text, parameters)
        row, columns = cursor.fetchone(), cursor.description
    assert row is not None
    assert columns is not None
    return {column.name: _values(value, column.type_code) for column, value in zip(columns, row, strict=True)}


def _values(value: bytes | None, type_code: int) -> Any:
    if type_code not in (_BIGINTS, _DOUBLES):
        return value or b""
    sent, kept = (">i8", np.int64) if type_code == _BIGINTS else (">f8", np.float64)
    if value is None:
        return np.zeros(0, dtype=kept)
    pair = np.dtype([("length", ">i4"), ("value", sent)])
    return np.frombuffer(value, pair, offset=_HEAD_BYTES)["value"].astype(kept)
