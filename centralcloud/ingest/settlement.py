"""One batch, one transaction: off the queue, into records, metrics, evidence and dead letters.

A crash at any point rolls the pop back: nothing is lost, nothing is counted twice, and there is no visibility timeout to
wait for. The order of locks is the same everywhere (slice, decisions, pairs, each sorted), so replicas wait for each other
instead of deadlocking.
"""

from dataclasses import fields
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts import ContractError
from centralcloud.contracts.names import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.ingest.batch import Admission, Batch, DeadLetter, Message, ReceivedEvent, admit, claims_of, decode
from centralcloud.ingest.tally import EvidenceRow, MetricsRow, tally_evidence, tally_metrics
from centralcloud.runtime.database import is_refusal, one_line
from centralcloud.store import queries

_POP = queries.load("pop_decisions")
_LOCK_OLDEST = queries.load("lock_oldest_decision")
_TAKE = queries.load("take_decision")
_PUT_ASIDE = queries.load("put_decision_aside")
_ARCHIVE = queries.load("archive_decision")
_LOCK_SLICE = queries.load("lock_slice_for_ingest")
_OPEN_SLICE = queries.load("open_slice")
_CLAIM = queries.load("claim_decisions")
_COPY = queries.load("copy_records")
_ADD_METRICS = queries.load("add_metrics")
_ADD_EVIDENCE = queries.load("add_evidence")
_ADD_DEAD_LETTERS = queries.load("add_dead_letters")

#: Types of the columns in copy_records.sql: binary COPY converts nothing.
_RECORD_TYPES = (
    "timestamptz", "varchar", "varchar", "varchar", "varchar", "float8", "varchar", "int4", "text[]",
    "varchar", "varchar", "varchar", "int4", "int4", "float8", "varchar", "varchar",
    "float8", "int8", "int8", "jsonb",
)  # fmt: skip


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


def settle_batch(connection: psycopg.Connection[Any], batch_size: int) -> Settled:
    """Take at most `batch_size` messages off the queue and settle them, in the connection's open transaction.

    Raises:
        psycopg.Error: among others, the database refuses something in the batch (`is_refusal`); nothing has left the queue
            once the transaction is rolled back.
    """
    rows = connection.execute(_POP, {"batch_size": batch_size, "max_bytes": MAX_MESSAGE_BYTES}).fetchall()
    if not rows:
        return Settled()
    messages = [Message(*row[:3]) for row in rows if not row[3]]
    settled = _settle(connection, decode(messages, now=rows[0][4]))
    return settled.plus(Settled(dead_letters=len(rows) - len(messages)))


def settle_one(connection: psycopg.Connection[Any]) -> Settled:
    """As `settle_batch` for one message; what the database refuses becomes a dead letter."""
    held = connection.execute(_LOCK_OLDEST).fetchone()
    if held is None:
        return Settled()
    msg_id = int(held[0])
    try:
        with connection.transaction():
            return _take_in(connection, msg_id)
    except ContractError as error:
        reason, field = str(error), error.field
    except psycopg.Error as error:
        if not is_refusal(error) or is_missing_partition(error):
            raise
        reason, field = f"database: refused with SQLSTATE {error.sqlstate}: {one_line(error)}", "database"
    letter = {"msg_id": msg_id, "reason": reason, "field": field}
    try:
        with connection.transaction():
            connection.execute(_PUT_ASIDE, letter)
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
        connection.execute(_ARCHIVE, letter)
    return Settled(dead_letters=1)


def _take_in(connection: psycopg.Connection[Any], msg_id: int) -> Settled:
    row = connection.execute(_TAKE, {"msg_id": msg_id, "max_bytes": MAX_MESSAGE_BYTES}).fetchone()
    assert row is not None
    if row[3] is not None and row[3] > MAX_MESSAGE_BYTES:
        raise message_too_large(row[3])
    return _settle(connection, decode([Message(*row[:3])], now=row[4]))


def is_missing_partition(error: psycopg.Error) -> bool:
    """Whether `error` says that routing_records has no partition for now: our fault, never the message's."""
    diag = error.diag
    return (
        isinstance(error, psycopg.errors.CheckViolation)
        and diag.constraint_name is None
        and diag.table_name == "routing_records"
    )


def _settle(connection: psycopg.Connection[Any], batch: Batch) -> Settled:
    admission = Admission([], set(), 0)
    if batch.events:
        connection.execute(_LOCK_SLICE)
        row = connection.execute(_OPEN_SLICE).fetchone()
        assert row is not None
        slice_no = int(row[0])
        admission = admit(batch.events, _claim(connection, batch.events))
        if admission.accepted:
            _copy_records(connection, admission.accepted, slice_no)
            _add_metrics(connection, tally_metrics(admission))
            _add_evidence(connection, tally_evidence(admission.accepted), slice_no)
    if batch.dead_letters:
        _add_dead_letters(connection, batch.dead_letters)
    return Settled(len(admission.accepted), admission.duplicates, len(batch.dead_letters))


def _claim(connection: psycopg.Connection[Any], events: list[ReceivedEvent]) -> dict[tuple[str, str], int]:
    claims = claims_of(events)
    if not claims:
        return {}
    instance_ids, decision_ids, phases = zip(*claims, strict=True)
    cursor = connection.execute(
        _CLAIM, {"instance_ids": list(instance_ids), "decision_ids": list(decision_ids), "seen": list(phases)}
    )
    return {(instance_id, decision_id): seen_before for instance_id, decision_id, seen_before in cursor}


def _copy_records(connection: psycopg.Connection[Any], accepted: list[ReceivedEvent], slice_no: int) -> None:
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(_RECORD_TYPES)
        for _, event, extra in accepted:
            copy.write_row(
                (
                    event.timestamp,
                    event.instance_id,
                    event.complexity,
                    event.model,
                    event.provider,
                    event.complexity_score,
                    event.outcome,
                    event.response_time_ms,
                    list(event.capabilities_required),
                    event.prefer,
                    event.user_model_request,
                    event.decision_id,
                    event.input_tokens,
                    event.output_tokens,
                    None if event.cost_usd is None else float(event.cost_usd),
                    event.error_kind,
                    event.task_type,
                    None if event.propensity is None else float(event.propensity),
                    event.score_version,
                    slice_no,
                    None if extra is None else Jsonb(extra, dumps=_as_it_is),
                )
            )


def _add_metrics(connection: psycopg.Connection[Any], rows: dict[Any, MetricsRow]) -> None:
    columns = _columns(MetricsRow, rows.values())
    columns["newest_times"] = ["{" + ",".join(map(str, times)) + "}" for times in columns["newest_times"]]
    models, complexities = zip(*rows, strict=True)
    connection.execute(_ADD_METRICS, {**columns, "model": list(models), "complexity": list(complexities)})


def _add_evidence(connection: psycopg.Connection[Any], rows: dict[Any, EvidenceRow], slice_no: int) -> None:
    models, complexities, providers, instance_ids = zip(*rows, strict=True)
    keys = {
        "model": list(models),
        "complexity": list(complexities),
        "provider": list(providers),
        "instance_id": list(instance_ids),
    }
    connection.execute(_ADD_EVIDENCE, {**_columns(EvidenceRow, rows.values()), **keys, "slice_no": slice_no})


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


def _as_it_is(encoded: bytes) -> bytes:
    return encoded


def _columns(row_class: Any, rows: Any) -> dict[str, list[Any]]:
    """The rows of a dataclass turned into one list a field."""
    return {field.name: [getattr(row, field.name) for row in rows] for field in fields(row_class)}
