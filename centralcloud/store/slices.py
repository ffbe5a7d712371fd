"""Slices of arrival: close the open slice, and gather the evidence of a slice from its records."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_COST_USD, MAX_INT4, MAX_LABEL_LENGTH
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query

_LOCK_SLICE_FOR_CLOSING = Query(__package__, "lock_slice_for_closing")
_CLOSE_SLICE = Query(__package__, "close_slice", row=int)
_UNGATHERED_SLICES = Query(__package__, "ungathered_slices", row=int)
_SLICES_TO_GATHER = Query(__package__, "slices_to_gather", row=int)
_GATHER_EVIDENCE = Query(__package__, "gather_evidence")
_REGISTER_TASK_TYPES = Query(__package__, "register_task_types")
_GATHER_TASK_EVIDENCE = Query(__package__, "gather_task_evidence")
_MARK_GATHERED = Query(__package__, "mark_gathered")
#: Ingest queues up behind a close that waits for the lock: a hanging transaction must not block it for longer than this.
_SHORT_LOCK_WAIT: Final = "SET LOCAL lock_timeout = '2s'"


class References(BaseModel):
    """Caps of the evidence that is gathered from now on: a longer response time, or a higher cost, counts as the cap.

    Attributes:
        latency_ms: cap of response times, in ms.
        cost_usd: cap of costs, in USD.
    """

    model_config = ConfigDict(frozen=True)

    latency_ms: int = Field(default=10_000, ge=1, le=MAX_INT4)
    cost_usd: float = Field(default=0.01, gt=0, le=MAX_COST_USD)


_DEFAULT_REFERENCES: Final = References()


def close_slice(database: Database, references: References = _DEFAULT_REFERENCES) -> int:
    """Close the open slice if it has records, and gather the evidence of every closed slice.

    Evidence is gathered after the transaction that closes the slice: the records of a closed slice never change, so ingest
    does not have to wait.

    Returns:
        The newest closed slice, 0 when there is none. Evidence up to it is complete and never changes.

    Raises:
        psycopg.errors.LockNotAvailable: an ingest transaction hangs; try again later.
    """
    caps = {"latency_ref_ms": references.latency_ms, "cost_ref_usd": references.cost_usd}
    with database.transaction() as connection:
        connection.execute(_SHORT_LOCK_WAIT)
        _LOCK_SLICE_FOR_CLOSING.run(connection)
        newest_closed = _CLOSE_SLICE.one(connection, caps)
    with database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
        for slice_no in _UNGATHERED_SLICES.all(connection):
            _gather(connection, slice_no)
            _MARK_GATHERED.run(connection, {"slice_no": slice_no})
    return newest_closed


@contextmanager
def evidence_including_open_slice(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction that sees the evidence of every slice, the open one as it is now. It is always rolled back.

    Raises:
        psycopg.errors.UniqueViolation: another transaction gathered one of the slices meanwhile; try again.
    """
    with (
        database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection,
        connection.transaction(force_rollback=True),
    ):
        for slice_no in _SLICES_TO_GATHER.all(connection):
            _gather(connection, slice_no)
        yield connection


def _gather(connection: psycopg.Connection[Any], slice_no: int) -> None:
    _GATHER_EVIDENCE.run(connection, {"slice_no": slice_no})
    _REGISTER_TASK_TYPES.run(connection, {"slice_no": slice_no, "max_length": MAX_LABEL_LENGTH})
    _GATHER_TASK_EVIDENCE.run(connection, {"slice_no": slice_no})
