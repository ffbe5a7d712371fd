"""What a learning rule is: evidence and its own state in, scores with reasons and the new state out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, Protocol

from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes

SCORE_STEP: Final = Decimal("0.001")
LOWEST_SCORE: Final = Decimal("0.000")
HIGHEST_SCORE: Final = Decimal("5.000")

#: What a rule remembers of a pair between runs: a JSON object. Some names in it mean something to others: evidence is never
#: merged across an `after_slice`, `excluded` lists the instances that were left out, and `alarm` (rate before, rate after,
#: statistic, threshold) with `fallen_from` opens a finding.
PairState = dict[str, Any]
State = Mapping[Pair, PairState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score of one pair, and everything that says why.

    Attributes:
        score: 0.000 to 5.000, three places.
        kind: why it is what it is, in a word: `steady`, `alarm`, `new`, `latency`, `cost`, `quarantine` or `step`.
        reason: the numbers, in words.
        confidence: 0 to 1: one minus the width of the 95 % Wilson interval of the success rate.
        samples: outcomes behind it.
        success_rate, avg_response_time_ms: of these outcomes; None without any.
        after_slice, through_slice: the evidence behind it is that of the slices after the one, through the other.
        window_start: when that evidence begins.
        mean: estimated probability of success, 0 to 1; None when the rule estimates none, as with the five that follow.
        n_eff: how many outcomes the estimate is worth: the success probability is Beta(mean n_eff, (1 - mean) n_eff).
        low, high: 5 % to 95 % interval of the success probability.
        probe_share: share of the tasks of this complexity that should go to this model to keep it judged, 0 to 1.
        latency_penalty, cost_penalty: what was taken off the mean, 0 to 1.
    """

    model: str
    complexity: str
    score: Decimal
    kind: str
    reason: str
    confidence: float | None
    samples: int
    success_rate: float | None
    avg_response_time_ms: float | None
    after_slice: int
    through_slice: int
    window_start: datetime | None = None
    mean: float | None = None
    n_eff: float | None = None
    low: float | None = None
    high: float | None = None
    probe_share: float | None = None
    latency_penalty: float | None = None
    cost_penalty: float | None = None

    @property
    def pair(self) -> Pair:
        """What it is the score of."""
        return self.model, self.complexity

    def values(self) -> dict[str, Any]:
        """Every attribute by its name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A pair whose success rate has changed.

    Attributes:
        before, after: mean reward on both sides of the change, 0 to 1.
        after_slice: the change lies after this slice.
        at: when the next slice was opened.
        statistic, threshold: the generalised likelihood ratio, and what it exceeded.
        whole_model: seen by looking at all complexities of the model together.
    """

    model: str
    complexity: str
    before: float
    after: float
    after_slice: int
    at: datetime
    statistic: float
    threshold: float
    whole_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """An instance whose outcomes differ from those of the fleet, and are not counted while they do.

    Attributes:
        excess: by how much its log-likelihood ratio exceeds what chance explains.
        pairs: on how many pairs it was compared.
    """

    instance_id: str
    excess: float
    pairs: int


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule decided in one run.

    Attributes:
        scores: of every pair that was evaluated; the scores of the others stay.
        state: what it remembers of every pair.
        alarms: the changes it has noticed in this run.
    """

    scores: list[Score]
    state: dict[Pair, PairState]
    alarms: list[Alarm] = field(default_factory=list)


class Rule(Protocol):
    """Decides which score each pair should have. Pure: equal evidence and state give equal rulings.

    A rule is made with its settings. A third party's one is a class whose instances have this shape, named by an entry point
    in the group `centralcloud.rules`; it is made without arguments.
    """

    @property
    def name(self) -> str:
        """The rule's name in settings, messages and history."""

    @property
    def eager(self) -> bool:
        """Whether it should also run as soon as enough outcomes have come in, and not only on the schedule."""

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:
        """Instances whose evidence is not to be counted in this run, judged by the newest slices."""

    def evaluate(self, evidence: Evidence, state: State) -> RuleResult:
        """The scores on `evidence`, which holds nothing of the excluded instances."""

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: PairState) -> Decimal:
        """The score that it gave `pair` when it left `state`, from the same evidence; that after `after_slice` counts.

        For `centralcloud verify --scores`, which shows that nobody has changed a score, nor what stands behind it.
        """

    def reset(self, state: PairState | None, score: Decimal, after_slice: int) -> PairState:
        """The state of a pair that an operator has set to `score`: older evidence must not undo that."""


def as_score(value: float | Decimal) -> Decimal:
    """`value` as a score: a decimal of three places, from 0.000 to 5.000."""
    score = Decimal(repr(value) if isinstance(value, float) else value).quantize(SCORE_STEP, ROUND_HALF_EVEN)
    return min(max(score, LOWEST_SCORE), HIGHEST_SCORE)


def wilson_interval(successes: float, outcomes: float, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a success rate (Wilson 1927); 95 % at `z` 1.96. (0, 1) without outcomes."""
    if outcomes <= 0:
        return 0.0, 1.0
    rate = successes / outcomes
    spread = z * z / outcomes
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / outcomes + spread / (4 * outcomes)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
