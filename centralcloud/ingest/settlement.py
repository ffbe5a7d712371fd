"""One batch, one transaction: off the queue, into records, metrics, accounts and dead letters.

A crash at any point rolls the pop back: nothing is lost, nothing is counted twice, and there is no visibility timeout to
wait for. The order of locks is the same everywhere (slice, decisions, pairs, each sorted, then the accounts), so replicas
wait for each other instead of deadlocking.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from msgspec.structs import astuple
from psycopg.types.json import Jsonb

from centralcloud.contracts import RoutingEvent
from centralcloud.contracts.json_text import encode_array
from centralcloud.contracts.names import MAX_MESSAGE_BYTES
from centralcloud.ingest.batch import Admission, Batch, DeadLetter, Message, ReceivedEvent, admit, claims_of, decode
from centralcloud.ingest.tally import MetricsRow, tally_metrics
from centralcloud.store import queries
from centralcloud.store.accounts import AccountsMissingError

_POP = queries.load("pop_decisions")
_LOCK_OPEN_SLICE = queries.load("lock_open_slice")
_CLAIM = queries.load("claim_decisions")
_COPY = queries.load("copy_records")
_ADD_METRICS = queries.load("add_metrics")
_ADD_DEAD_LETTERS = queries.load("add_dead_letters")
_COUNT_SETTLED = queries.load("count_settled")

#: Of a transaction over one message. PostgreSQL prints up to a gigabyte of a number with a huge exponent before it gives up,
#: and to take that for an outage would be to try it for ever.
ONE_MESSAGE_LIMIT_SECONDS: Final = 120.0
#: Types of the columns in copy_records.sql: binary COPY converts nothing.
_RECORD_TYPES = (
    "timestamptz", "varchar", "varchar", "varchar", "varchar", "float8", "varchar", "int4", "text[]",
    "varchar", "varchar", "varchar", "int4", "int4", "float8", "varchar", "varchar",
    "float8", "int8", "jsonb", "int8", "int8", "bool",
)  # fmt: skip
_CAPABILITIES = RoutingEvent.__struct_fields__.index("capabilities_required")
_EXTRA = RoutingEvent.__struct_fields__.index("extra")


class Settled(NamedTuple):
    """What became of the messages of a batch; their sum is the number of messages taken off the queue."""

    records: int = 0
    duplicates: int = 0
    dead_letters: int = 0

    @property
    def messages(self) -> int:
        """How many messages left the queue."""
        return self.records + self.duplicates + self.dead_letters

    def plus(self, other: "Settled") -> "Settled":
        """The sum of both."""
        return Settled(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class SuspectMessageError(Exception):
    """A batch holds `count` messages that were attempted before, and not settled: they have to be handled with care."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} messages were attempted before")
        self.count = count


def settle_batch(
    connection: psycopg.Connection[Any], batch_size: int, on_lag: Callable[[float], None] | None = None
) -> Settled:
    """Take at most `batch_size` messages off the queue and settle them, in the connection's open transaction.

    `on_lag` is told how many seconds ago the oldest of them was sent.

    Raises:
        SuspectMessageError: one of them was attempted before. Nothing has been decoded.
        psycopg.Error: among others, the database refuses something in the batch (`is_refusal`).

    Either way nothing has left the queue once the transaction is rolled back.
    """
    parameters = {"batch_size": batch_size, "max_bytes": MAX_MESSAGE_BYTES}
    row = connection.execute(_POP, parameters, binary=True).fetchone()
    assert row is not None
    msg_ids, enqueued_at, texts, too_large, attempted_before, now, lag_seconds = row
    if attempted_before:
        raise SuspectMessageError(attempted_before)
    messages = list(map(Message, msg_ids, enqueued_at, texts)) if msg_ids else []
    if not messages and not too_large:
        return Settled()
    if on_lag is not None and lag_seconds is not None:
        on_lag(lag_seconds)
    return settle(connection, messages, now=now, too_large=too_large)


