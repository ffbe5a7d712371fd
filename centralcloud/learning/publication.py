"""Writing scores: what stands, its history, and the messages to the instances, in one transaction under the score lock."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from centralcloud.contracts import ScoreUpdate
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import PairState, Score, as_score
from centralcloud.store import queries

_STANDING = queries.load("standing_scores")
_PUT_SCORE = queries.load("put_score")
_ADD_HISTORY = queries.load("add_score_history")
_SEND_UPDATES = queries.load("send_score_updates")
_TOUCH = queries.load("touch_scores")

#: The score of a pair of which nobody has reported one.
NEUTRAL_SCORE: Final = 2.5
#: An estimate is worth a message when the score, the certainty, or the probe share has moved by so much.
_TELLING_STEP: Final = Decimal("0.005")
_TELLING_RATIO: Final = 1.1
_TELLING_PROBE_RATIO: Final = 1.25
_SMALLEST_PROBE_SHARE: Final = 0.0005
#: After a rollback a score is published again once so many new outcomes are behind it.
HOLD_OUTCOMES: Final = 50


class Standing(NamedTuple):
    """A pair as it stands: the score that instances use, and what an operator has said about it."""

    model: str
    complexity: str
    last_reported_score: float | None
    score: Decimal | None
    version: int | None
    mean: float | None
    n_eff: float | None
    probe_share: float | None
    through_slice: int | None
    pinned_score: Decimal | None
    held_after_slice: int | None
    retired_at: datetime | None
    routed_count: int
    outcome_count: int

    @property
    def pair(self) -> Pair:
        """What it is."""
        return self.model, self.complexity

    @property
    def old_score(self) -> Decimal:
        """The published score, else the one that instances last reported."""
        if self.score is not None:
            return self.score
        return as_score(NEUTRAL_SCORE if self.last_reported_score is None else self.last_reported_score)

    def withheld(self, outcomes_since_hold: float) -> bool:
        """Whether an operator's word stands against publishing what a rule thinks of it."""
        if self.retired_at is not None or self.pinned_score is not None:
            return True
        return self.held_after_slice is not None and outcomes_since_hold < HOLD_OUTCOMES

    def differs_from(self, score: Score) -> bool:
        """Whether instances should hear of `score`: of every step, and of an estimate that tells them something new."""
        if self.version is None:
            return score.samples > 0
        if score.mean is None or self.mean is None:
            return score.score != self.score or (score.mean is None) != (self.mean is None)
        return (
            abs(score.score - self.old_score) >= _TELLING_STEP
            or _ratio(score.n_eff, self.n_eff) >= _TELLING_RATIO
            or (
                _ratio(score.probe_share, self.probe_share) >= _TELLING_PROBE_RATIO
                and abs((score.probe_share or 0.0) - (self.probe_share or 0.0)) > _SMALLEST_PROBE_SHARE
            )
        )


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

    standing: Standing
    score: Score
    state: PairState


def read_standing(connection: psycopg.Connection[Any]) -> list[Standing]:
    """Every pair as it stands, ordered by model and complexity."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Standing(**row) for row in cursor.execute(_STANDING)]


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
        cursor.executemany(_PUT_SCORE, rows, returning=True)
        for row, (standing, score, _) in zip(rows, publications, strict=True):
            row["version"] = _returned(cursor)
            row["old_score"] = standing.old_score
            cursor.nextset()
            if standing.version is None and score.score == standing.old_score and score.mean is None:
                continue
            changes.append(Change.of(standing.old_score, score, row["version"]))
            messages.append(_message(changes[-1], score, rule=rule, run_id=run_id, now=now))
        cursor.executemany(_ADD_HISTORY, rows)
    if messages:
        connection.execute(_SEND_UPDATES, {"messages": messages})
    connection.execute(_TOUCH)
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
        mean=score.mean,
        n_eff=score.n_eff,
        probe_share=score.probe_share,
        interval=None if score.low is None or score.high is None else (score.low, score.high),
        window_start=None if score.mean is None else score.window_start,
    ).to_json()


def _returned(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _ratio(one: float | None, other: float | None) -> float:
    low, high = sorted((one or 0.0, other or 0.0))
    if high == 0.0:
        return 1.0
    return high / low if low else float("inf")
