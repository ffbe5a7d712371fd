"""What a rule sees of one pair, and what it answers. Pure: no database."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Protocol

SCORE_STEP: Final = Decimal("0.001")
LOWEST_SCORE: Final = Decimal("0.000")
HIGHEST_SCORE: Final = Decimal("5.000")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEvidence:
    """What has come in for one (model, complexity) since it was last evaluated.

    Attributes:
        old_score: the score it has now: the learned one, else the one that instances last reported.
        after_slice: the evidence is that of the slices after this one.
        routed, successes, failures, blameless: events.
        response_time_count, response_time_sum_ms: of the successes and failures that reported a time.
    """

    model: str
    complexity: str
    old_score: Decimal
    after_slice: int = 0
    routed: int = 0
    successes: int = 0
    failures: int = 0
    blameless: int = 0
    response_time_count: int = 0
    response_time_sum_ms: int = 0

    @property
    def outcomes(self) -> int:
        """Resolved decisions that say something about the model."""
        return self.successes + self.failures

    @property
    def success_rate(self) -> float | None:
        """successes / outcomes, None without outcomes."""
        return self.successes / self.outcomes if self.outcomes else None

    @property
    def avg_response_time_ms(self) -> float | None:
        """Mean response time in ms, None when no time was reported."""
        return self.response_time_sum_ms / self.response_time_count if self.response_time_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a rule decided about one pair on `evidence`, which it has thereby used up.

    Attributes:
        new_score: 0.000 to 5.000, three places; may equal the old score.
        reason: the numbers, in words.
        confidence: 0 to 1.
    """

    evidence: PairEvidence
    new_score: Decimal
    reason: str
    confidence: float

    @property
    def changed(self) -> bool:
        """Whether the score is a new one."""
        return self.new_score != self.evidence.old_score


class Rule(Protocol):
    """Decides, from evidence alone, which score a pair should have."""

    @property
    def name(self) -> str:
        """The rule's name in settings, messages and history."""

    def evaluate(self, evidence: PairEvidence) -> Evaluation | None:
        """The pair's new score; None while the evidence is not enough, which leaves it for a later run."""


def as_score(value: float | Decimal) -> Decimal:
    """`value` as a score: a decimal of three places, from 0.000 to 5.000."""
    score = Decimal(repr(value) if isinstance(value, float) else value).quantize(SCORE_STEP, ROUND_HALF_EVEN)
    return min(max(score, LOWEST_SCORE), HIGHEST_SCORE)


def wilson_interval(successes: int, outcomes: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a success rate (Wilson 1927); `z` 1.96 gives 95 %. (0, 1) without outcomes."""
    if outcomes == 0:
        return 0.0, 1.0
    rate = successes / outcomes
    spread = z * z / outcomes
    centre = (rate + spread / 2) / (1 + spread)
    half = z * (rate * (1 - rate) / outcomes + spread / (4 * outcomes)) ** 0.5 / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
