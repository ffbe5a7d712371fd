"""Publish scores: the score, its history, and the messages to the instances, in one transaction under the score lock."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import psycopg
from msgspec import structs

from centralcloud.contracts import ScoreUpdate
from centralcloud.contracts.estimate import NO_ESTIMATE
from centralcloud.contracts.task_score import TaskScore, TaskScores
from centralcloud.learning.current_scores import CurrentScore
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import Score
from centralcloud.learning.rule_scores import NO_BASIS, Basis
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.score_lock import bump_score_revision, lock_scores

_UPSERT_SCORE = Query(__package__, "upsert_score", row=int)
_INSERT_SCORE_HISTORY = Query(__package__, "insert_score_history")
_UPSERT_TASK_SCORES = Query(__package__, "upsert_task_scores")
_SEND_SCORE_UPDATES = Query(__package__, "send_score_updates")
_CLOCK = Query(__package__, "clock", row=datetime)
#: Model, complexity, task type, version of the pair, score.
_TaskRow: TypeAlias = tuple[str, str, str, int, TaskScore]


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


def subject_of(pair: Pair) -> str:
    """Return a pair as the subject of an action: ``model/complexity``."""
    return "/".join(pair)


def scores_before(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the scores before some changes, by pair, for the log."""
    return {"scores": {subject_of((each.model, each.complexity)): each.old_score for each in changes}}


def scores_after(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the scores after some changes, by pair, for the log."""
    return {"scores": {subject_of((each.model, each.complexity)): each.new_score for each in changes}}


def newest_version(changes: Sequence[Change]) -> int | None:
    """Return the newest version of some changes; None without changes."""
    return max((each.version for each in changes if each.version is not None), default=None)


class Publication(NamedTuple):
    """A score to publish: the score before it, the new one, and the basis of the new one."""

    current: CurrentScore
    score: Score
    basis: Basis = NO_BASIS


def publish(
    connection: psycopg.Connection[Any],
    publications: Iterable[Publication],
    *,
    rule: str,
    run_id: int | None,
    now: datetime,
) -> list[Change]:
    """Publish scores in the connection's transaction, which must hold the score lock.

    The first score of a pair is stored but not sent if it equals the score that instances report and has no estimate.

    Args:
        rule: the source of the scores: the name of a rule, or `pin`, `rollback`, `retired`, `reinstated` or `renamed`.
        run_id: the run of the learner; None for a source other than a rule.

    Returns:
        The changes that are sent to the instances, in order of version.
    """
    publications = list(publications)
    rows = [
        {**score.to_columns(), **basis.to_columns(), "rule": rule, "run_id": run_id, "now": now}
        for _, score, basis in publications
    ]
    changes: list[Change] = []
    messages: list[str] = []
    versions = _UPSERT_SCORE.one_each(connection, rows)
    task_scores: list[_TaskRow] = []
    for row, version, (current, score, _) in zip(rows, versions, publications, strict=True):
        row |= {"version": version, "old_score": current.old_score}
        score = replace(score, task_types=_versioned(score.task_types, current.task_types, version))
        task_scores += ((*score.pair, name, version, task) for name, task in score.task_types.items())
        if current.version is None and score.score == current.old_score and score.estimate == NO_ESTIMATE:
            continue
        changes.append(Change.of(current.old_score, score, version))
        messages.append(_message(changes[-1], score, rule=rule, run_id=run_id, now=now))
    _INSERT_SCORE_HISTORY.run_each(connection, rows)
    _store_task_scores(connection, task_scores, now)
    if messages:
        _SEND_SCORE_UPDATES.run(connection, {"messages": messages})
    bump_score_revision(connection)
    return changes


def _versioned(new: TaskScores, published: TaskScores, version: int) -> TaskScores:
    """Return the new scores of task types, with the version in which each changed last."""

    def versioned(name: str, task: TaskScore) -> TaskScore:
        before = published.get(name)
        same = before is not None and (before.score, before.estimate) == (task.score, task.estimate)
        return structs.replace(task, version=before.version if before is not None and same else version)

    return {name: versioned(name, task) for name, task in new.items()}


def _store_task_scores(connection: psycopg.Connection[Any], rows: Sequence[_TaskRow], now: datetime) -> None:
    if not rows:
        return
    models, complexities, names, pair_versions, tasks = zip(*rows, strict=True)
    values = {
        "now": now,
        "models": list(models),
        "complexities": list(complexities),
        "task_types": list(names),
        "pair_versions": list(pair_versions),
        "versions": [task.version for task in tasks],
        "scores": [task.score for task in tasks],
        "samples": [task.samples for task in tasks],
        "means": [task.estimate.mean for task in tasks],
        "n_effs": [task.estimate.n_eff for task in tasks],
        "draw_ns": [task.estimate.draw_n for task in tasks],
        "probe_shares": [task.estimate.probe_share for task in tasks],
    }
    _UPSERT_TASK_SCORES.run(connection, values)


def _message(change: Change, score: Score, *, rule: str, run_id: int | None, now: datetime) -> str:
    estimate = score.estimate
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
        estimate=estimate,
        window_start=None if estimate.mean is None else score.window_start,
        task_types=score.task_types,
    ).to_json()


def read_clock(connection: psycopg.Connection[Any]) -> datetime:
    """The server's time now; within a transaction it goes on."""
    return _CLOCK.one(connection)


@contextmanager
def score_transaction(database: Database) -> Iterator[tuple[psycopg.Connection[Any], datetime]]:
    """Open a transaction that holds the score lock; also give the time of publication by the server's clock."""
    with database.transaction() as connection:
        lock_scores(connection)
        yield connection, read_clock(connection)


def manual_score(current: CurrentScore, score: Decimal, kind: str, reason: str) -> Score:
    """Return a score that is not based on evidence."""
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
