"""Writing what a rule decided: scores, history, the run, and the messages to the instances, in one transaction."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from centralcloud.contracts import ScoreUpdate
from centralcloud.learning.evidence import Evaluation
from centralcloud.store import queries

_ADD_RUN = queries.load("add_learning_run")
_PUT_SCORE = queries.load("put_score")
_ADD_HISTORY = queries.load("add_score_history")
_SEND_UPDATES = queries.load("send_score_updates")


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
    confidence: float
    version: int | None

    @classmethod
    def of(cls, evaluation: Evaluation, version: int | None = None) -> "Change":
        """The change that `evaluation` makes."""
        evidence = evaluation.evidence
        return cls(
            model=evidence.model,
            complexity=evidence.complexity,
            old_score=float(evidence.old_score),
            new_score=float(evaluation.new_score),
            reason=evaluation.reason,
            based_on_samples=evidence.outcomes,
            success_rate=evidence.success_rate,
            avg_response_time=evidence.avg_response_time_ms,
            confidence=evaluation.confidence,
            version=version,
        )


def publish(
    connection: psycopg.Connection[Any],
    evaluations: list[Evaluation],
    *,
    rule: str,
    through_slice: int,
    started_at: datetime,
) -> tuple[int, list[Change]]:
    """Write the outcome of a run in the connection's transaction, which must hold the score lock.

    A pair whose score stays the same has its watermark moved and sends no message.

    Returns:
        The id of the run, and its changes in order of version.
    """
    run = {
        "rule": rule,
        "through_slice": through_slice,
        "started_at": started_at,
        "pairs_evaluated": len(evaluations),
        "pairs_changed": sum(evaluation.changed for evaluation in evaluations),
        "samples": sum(evaluation.evidence.outcomes for evaluation in evaluations),
    }
    run_id, now = _returned(connection.execute(_ADD_RUN, run))
    changes = []
    for evaluation in evaluations:
        values = {
            **_score_values(evaluation, rule=rule, run_id=run_id, through_slice=through_slice),
            "now": now,
        }
        version, is_new = _returned(connection.execute(_PUT_SCORE, values))
        if is_new:  # changed, or the first score of this pair that is ours
            connection.execute(_ADD_HISTORY, {**values, "version": version})
        if evaluation.changed:
            changes.append(Change.of(evaluation, version))
    if changes:
        messages = [_message(change, rule=rule, run_id=run_id, now=now) for change in changes]
        connection.execute(_SEND_UPDATES, {"messages": messages})
    return run_id, changes


def _score_values(evaluation: Evaluation, *, rule: str, run_id: int, through_slice: int) -> dict[str, Any]:
    evidence = evaluation.evidence
    return {
        "model": evidence.model,
        "complexity": evidence.complexity,
        "old_score": evidence.old_score,
        "score": evaluation.new_score,
        "reason": evaluation.reason,
        "rule": rule,
        "run_id": run_id,
        "confidence": evaluation.confidence,
        "samples": evidence.outcomes,
        "success_rate": evidence.success_rate,
        "avg_response_time": evidence.avg_response_time_ms,
        "after_slice": evidence.after_slice,
        "through_slice": through_slice,
    }


def _message(change: Change, *, rule: str, run_id: int, now: datetime) -> str:
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
    ).to_json()


def _returned(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)
