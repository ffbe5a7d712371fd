"""Writing scores: what stands, its history, and the messages to the instances, in one transaction under the score lock."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts import Estimate, ScoreUpdate
from centralcloud.learning.current_scores import CurrentScore
from centralcloud.learning.rule import PairState, Score
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_LOCK_SCORES = Query("centralcloud.store", "lock_scores")
_PUT_SCORE = Query(__package__, "upsert_score")
_ADD_HISTORY = Query(__package__, "insert_score_history")
_SEND_UPDATES = Query(__package__, "send_score_updates")
_TOUCH = Query("centralcloud.store", "bump_score_revision")


class Change(NamedTuple):
    """One score that changed, and why. `version` is None in a dry run."""

    model: str
    complexity: str
    old_score: float
    new_score: float
    reason: str
    based_on_samples: int
    success_rate: float | None
    avg_response_time: float | None
    confidence: float | None
    version: int | None

    @classmethod
    def of(cls, old_score: Decimal, score: Score, version: int | None = None) -> "Change":
        """The change from `old_score` to `score`."""
        return cls(
            model=score.model,
            complexity=score.complexity,
            old_score=float(old_score),
            new_score=float(score.score),
            reason=score.reason,
            based_on_samples=score.samples,
            success_rate=score.success_rate,
            avg_response_time=score.avg_response_time_ms,
            confidence=score.confidence,
            version=version,
        )


class Publication(NamedTuple):
    """A score on its way: what stood before, the score, and the rule's state behind it."""

    current: CurrentScore
    score: Score
    state: PairState


def publish(
    connection: psycopg.Connection[Any],
    publications: Iterable[Publication],
    *,
    rule: str,
    run_id: int | None,
    now: datetime,
) -> list[Change]:
    """Make scores the ones that stand, in the connection's transaction, which must hold the score lock.

    A first score that equals what instances report is written, and sends no message unless it says more than that.

    Args:
        rule: who says so: the name of a rule, or `pin`, `rollback` or `retired`.
        run_id: of the learner; None when an operator says so.

    Returns:
        What instances are told, in order of version.
    """
    publications = list(publications)
    rows = [
        {**each.score.values(), "rule": rule, "run_id": run_id, "now": now, "state": Jsonb(each.state)}
        for each in publications
    ]
    changes: list[Change] = []
    messages: list[str] = []
    with connection.cursor() as cursor:
        cursor.executemany(_PUT_SCORE.text, rows, returning=True)
        for row, (current, score, _) in zip(rows, publications, strict=True):
            row["version"] = _returned(cursor)
            row["old_score"] = current.old_score
            cursor.nextset()
            if current.version is None and score.score == current.old_score and score.mean is None:
                continue
            changes.append(Change.of(current.old_score, score, row["version"]))
            messages.append(_message(changes[-1], score, rule=rule, run_id=run_id, now=now))
        cursor.executemany(_ADD_HISTORY.text, rows)
    if messages:
        connection.execute(_SEND_UPDATES.text, {"messages": messages})
    connection.execute(_TOUCH.text)
    return changes


def _message(change: Change, score: Score, *, rule: str, run_id: int | None, now: datetime) -> str:
    return ScoreUpdate(
        model=change.model,
        complexity=change.complexity,
        old_score=change.old_score,
        new_score=change.new_score,
        version=change.version,
        timestamp=now,
        reason=change.reason,
        confidence=change.confidence,
        based_on_samples=change.based_on_samples,
        rule=rule,
        run_id=run_id,
        estimate=Estimate(
            mean=score.mean,
            n_eff=score.n_eff,
            probe_share=score.probe_share,
            interval=None if score.low is None or score.high is None else (score.low, score.high),
        ),
        window_start=None if score.mean is None else score.window_start,
    ).to_json()


def _returned(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def score_transaction(database: Database) -> Iterator[tuple[psycopg.Connection[Any], datetime]]:
    """A transaction that holds the score lock, and the moment of publication by the server's clock."""
    with database.transaction() as connection:
        connection.execute(_LOCK_SCORES.text)
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        yield connection, row[0]


def manual_score(current: CurrentScore, score: Decimal, kind: str, reason: str) -> Score:
    """A score that no evidence stands behind."""
    through_slice = current.through_slice or 0
    return Score(
        model=current.model,
        complexity=current.complexity,
        score=score,
        kind=kind,
        reason=reason,
        confidence=None,
        samples=0,
        success_rate=None,
        avg_response_time_ms=None,
        after_slice=through_slice,
        through_slice=through_slice,
    )
