"""The scores that instances use now, with what an operator has said about each."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import Score, as_score
from centralcloud.runtime.postgres.query import Query

#: The score of a pair of which nobody has reported one.
NEUTRAL_SCORE: Final = 2.5
#: An estimate is worth a message when the score, the certainty, or the probe share has moved by so much.
_TELLING_STEP: Final = Decimal("0.005")
_TELLING_RATIO: Final = 1.1
_TELLING_PROBE_RATIO: Final = 1.25
_SMALLEST_PROBE_SHARE: Final = 0.0005
#: After a rollback a score is published again once so many new outcomes are behind it.
HOLD_OUTCOMES: Final = 50


class UnknownPairError(CentralCloudError):
    """Nobody has ever chosen or scored such a pair."""


class CurrentScore(NamedTuple):
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


_CURRENT_SCORES = Query(__package__, "current_scores", row=CurrentScore)


def read_current_scores(connection: psycopg.Connection[Any]) -> list[CurrentScore]:
    """Every pair as it stands, ordered by model and complexity."""
    return _CURRENT_SCORES.all(connection)


def _ratio(one: float | None, other: float | None) -> float:
    low, high = sorted((one or 0.0, other or 0.0))
    if high == 0.0:
        return 1.0
    return high / low if low else float("inf")
