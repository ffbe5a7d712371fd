"""Sequences, compared with their tables: a logical copy of a database leaves them behind.

Such a sequence gives out numbers that are in use: inserts fail, and what is ordered by number goes wrong. So no task
works while a sequence that it draws from is behind, until `centralcloud repair sequences` has raised it.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.errors import TableUnusableError
from centralcloud.runtime.postgres.query import Query

_SEQUENCE_POSITIONS = Query(__package__, "sequence_positions", row=dict)
_REPAIR_SEQUENCES = Query(__package__, "repair_sequences", row=dict)

#: The tables whose numbers a run of the learner draws.
LEARNING_TABLES: Final = (
    "public.model_scores",
    "public.learning_runs",
    "public.findings",
    "pgmq.q_model_score_updates",
)
#: Primary keys that a sequence fills: a value that is there already means that the sequence is behind.
_NUMBERED: Final = {
    "routing_records_pkey": "public.routing_records",
    "model_routing_metrics_pkey": "public.model_routing_metrics",
    "dead_letters_pkey": "public.dead_letters",
    "ingest_workers_pkey": "public.ingest_workers",
    "learning_runs_pkey": "public.learning_runs",
    "findings_pkey": "public.findings",
}


class SequencePosition(NamedTuple):
    """A sequence and its table.

    Attributes:
        sequence: its name, with that of its schema; None if the column has lost it.
        table: the table with these numbers.
        last_value: the last number that the sequence has given out; 0: none yet.
        newest: the greatest number in the table; 0: none.
    """

    sequence: str | None
    table: str
    last_value: int
    newest: int

    def __str__(self) -> str:
        name = self.sequence or f"the lost sequence of {self.table}"
        return f"{name} is at {self.last_value:,}, {self.table} at {self.newest:,}"


#: How the text of a `SequencesBehindError` begins.
SEQUENCE_BEHIND: Final = "a sequence is behind its table"


class SequencesBehindError(TableUnusableError):
    """Sequences are behind their tables: tasks that draw from them wait; ingest does so as in an outage."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{SEQUENCE_BEHIND} ({found}): run `centralcloud repair sequences`")


def sequences_behind(connection: psycopg.Connection[Any], *, count_queue: bool = False) -> list[SequencePosition]:
    """Return the sequences that are behind their tables: some index lookups in each table.

    Args:
        count_queue: also compare the ids of the queue with the number of messages that were ever sent, which reads the
            whole queue.
    """
    rows = _SEQUENCE_POSITIONS.all(connection, {"count_queue": count_queue})
    return [each for each in map(_position, rows) if each.last_value < each.newest]


def require_sequences(connection: psycopg.Connection[Any], tables: Iterable[str]) -> None:
    """Check that no sequence of `tables` is behind.

    Raises:
        SequencesBehindError: one is.
    """
    if behind := [str(each) for each in sequences_behind(connection) if each.table in set(tables)]:
        raise SequencesBehindError("; ".join(behind))


def repair_sequences(connection: psycopg.Connection[Any]) -> list[SequencePosition]:
    """Raise every sequence that is behind to the greatest number of its table; return these sequences as they were.

    Waits for the transactions that are adding rows to such a table, and keeps others from it until the transaction ends.
    """
    return [_position(row) for row in _REPAIR_SEQUENCES.all(connection)]


def drew_a_used_number(error: BaseException) -> bool:
    """Return whether `error` says that a sequence gave out a number that is in use. No message causes this."""
    return isinstance(error, psycopg.errors.UniqueViolation) and _numbered_table(error) is not None


def behind_error(error: psycopg.errors.UniqueViolation) -> SequencesBehindError:
    """Return the error that names the table whose sequence gave out a number that is in use."""
    return SequencesBehindError(f"it gave out a number that {_numbered_table(error)} has")


def _numbered_table(error: psycopg.errors.UniqueViolation) -> str | None:
    constraint = error.diag.constraint_name or ""
    if (error.diag.table_name or "").startswith("routing_records_"):  # a partition has a key of its own name
        return "public.routing_records"
    return _NUMBERED.get(constraint)


def _position(row: dict[str, Any]) -> SequencePosition:
    return SequencePosition(row["sequence_name"], row["table_name"], row["last_value"], row["newest"])
