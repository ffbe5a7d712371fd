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
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.ingest.batch import (
    Batch,
    DeadLetter,
    Deduplicated,
    Message,
    ReceivedEvent,
    decode,
    deduplicate,
    phases_by_decision,
)
from centralcloud.ingest.metric_deltas import MetricDelta, metric_deltas
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError

_POP = Query(__package__, "pop_messages")
_LOCK_OPEN_SLICE = Query(__package__, "lock_open_slice")
_DEDUPLICATE = Query(__package__, "deduplicate_decisions")
_COPY = Query(__package__, "copy_records")
_ADD_METRICS = Query(__package__, "add_metric_deltas")
_ADD_DEAD_LETTERS = Query(__package__, "insert_dead_letters")
_RECORD_IN_LEDGER = Query(__package__, "record_in_ledger")

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


class BatchResult(NamedTuple):
    """What became of the messages of a batch; their sum is the number of messages taken off the queue."""

    records: int = 0
    duplicates: int = 0
    dead_letters: int = 0

    @property
    def messages(self) -> int:
        """How many messages left the queue."""
        return self.records + self.duplicates + self.dead_letters

    def plus(self, other: "BatchResult") -> "BatchResult":
        """The sum of both."""
        return BatchResult(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class RetriedMessageError(Exception):
    """A batch holds `count` messages that were attempted before, and not settled: they have to be handled with care."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} messages were attempted before")
        self.count = count


def ingest_batch(
    connection: psycopg.Connection[Any], batch_size: int, on_lag: Callable[[float], None] | None = None
) -> BatchResult:
    """Take at most `batch_size` messages off the queue and settle them, in the connection's open transaction.

    `on_lag` is told how many seconds ago the oldest of them was sent.

    Raises:
        RetriedMessageError: one of them was attempted before. Nothing has been decoded.
        psycopg.Error: among others, the database refuses something in the batch (`is_refusal`).

    Either way nothing has left the queue once the transaction is rolled back.
    """
    parameters = {"batch_size": batch_size, "max_bytes": MAX_MESSAGE_BYTES}
    row = connection.execute(_POP.text, parameters, binary=True).fetchone()
    assert row is not None
    msg_ids, enqueued_at, texts, too_large, attempted_before, now, lag_seconds = row
    if attempted_before:
        raise RetriedMessageError(attempted_before)
    messages = list(map(Message, msg_ids, enqueued_at, texts)) if msg_ids else []
    if not messages and not too_large:
        return BatchResult()
    if on_lag is not None and lag_seconds is not None:
        on_lag(lag_seconds)
    return ingest_messages(connection, messages, now=now, too_large=too_large)


def ingest_messages(
    connection: psycopg.Connection[Any], messages: list[Message], *, now: datetime, too_large: int = 0
) -> BatchResult:
    """Settle messages that the connection's open transaction has taken off the queue, and keep the accounts.

    Args:
        now: the server's time.
        too_large: how many more have become dead letters already, for their size.
    """
    batch = decode(messages, now)
    deduplicated = _store_events(connection, batch)
    if batch.dead_letters:
        _add_dead_letters(connection, batch.dead_letters)
    result = BatchResult(len(deduplicated.accepted), deduplicated.duplicates, len(batch.dead_letters) + too_large)
    record_in_ledger(connection, result)
    return result


def record_in_ledger(connection: psycopg.Connection[Any], result: BatchResult) -> None:
    """Count what the connection's open transaction has settled."""
    counts = {**result._asdict(), "messages": result.messages}
    if connection.execute(_RECORD_IN_LEDGER.text, counts).rowcount != 1:
        raise LedgerMissingError


def is_missing_partition(error: psycopg.Error) -> bool:
    """Whether `error` says that routing_records has no partition for now: our fault, never the message's."""
    diag = error.diag
    return (
        isinstance(error, psycopg.errors.CheckViolation)
        and diag.constraint_name is None
        and diag.table_name == "routing_records"
    )


def _store_events(connection: psycopg.Connection[Any], batch: Batch) -> Deduplicated:
    if not batch.events:
        return Deduplicated([], set(), 0)
    slice_no = _lock_open_slice(connection)
    deduplicated = deduplicate(batch.events, _record_phases(connection, batch.events))
    if deduplicated.accepted:
        _copy_records(connection, deduplicated, slice_no)
        _add_metrics(connection, metric_deltas(deduplicated))
    return deduplicated


def _lock_open_slice(connection: psycopg.Connection[Any]) -> int:
    cursor = connection.execute(_LOCK_OPEN_SLICE.text)
    cursor.nextset()
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _record_phases(connection: psycopg.Connection[Any], events: list[ReceivedEvent]) -> dict[tuple[str, str], int]:
    decisions = phases_by_decision(events)
    if not decisions:
        return {}
    instance_ids, decision_ids, phases = zip(*decisions, strict=True)
    columns = {"instance_ids": instance_ids, "decision_ids": decision_ids, "seen": phases}
    row = connection.execute(_DEDUPLICATE.text, _as_json(columns), binary=True).fetchone()
    assert row is not None
    claimed_instances, claimed_decisions, seen_before = row
    if seen_before is None:
        return {}
    return dict(zip(zip(claimed_instances, claimed_decisions, strict=True), seen_before, strict=True))


def _copy_records(connection: psycopg.Connection[Any], deduplicated: Deduplicated, slice_no: int) -> None:
    first_of_decision = deduplicated.first_of_decision
    with connection.cursor().copy(_COPY.text) as copy:
        copy.set_types(_RECORD_TYPES)
        for msg_id, event, extra in deduplicated.accepted:
            row: list[Any] = list(astuple(event))  # copy_records.sql begins with the fields of an event
            row[_CAPABILITIES] = list(event.capabilities_required)  # a tuple would be no array
            row[_EXTRA] = None if extra is None else Jsonb(extra, dumps=_as_it_is)
            row += (slice_no, msg_id, None if event.decision_id is None else msg_id in first_of_decision)
            copy.write_row(row)


def _add_metrics(connection: psycopg.Connection[Any], rows: dict[Any, MetricDelta]) -> None:
    columns = {field.name: [getattr(row, field.name) for row in rows.values()] for field in fields(MetricDelta)}
    columns["newest_times"] = ["{" + ",".join(map(str, times)) + "}" for times in columns["newest_times"]]
    models, complexities = zip(*rows, strict=True)
    connection.execute(_ADD_METRICS.text, _as_json({**columns, "model": models, "complexity": complexities}))


def _add_dead_letters(connection: psycopg.Connection[Any], letters: list[DeadLetter]) -> None:
    connection.execute(
        _ADD_DEAD_LETTERS.text,
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
