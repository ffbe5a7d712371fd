"""The fast path of ingest: one transaction moves a batch from the queue into records, metrics, dead letters and the ledger.

A crash at any point rolls the transaction back: the messages are in the queue again at once, without a visibility timeout,
none is lost, and none is counted twice. Every ingest takes its locks in the same order (slice, decisions, new names, plans,
pairs, refused names, ignored values, ledger; each sorted), so replicas wait for each other and do not deadlock. Feedback
that waits is locked only where no other transaction has locked it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.json_text import encode_array
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.ingest.batch import (
    Batch,
    DeadLetter,
    Deduplicated,
    ReceivedEvent,
    count_ignored_values,
    decode,
    deduplicate,
    phases_by_decision,
)
from centralcloud.ingest.batch_limits import BatchLimits
from centralcloud.ingest.clock_behind import decide_events_ahead, report_clock_behind
from centralcloud.ingest.instance_clocks import report_clocks_behind
from centralcloud.ingest.metric_deltas import MetricDelta, metric_deltas
from centralcloud.ingest.name_limits import count_refused_names, limit_new_names
from centralcloud.ingest.operator_words import OperatorWords
from centralcloud.ingest.outcome_totals import OutcomeTotals, outcome_totals
from centralcloud.ingest.record_copy import copy_records
from centralcloud.ingest.repeated_ids import find_repeated_ids
from centralcloud.ingest.requests import settle_feedback, store_plans
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ids import ranges_of
from centralcloud.store.message_ledger import LedgerMissingError
from centralcloud.store.sequences import SequencePosition, SequencesBehindError
from centralcloud.store.swallowed_rows import require_stored


class _PoppedMessages(NamedTuple):
    """The messages of a batch, as arrays, which is faster than rows.

    The arrays are None for an empty batch, and for one that has too many bytes.

    Attributes:
        found: how many messages were visible, at most as many as were asked for.
        popped: how many of them were removed from the queue.
        bytes: size of their texts, without those that are too large.
        too_large: how many messages are too large; they are not in the other arrays.
        too_large_ids: those of them that became dead letters.
        attempted_before: how many messages were leased before.
        now: the server's time.
        lag_seconds: age of the oldest message; None for an empty batch.
    """

    msg_ids: list[int] | None
    enqueued_at: list[str]
    texts: list[str | None]
    found: int
    popped: int
    bytes: int
    too_large: int
    too_large_ids: list[int] | None
    attempted_before: int
    now: datetime
    lag_seconds: float | None


class _SeenDecisions(NamedTuple):
    """Decisions and the phases that earlier batches have recorded, as arrays; None without any decision."""

    instance_ids: list[str]
    decision_ids: list[str]
    seen_before: list[int] | None


class _OpenSlice(NamedTuple):
    """The open slice: its records have greater ids than `after_record_id`; `last_record_id` was given out last."""

    slice_no: int
    after_record_id: int
    last_record_id: int


_POP_MESSAGES = Query(__package__, "pop_messages", row=_PoppedMessages)
_LOCK_OPEN_SLICE = Query(__package__, "lock_open_slice", row=_OpenSlice)
_DEDUPLICATE_DECISIONS = Query(__package__, "deduplicate_decisions", row=_SeenDecisions)
_ADD_METRIC_DELTAS = Query(__package__, "add_metric_deltas")
_INSERT_DEAD_LETTERS = Query(__package__, "insert_dead_letters")
_COUNT_IGNORED_VALUES = Query(__package__, "count_ignored_values")
_RECORD_IN_LEDGER = Query(__package__, "record_in_ledger")

#: The share of a batch's bytes up to which messages are taken by their stored size: the last one may exceed it, and text is
#: longer than the stored form by some tenths, with many escaped characters six times as long.
_STORED_SHARE: Final = 2
#: Time limit of a transaction over one message. PostgreSQL prints up to a gigabyte of digits of a number with a huge
#: exponent before it fails. With the usual limit this would count as an outage, and be retried for ever.
ONE_MESSAGE_LIMIT_SECONDS: Final = 120.0


_NO_OUTCOMES: Final = OutcomeTotals()


class BatchResult(NamedTuple):
    """The results of a batch: how many messages became records, were duplicates, or became dead letters."""

    records: int = 0
    duplicates: int = 0
    dead_letters: int = 0

    @property
    def messages(self) -> int:
        """Number of messages that left the queue."""
        return self.records + self.duplicates + self.dead_letters

    def plus(self, other: "BatchResult") -> "BatchResult":
        """Return the sum of both results."""
        return BatchResult(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class RetriedMessageError(Exception):
    """A batch contains `count` messages that were attempted before without success: they need the slow path."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} messages were attempted before")
        self.count = count


