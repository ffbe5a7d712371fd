"""The COPY of a batch's events into routing_records, column by column.

Every column costs time, also an empty one: a column without a value in the batch is not sent. Binary COPY converts nothing:
the types must be exact. Values whose binary form is known are sent as bytes, which is faster than an adapter of psycopg.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import Any, Final, NamedTuple

import psycopg
from msgspec.structs import astuple
from psycopg import sql

from centralcloud.contracts.event_fields import COMMON_COLUMNS, EVENT_ATTRIBUTES, REQUEST_COLUMNS
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.ingest.batch import Deduplicated, ReceivedEvent
from centralcloud.store.swallowed_rows import require_stored

#: The columns of an event in the order of its attributes, and those that ingest adds. `plan`, the last attribute, is not in
#: the records. `created_at` has its default, the start of the transaction, which decides the partition.
_COLUMNS: Final = (*COMMON_COLUMNS, *REQUEST_COLUMNS)
_ADDED_COLUMNS: Final = (("slice_no", "int8"), ("msg_id", "int8"), ("first_of_decision", "bool"))
_CAPABILITIES: Final = EVENT_ATTRIBUTES.index("capabilities_required")
_EXTRA: Final = EVENT_ATTRIBUTES.index("extra")
_REQUEST_ID: Final = EVENT_ATTRIBUTES.index("request_id")
_NO_REQUEST: Final = (None,) * (len(EVENT_ATTRIBUTES) - len(COMMON_COLUMNS))
#: Types of columns whose values are sent in their binary form.
_SENT_AS_BYTES: Final = frozenset({"text[]", "jsonb", "uuid"})
#: The binary form of jsonb is its version and the text.
_JSONB_VERSION: Final = b"\x01"
#: The binary form of an array: dimensions, flags and type; length and first index; then each value with its length.
_ARRAY_HEAD: Final = Struct("!iiI")
_ARRAY_BOUNDS: Final = Struct("!ii")
_LENGTH: Final = Struct("!i")
_TEXT_OID: Final = 25


class _Copy(NamedTuple):
    """A COPY of some columns: the statement, and the types of the columns."""

    statement: sql.Composed
    types: tuple[str, ...]


def copy_records(
    connection: psycopg.Connection[Any], deduplicated: Deduplicated, slice_no: int, *, of_requests: bool
) -> None:
    """Write the accepted events, at least one, as records of a slice. `of_requests`: at least one is a `RequestEvent`.

    Raises:
        RowsSwallowedError: the table has discarded some of them.
    """
    accepted = deduplicated.accepted
    columns = _columns_of(accepted, of_requests)
    kept = tuple([number for number, column in enumerate(columns) if not _is_empty(column)])
    first = deduplicated.first_of_decision
    added = (
        repeat(slice_no, len(accepted)),
        [each.msg_id for each in accepted],
        [None if each.event.decision_id is None else each.msg_id in first for each in accepted],
    )
    statement, types = _copy_of(kept)
    cursor = connection.cursor()
    with cursor.copy(statement) as copy:
        copy.set_types(types)
        write_row = copy.write_row
        for row in zip(*[columns[number] for number in kept], *added, strict=True):
            write_row(row)
    require_stored("routing_records", written=len(accepted), stored=cursor.rowcount)


def _columns_of(accepted: Sequence[ReceivedEvent], of_requests: bool) -> list[Sequence[Any]]:
    """Return the values of each of `_COLUMNS`; only the common ones where no event is of a request."""
    if of_requests:
        rows = [
            astuple(each.event) if type(each.event) is RequestEvent else (*astuple(each.event), *_NO_REQUEST)
            for each in accepted
        ]
    else:
        rows = [astuple(each.event) for each in accepted]
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    columns[_CAPABILITIES] = list(map(_text_array, columns[_CAPABILITIES]))
    columns[_EXTRA] = [None if each.extra is None else _JSONB_VERSION + each.extra for each in accepted]
    if of_requests:
        del columns[len(_COLUMNS) :]
        columns[_REQUEST_ID] = [each and bytes.fromhex(each.replace("-", "")) for each in columns[_REQUEST_ID]]
    return columns


def _is_empty(column: Sequence[Any]) -> bool:
    return column[0] is None and column.count(None) == len(column)


@lru_cache(maxsize=256)
def _copy_of(kept: tuple[int, ...]) -> _Copy:
    """Return the COPY of the columns of an event at some positions, and of those that ingest adds."""
    columns = (*(_COLUMNS[number] for number in kept), *_ADDED_COLUMNS)
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
    statement = sql.SQL("COPY public.routing_records ({}) FROM STDIN (FORMAT BINARY)").format(names)
    types = tuple("bytea" if column_type in _SENT_AS_BYTES else column_type for _, column_type in columns)
    return _Copy(statement, types)


@lru_cache(maxsize=4096)
def _text_array(values: tuple[str, ...]) -> bytes:
    """Return an array of text in its binary form.

    psycopg encodes each array anew, which takes longer than the rest of the row; events repeat few of them.
    """
    if not values:
        return _ARRAY_HEAD.pack(0, 0, _TEXT_OID)
    parts = [_ARRAY_HEAD.pack(1, 0, _TEXT_OID), _ARRAY_BOUNDS.pack(len(values), 1)]
    for value in values:
        encoded = value.encode()
        parts += [_LENGTH.pack(len(encoded)), encoded]
    return b"".join(parts)
