"""Slices of arrival: closing the open one, and gathering its evidence from its records."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_COST_USD, MAX_INT4
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query

_LOCK_SLICE = Query(__package__, "lock_slice_for_closing")
_CLOSE_SLICE = Query(__package__, "close_slice")
_UNGATHERED = Query(__package__, "ungathered_slices")
_IN_HAND = Query(__package__, "slices_to_gather")
_GATHER = Query(__package__, "gather_evidence")
_MARK_GATHERED = Query(__package__, "mark_gathered")
#: Ingest queues up behind a waiting close: do not make it wait longer than this for a transaction that hangs.
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
    """Close the open slice when anything is in it, and gather the evidence of every closed slice.

    Gathering happens after the closing transaction: the records of a closed slice never change, so ingest need not wait.

    Returns:
        The newest closed slice, 0 when there is none; evidence up to it is complete and never changes any more.

    Raises:
        psycopg.errors.LockNotAvailable: an ingest transaction hangs; try again later.
    """
    with database.transaction() as connection:
        connection.execute(_SHORT_LOCK_WAIT)
        connection.execute(_LOCK_SLICE.text)
        row = connection.execute(
            _CLOSE_SLICE.text, {"latency_ref_ms": references.latency_ms, "cost_ref_usd": references.cost_usd}
        ).fetchone()
        assert row is not None
        newest_closed = int(row[0])
    with database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
        _gather_evidence(connection)
    return newest_closed


@contextmanager
def evidence_including_open_slice(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that sees the evidence of every slice, what the open one holds so far included. Undone at its end.

    Raises:
        psycopg.errors.UniqueViolation: a slice was gathered meanwhile; try again.
    """
    with (
        database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection,
        connection.transaction(force_rollback=True),
    ):
        for (slice_no,) in connection.execute(_IN_HAND.text).fetchall():
            connection.execute(_GATHER.text, {"slice_no": slice_no})
        yield connection


def _gather_evidence(connection: psycopg.Connection[Any]) -> None:
    for (slice_no,) in connection.execute(_UNGATHERED.text).fetchall():
        connection.execute(_GATHER.text, {"slice_no": slice_no})
        connection.execute(_MARK_GATHERED.text, {"slice_no": slice_no})