class BatchTooLargeError(Exception):
    """The `messages` of a batch have `size_bytes` together, more than a batch may have. None has been sent to the client."""

    def __init__(self, messages: int, size_bytes: int) -> None:
        super().__init__(f"{messages} messages have {size_bytes} bytes")
        self.messages = messages
        self.size_bytes = size_bytes


class IngestedBatch(NamedTuple):
    """A batch that was ingested.

    Attributes:
        found: how many messages were visible, at most as many as a batch may have.
        messages: how many of them the batch had; fewer if the others had too many bytes.
        size_bytes: the size of those messages.
    """

    result: BatchResult
    found: int
    messages: int
    size_bytes: int


def ingest_batch(
    connection: psycopg.Connection[Any], limits: BatchLimits, on_lag: Callable[[float], None] | None = None
) -> IngestedBatch:
    """Ingest the oldest messages of the queue, as many as `limits` allow, in the connection's open transaction.

    `on_lag` receives the age of the oldest message in seconds.

    Raises:
        RetriedMessageError: a message was attempted before. No message has been decoded.
        BatchTooLargeError: the messages have more bytes than their stored sizes let expect. No message has been decoded.
        psycopg.Error: any error of the database, also because it refuses a value in the batch (`is_refusal`).
        SequencesBehindError: the ids of records are behind the table.
        RowsSwallowedError: a table has discarded rows that were written to it.

    After an error and the rollback, every message is in the queue again.
    """
    parameters = {
        "max_messages": limits.messages,
        "max_bytes": limits.bytes,
        "max_stored_bytes": limits.bytes // _STORED_SHARE,
        "max_message_bytes": MAX_MESSAGE_BYTES,
    }
    popped = _POP_MESSAGES.one(connection, parameters, binary=True)
    if popped.attempted_before:
        raise RetriedMessageError(popped.attempted_before)
    if popped.bytes > limits.bytes:
        raise BatchTooLargeError(popped.popped, popped.bytes)
    result = BatchResult()
    messages = list(zip(popped.msg_ids, popped.enqueued_at, popped.texts, strict=True)) if popped.msg_ids else []
    too_large_ids = popped.too_large_ids or []
    require_stored("dead_letters", written=popped.too_large, stored=len(too_large_ids))
    if messages or too_large_ids:
        if on_lag is not None and popped.lag_seconds is not None:
            on_lag(popped.lag_seconds)
        result = ingest_messages(connection, messages, now=popped.now, too_large_ids=too_large_ids)
    return IngestedBatch(result, popped.found, popped.popped, popped.bytes)


def ingest_messages(
    connection: psycopg.Connection[Any],
    messages: Sequence[tuple[int, str, str | None]],
    *,
    now: datetime,
    too_large_ids: Sequence[int] = (),
) -> BatchResult:
    """Store messages that the connection's open transaction has removed from the queue, and record them in the ledger.

    Args:
        messages: as `Message` or as its parts, which is faster.
        now: the server's time.
        too_large_ids: the other messages that the transaction has already made dead letters, for their size.
    """
    decoded = decode(messages, now, OperatorWords(connection))
    batch = decide_events_ahead(connection, decoded, now)
    deduplicated, totals = _store_events(connection, batch)
    if batch.dead_letters:
        _insert_dead_letters(connection, batch.dead_letters)
    ignored = [*count_ignored_values(deduplicated.accepted), *find_repeated_ids(connection, deduplicated.left_out)]
    if ignored:
        _COUNT_IGNORED_VALUES.run(connection, {"values": encode_array([each._asdict() for each in ignored])})
    result = BatchResult(
        len(deduplicated.accepted), deduplicated.duplicates, len(batch.dead_letters) + len(too_large_ids)
    )
    record_in_ledger(connection, result, [*[msg_id for msg_id, _, _ in messages], *too_large_ids], totals)
    report_clocks_behind(connection, deduplicated.accepted, now)
    if decoded.ahead and not decoded.events and batch.events:
        report_clock_behind(connection, decoded.ahead, now)  # after every lock that other ingests wait for
    return result


