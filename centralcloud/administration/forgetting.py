"""Forget models: names that are not models, such as those of a client that sends random ones. Their events stay counted."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.administration.models import (
    BUMP_EVIDENCE_GENERATION,
    LOCK_MAINTENANCE,
    OPEN_SLICE_START,
    RENAME_EVIDENCE,
    RENAME_STORED,
    REPAIR_RESPONSE_TIMES,
    UnknownModelError,
    hold_ingest,
    list_models,
)
from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.limits import OTHER, REPORTED_MODEL_KEY
from centralcloud.learning.publication import read_clock
from centralcloud.learning.version_tracking import LOCK_VERSIONS
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.score_lock import bump_score_revision, lock_scores

_FORGET_RECORDS = Query(__package__, "forget_records")
_FORGET_METRICS = Query(__package__, "forget_metrics")
_FORGET_LEARNED = Query(__package__, "forget_learned", row=int)
#: Names that the log of operators' actions lists; it counts the others.
_LOGGED_NAMES: Final = 100


class Criteria(NamedTuple):
    """The models to forget: those that meet every criterion that is given.

    Attributes:
        names: their names; empty: any.
        matching: a pattern with `*`, `?` and `[...]`.
        unused_for: no event of the model was ingested for so long.
        fewer_than: the model has fewer outcomes in its lifetime.
    """

    names: Sequence[str] = ()
    matching: str | None = None
    unused_for: timedelta | None = None
    fewer_than: int | None = None


class Forgotten(NamedTuple):
    """The result: how many models, how many of their records are still kept, and how many published scores were removed."""

    models: int
    records: int
    scores: int


def find_models(connection: psycopg.Connection[Any], criteria: Criteria) -> list[dict[str, Any]]:
    """Return the models that meet the criteria, by name: rows of `list_models`.

    Raises:
        UnknownModelError: one of the names is not that of a model.
    """
    rows = [row for row in list_models(connection) if row["model"] != OTHER]
    if unknown := sorted(set(criteria.names) - {row["model"] for row in rows}):
        raise UnknownModelError(f"found no model {unknown[0]}, expected one that `centralcloud models list` shows")
    now = read_clock(connection)

    def meets(row: dict[str, Any]) -> bool:
        name, seen_at = row["model"], row["last_seen_at"]
        return (
            (not criteria.names or name in criteria.names)
            and (criteria.matching is None or fnmatchcase(name, criteria.matching))
            and (criteria.unused_for is None or seen_at is None or now - seen_at >= criteria.unused_for)
            and (criteria.fewer_than is None or row["outcomes"] < criteria.fewer_than)
        )

    return [row for row in rows if meets(row)]


def forget_models(database: Database, names: Collection[str], operator: Operator) -> Forgotten:
    """Remove models: their scores, pins, holds and states. Their events, counters and evidence go to the model `(other)`.

    The history of their scores stays. Instances drop the scores when they next read the snapshot, within their reconcile
    interval. A name that is used again is a new one. One transaction, as for `rename_model`: ingest runs on meanwhile, and
    waits only at the end.

    Raises:
        psycopg.errors.LockNotAvailable: an ingest transaction hung for minutes; nothing has changed.
    """
    given = {"old": sorted(names), "new": OTHER, "key": REPORTED_MODEL_KEY}
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        LOCK_MAINTENANCE.run(connection)
        # Events that ingest has in flight now get ids above this one.
        open_slice_start = OPEN_SLICE_START.maybe(connection) or 0
        records = _FORGET_RECORDS.run(connection, {**given, "after_record_id": 0})
        for statement in (*RENAME_STORED, *RENAME_EVIDENCE):
            statement.run(connection, given)
        lock_scores(connection)
        hold_ingest(connection)
        # From here on nothing is ingested, no slice is closed, and no evidence is gathered.
        records += _FORGET_RECORDS.run(connection, {**given, "after_record_id": open_slice_start})
        for statement in RENAME_EVIDENCE:
            statement.run(connection, given)
        _FORGET_METRICS.run(connection, given)
        for complexity in COMPLEXITIES:
            REPAIR_RESPONSE_TIMES.run(connection, {"model_name": OTHER, "complexity_level": complexity})
        LOCK_VERSIONS.run(connection)
        scores = _FORGET_LEARNED.one(connection, given)
        BUMP_EVIDENCE_GENERATION.run(connection)
        bump_score_revision(connection)
        done = Forgotten(len(given["old"]), records, scores)
        record_action(
            connection,
            operator,
            Action.FORGET_MODELS,
            given["old"][0] if len(names) == 1 else "models",
            before={"models": given["old"][:_LOGGED_NAMES]},
            after=done._asdict(),
        )
    return done
