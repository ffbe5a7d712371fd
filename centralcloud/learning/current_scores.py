"""The published scores of all pairs, with the pins, holds and retirements that an operator has set."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.limits import NEUTRAL_SCORE
from centralcloud.contracts.task_score import TaskScores, parse_task_scores
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import Score, as_score
from centralcloud.learning.settings import FEW_PAIRS, LearningMinimum
from centralcloud.runtime.postgres.query import Query

#: An estimate is published when the score, n_eff or the probe share moves by at least this much.
_SCORE_STEP: Final = Decimal("0.005")
_N_EFF_RATIO: Final = 1.1
_PROBE_SHARE_RATIO: Final = 1.25
_SMALLEST_PROBE_SHARE: Final = 0.0005
#: After a rollback a pair is published again once this many new outcomes have arrived.
HOLD_OUTCOMES: Final = 50


class UnknownPairError(CentralCloudError):
    """The pair was never chosen or scored."""


class CurrentScore(NamedTuple):
    """The published score of a pair, and what an operator has set for it."""

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
    published_task_types: dict[str, Any] | None = None
    draw_n: float | None = None

    @property
    def task_types(self) -> TaskScores:
        """The published scores of its task types, by name."""
        return parse_task_scores(self.published_task_types)

    @property
    def pair(self) -> Pair:
        """Model and complexity."""
        return self.model, self.complexity

    @property
    def old_score(self) -> Decimal:
        """The published score, or else the one that instances reported last."""
        if self.score is not None:
            return self.score
        return as_score(NEUTRAL_SCORE if self.last_reported_score is None else self.last_reported_score)

    def withheld(self, outcomes_since_hold: float) -> bool:
        """Return whether a retirement, a pin or a hold forbids publishing a learned score for the pair."""
        if self.retired_at is not None or self.pinned_score is not None:
            return True
        return self.held_after_slice is not None and outcomes_since_hold < HOLD_OUTCOMES

    def differs_from(self, score: Score) -> bool:
        """Return whether `score` must be published: every change, except for a tiny one of an estimate."""
        if self.version is None:
            # A change that was told has left the pair without outcomes of its own, and with an estimate.
            return score.samples > 0 or score.kind == "changed"
        new = score.estimate
        if new.mean is None or self.mean is None:
            return score.score != self.score or (new.mean is None) != (self.mean is None)
        return (
            abs(score.score - self.old_score) >= _SCORE_STEP
            or _ratio(new.n_eff, self.n_eff) >= _N_EFF_RATIO
            or (
                _ratio(new.probe_share, self.probe_share) >= _PROBE_SHARE_RATIO
                and abs((new.probe_share or 0.0) - (self.probe_share or 0.0)) > _SMALLEST_PROBE_SHARE
            )
            or _task_types_differ(score.task_types, self.task_types)
        )


_ALL: Final = LearningMinimum(min_outcomes=0)
_CURRENT_SCORES = Query(__package__, "current_scores", row=CurrentScore)


def read_current_scores(connection: psycopg.Connection[Any], learning: LearningMinimum = _ALL) -> list[CurrentScore]:
    """Read every pair that `learning` admits (default: all), ordered by model and complexity."""
    return _CURRENT_SCORES.all(connection, {"min_outcomes": learning.min_outcomes, "few": FEW_PAIRS})


def _task_types_differ(new: TaskScores, published: TaskScores) -> bool:
    return new.keys() != published.keys() or any(
        abs(task.score - published[name].score) >= float(_SCORE_STEP)
        or _ratio(task.estimate.n_eff, published[name].estimate.n_eff) >= _N_EFF_RATIO
        for name, task in new.items()
    )


def _ratio(one: float | None, other: float | None) -> float:
    low, high = sorted((one or 0.0, other or 0.0))
    if high == 0.0:
        return 1.0
    return high / low if low else float("inf")