def record_in_ledger(
    connection: psycopg.Connection[Any],
    result: BatchResult,
    msg_ids: Iterable[int],
    totals: OutcomeTotals = _NO_OUTCOMES,
) -> None:
    """Add the result of the connection's open transaction, over the messages `msg_ids`, to the message ledger.

    `totals`: those of the records in `result`.

    Raises:
        LedgerMissingError: the ledger has no row.
    """
    first_ids, last_ids = ranges_of(msg_ids)
    ids = {"first_ids": first_ids, "last_ids": last_ids}
    values = {**result._asdict(), **totals._asdict(), **ids, "messages": result.messages}
    if _RECORD_IN_LEDGER.run(connection, values) == 0:
        raise LedgerMissingError


def is_missing_partition(error: psycopg.Error) -> bool:
    """Return whether `error` says that routing_records has no partition for the current time. No message causes this."""
    diag = error.diag
    return (
        isinstance(error, psycopg.errors.CheckViolation)
        and diag.constraint_name is None
        and diag.table_name == "routing_records"
    )


def _store_events(connection: psycopg.Connection[Any], batch: Batch) -> tuple[Deduplicated, OutcomeTotals]:
    totals = _NO_OUTCOMES
    if not batch.events:
        return Deduplicated([], set(), []), totals
    open_slice = _LOCK_OPEN_SLICE.one(connection)
    if open_slice.last_record_id < open_slice.after_record_id:
        newest = open_slice.after_record_id
        position = SequencePosition(
            "public.routing_records_id_seq", "public.routing_records", open_slice.last_record_id, newest
        )
        raise SequencesBehindError(str(position))
    deduplicated = deduplicate(batch.events, _record_phases(connection, batch.events))
    if deduplicated.accepted:
        deduplicated, refused_names = limit_new_names(connection, deduplicated)
        requests = [each for each in deduplicated.accepted if type(each.event) is RequestEvent]
        copy_records(connection, deduplicated, open_slice.slice_no, of_requests=bool(requests))
        store_plans(connection, requests)
        deltas = metric_deltas(deduplicated)
        _add_metrics(connection, deltas)
        totals = outcome_totals(deltas.values(), deduplicated.accepted)
        count_refused_names(connection, refused_names)
        settle_feedback(connection, requests)
    return deduplicated, totals


def _record_phases(connection: psycopg.Connection[Any], events: list[ReceivedEvent]) -> dict[tuple[str, str], int]:
    decisions = phases_by_decision(events)
    if not decisions:
        return {}
    instance_ids, decision_ids, phases = zip(*decisions, strict=True)
    columns = {"instance_ids": instance_ids, "decision_ids": decision_ids, "seen": phases}
    seen = _DEDUPLICATE_DECISIONS.one(connection, _as_json(columns), binary=True)
    if seen.seen_before is None:
        return {}
    return dict(zip(zip(seen.instance_ids, seen.decision_ids, strict=True), seen.seen_before, strict=True))


def _add_metrics(connection: psycopg.Connection[Any], rows: dict[Any, MetricDelta]) -> None:
    columns = {field.name: [getattr(row, field.name) for row in rows.values()] for field in fields(MetricDelta)}
    columns["newest_times"] = [f"{{{str(times)[1:-1]}}}" for times in columns["newest_times"]]
    models, complexities = zip(*rows, strict=True)
    _ADD_METRIC_DELTAS.run(connection, _as_json({**columns, "model": models, "complexity": complexities}))


def _insert_dead_letters(connection: psycopg.Connection[Any], letters: list[DeadLetter]) -> None:
    stored = _INSERT_DEAD_LETTERS.run(
        connection,
        {
            "msg_id": [letter.message.msg_id for letter in letters],
            "enqueued_at": [letter.message.enqueued_at for letter in letters],
            "message": [letter.message.text for letter in letters],
            "reason": [letter.reason for letter in letters],
            "field": [letter.field for letter in letters],
        },
    )
    require_stored("dead_letters", written=len(letters), stored=stored)


def _as_json(columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    return {name: encode_array(values) for name, values in columns.items()}