def settle(
    connection: psycopg.Connection[Any], messages: list[Message], *, now: datetime, too_large: int = 0
) -> Settled:
    """Settle messages that the connection's open transaction has taken off the queue, and keep the accounts.

    Args:
        now: the server's time.
        too_large: how many more have become dead letters already, for their size.
    """
    batch = decode(messages, now)
    admission = _take_in(connection, batch)
    if batch.dead_letters:
        _add_dead_letters(connection, batch.dead_letters)
    settled = Settled(len(admission.accepted), admission.duplicates, len(batch.dead_letters) + too_large)
    keep_accounts(connection, settled)
    return settled


def keep_accounts(connection: psycopg.Connection[Any], settled: Settled) -> None:
    """Count what the connection's open transaction has settled."""
    counts = {**settled._asdict(), "messages": settled.messages}
    if connection.execute(_COUNT_SETTLED, counts).rowcount != 1:
        raise AccountsMissingError


def is_missing_partition(error: psycopg.Error) -> bool:
    """Whether `error` says that routing_records has no partition for now: our fault, never the message's."""
    diag = error.diag
    return (
        isinstance(error, psycopg.errors.CheckViolation)
        and diag.constraint_name is None
        and diag.table_name == "routing_records"
    )


def _take_in(connection: psycopg.Connection[Any], batch: Batch) -> Admission:
    if not batch.events:
        return Admission([], set(), 0)
    slice_no = _lock_open_slice(connection)
    admission = admit(batch.events, _claim(connection, batch.events))
    if admission.accepted:
        _copy_records(connection, admission, slice_no)
        _add_metrics(connection, tally_metrics(admission))
    return admission


def _lock_open_slice(connection: psycopg.Connection[Any]) -> int:
    cursor = connection.execute(_LOCK_OPEN_SLICE)
    cursor.nextset()
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _claim(connection: psycopg.Connection[Any], events: list[ReceivedEvent]) -> dict[tuple[str, str], int]:
    claims = claims_of(events)
    if not claims:
        return {}
    instance_ids, decision_ids, phases = zip(*claims, strict=True)
    columns = {"instance_ids": instance_ids, "decision_ids": decision_ids, "seen": phases}
    row = connection.execute(_CLAIM, _as_json(columns), binary=True).fetchone()
    assert row is not None
    claimed_instances, claimed_decisions, seen_before = row
    if seen_before is None:
        return {}
    return dict(zip(zip(claimed_instances, claimed_decisions, strict=True), seen_before, strict=True))


def _copy_records(connection: psycopg.Connection[Any], admission: Admission, slice_no: int) -> None:
    first_of_decision = admission.first_of_decision
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(_RECORD_TYPES)
        for msg_id, event, extra in admission.accepted:
            row: list[Any] = list(astuple(event))  # copy_records.sql begins with the fields of an event
            row[_CAPABILITIES] = list(event.capabilities_required)  # a tuple would be no array
            row[_EXTRA] = None if extra is None else Jsonb(extra, dumps=_as_it_is)
            row += (slice_no, msg_id, None if event.decision_id is None else msg_id in first_of_decision)
            copy.write_row(row)


def _add_metrics(connection: psycopg.Connection[Any], rows: dict[Any, MetricsRow]) -> None:
    columns = {field.name: [getattr(row, field.name) for row in rows.values()] for field in fields(MetricsRow)}
    columns["newest_times"] = ["{" + ",".join(map(str, times)) + "}" for times in columns["newest_times"]]
    models, complexities = zip(*rows, strict=True)
    connection.execute(_ADD_METRICS, _as_json({**columns, "model": models, "complexity": complexities}))


def _add_dead_letters(connection: psycopg.Connection[Any], letters: list[DeadLetter]) -> None:
    connection.execute(
        _ADD_DEAD_LETTERS,
        {
            "msg_id": [letter.message.msg_id for letter in letters],
            "enqueued_at": [letter.message.enqueued_at for letter in letters],
            "message": [letter.message.text for letter in letters],
            "reason": [letter.reason for letter in letters],
            "field": [letter.field for letter in letters],
        },
    )


def _as_json(columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    return {name: encode_array(values) for name, values in columns.items()}


def _as_it_is(encoded: bytes) -> bytes:
    return encoded
