"""The threshold rule of the specification: a step up or down for success, a smaller one for speed.

The default constants are those of ComplexityScoreLearner in docs/reference/specification.md. For a dead band, set
`low_success_rate` (for example to 0.85) and `fast_response_ms` (to 500).
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from centralcloud.contracts.limits import NEUTRAL_SCORE
from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes
from centralcloud.learning.rule import Quarantine, RuleResult, RuleState, Score, States, as_score, wilson_interval
from centralcloud.runtime.arrays import Floats, Integers, np
from centralcloud.runtime.wording import apart, decimals

_NO_STEP: Final = Decimal(0)


class ThresholdSettings(BaseModel):
    """Constants of the rule.

    Attributes:
        min_samples: number of outcomes that an evaluation needs.
        success_rate: above this rate the score rises by `success_step`.
        low_success_rate: below this rate the score falls by `success_step`; between the two rates it stays.
            None: no dead band; every rate that is not above `success_rate` makes it fall.
        slow_response_ms: above this average response time the score falls by `speed_step`.
        fast_response_ms: below this time the score rises by `speed_step`; between the two times it stays.
            None: no dead band; every time that is not above `slow_response_ms` makes it rise.
    """

    model_config = ConfigDict(frozen=True)

    min_samples: int = Field(default=100, ge=1)
    success_rate: Decimal = Field(default=Decimal("0.95"), ge=0, le=1)
    low_success_rate: Decimal | None = Field(default=None, ge=0, le=1)
    success_step: Decimal = Field(default=Decimal("0.2"), ge=0, le=5, decimal_places=3)
    slow_response_ms: Decimal = Field(default=Decimal(2000), ge=0)
    fast_response_ms: Decimal | None = Field(default=None, ge=0)
    speed_step: Decimal = Field(default=Decimal("0.1"), ge=0, le=5, decimal_places=3)

    @model_validator(mode="after")
    def _check_dead_bands(self) -> "ThresholdSettings":
        for low, high in (("low_success_rate", "success_rate"), ("fast_response_ms", "slow_response_ms")):
            lower, upper = getattr(self, low), getattr(self, high)
            if lower is not None and lower > upper:
                raise PydanticCustomError(
                    "dead_band",
                    "expected at most {limit}, the value of {other}",
                    {"field": low, "found": str(lower), "limit": str(upper), "other": high},
                )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEvidence:
    """The outcomes of one pair since it was last evaluated.

    Attributes:
        old_score: the score before: the rule's own, or else the one that instances last reported.
        successes, failures: number of outcomes.
        response_time_count, response_time_sum_ms: of the outcomes that reported a time.
    """

    old_score: Decimal
    successes: int = 0
    failures: int = 0
    response_time_count: int = 0
    response_time_sum_ms: int = 0

    @property
    def outcomes(self) -> int:
        """Number of resolved decisions that count for the model."""
        return self.successes + self.failures


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """Evaluates a pair once `min_samples` outcomes have arrived since its last evaluation, on those outcomes alone.

    The payload of its state is `score`, the rule's newest score, and `from`, the score that it was computed from.
    """

    settings: ThresholdSettings = field(default_factory=ThresholdSettings)
    name: str = "threshold"
    eager: bool = False

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:  # noqa: ARG002
        """Return no instance: the specification counts them all."""
        return []

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:
        """Compute scores of the pairs with enough new outcomes."""
        result = RuleResult([], dict(states))
        pairs = evidence.pairs
        before = [states.get(pair, RuleState()) for pair in pairs]
        used = np.array([evidence.position_after(state.evidence_from) for state in before], dtype=np.int64)
        sums = _sums_since(evidence, used)
        for column, pair in enumerate(pairs):
            stored = before[column].payload.get("score")
            old_score = as_score(evidence.reported.get(pair, NEUTRAL_SCORE)) if stored is None else Decimal(stored)
            new_outcomes = _pair_evidence(sums, column, old_score)
            if (judged := self.judge(new_outcomes)) is None:
                continue
            score, reason = judged
            result.scores.append(_score(pair, new_outcomes, score, reason, evidence, int(used[column])))
            result.states[pair] = RuleState(
                evidence_from=evidence.slices[-1], payload={"score": str(score), "from": str(old_score)}
            )
        return result

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:
        """Compute the score of `pair` from the evidence after `after_slice` and the score before it, which `state` names."""
        starts = np.full(len(evidence.pairs), evidence.position_after(after_slice), dtype=np.int64)
        old_score = Decimal(state.payload["from"])
        judged = self.judge(_pair_evidence(_sums_since(evidence, starts), evidence.pairs.index(pair), old_score))
        return old_score if judged is None else judged[0]

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:  # noqa: ARG002
        """Continue from `score`, on the evidence after `after_slice`."""
        return RuleState(evidence_from=after_slice, payload={"score": str(score)})

    def judge(self, evidence: PairEvidence) -> tuple[Decimal, str] | None:
        """Return the pair's new score and the reason; None below `min_samples` outcomes. Comparisons are exact."""
        if evidence.outcomes == 0 or evidence.outcomes < self.settings.min_samples:
            return None
        success_step, success_reason = self._judge_success(evidence)
        speed_step, speed_reason = self._judge_speed(evidence)
        wanted = evidence.old_score + success_step + speed_step
        new_score = as_score(wanted)
        reason = f"{success_reason}; {speed_reason}; {evidence.old_score} -> {new_score}"
        if new_score != wanted:
            reason += f" (limited, would be {wanted})"
        return new_score, reason

    def _judge_success(self, evidence: PairEvidence) -> tuple[Decimal, str]:
        constants = self.settings
        high, low = constants.success_rate, constants.low_success_rate
        rate = Decimal(evidence.successes) / evidence.outcomes
        if evidence.successes > high * evidence.outcomes:
            step, limits, verdict = constants.success_step, [high], "more than {}"
        elif low is None:
            step, limits, verdict = -constants.success_step, [high], "not more than {}"
        elif evidence.successes < low * evidence.outcomes:
            step, limits, verdict = -constants.success_step, [low], "less than {}"
        else:
            step, limits, verdict = _NO_STEP, [low, high], "from {} to {}"
        found, *expected = apart(rate, *limits, text=_percent)
        counts = f"{evidence.successes:,} of {evidence.outcomes:,} outcomes succeeded"
        return step, f"{counts} ({found}, {verdict.format(*expected)}): {_signed(step)}"

    def _judge_speed(self, evidence: PairEvidence) -> tuple[Decimal, str]:
        constants = self.settings
        count, total = evidence.response_time_count, evidence.response_time_sum_ms
        slow, fast = constants.slow_response_ms, constants.fast_response_ms
        if count == 0:
            return _NO_STEP, "no response times: +0"
        if total > slow * count:
            step, limits, verdict = -constants.speed_step, [slow], "more than {} ms"
        elif fast is None:
            step, limits, verdict = constants.speed_step, [slow], "not more than {} ms"
        elif total < fast * count:
            step, limits, verdict = constants.speed_step, [fast], "less than {} ms"
        else:
            step, limits, verdict = _NO_STEP, [fast, slow], "from {} to {} ms"
        found, *expected = apart(total / count, *limits, text=decimals, digits=0)
        return step, f"average response time {found} ms ({verdict.format(*expected)}): {_signed(step)}"


def _sums_since(evidence: Evidence, starts: Integers) -> dict[str, Floats]:
    return {name: evidence.since(name, starts) for name in ("outcomes", "successes", "timed", "response_time_ms")}


def _pair_evidence(sums: dict[str, Floats], column: int, old_score: Decimal) -> PairEvidence:
    successes = round(sums["successes"][column])
    return PairEvidence(
        old_score=old_score,
        successes=successes,
        failures=round(sums["outcomes"][column]) - successes,
        response_time_count=round(sums["timed"][column]),
        response_time_sum_ms=round(sums["response_time_ms"][column]),
    )


def _score(pair: Pair, counted: PairEvidence, score: Decimal, reason: str, evidence: Evidence, used: int) -> Score:
    low, high = wilson_interval(counted.successes, counted.outcomes)
    times = counted.response_time_count
    return Score(
        model=pair[0],
        complexity=pair[1],
        score=score,
        kind="step",
        reason=reason,
        confidence=round(1 - (high - low), 4),
        samples=counted.outcomes,
        success_rate=counted.successes / counted.outcomes,
        avg_response_time_ms=counted.response_time_sum_ms / times if times else None,
        after_slice=evidence.slices[used - 1] if used else 0,
        through_slice=evidence.slices[-1],
        window_start=evidence.opened_at[used],
    )


def _percent(share: Decimal, digits: int) -> str:
    """Return a share (0 to 1) in percent, without the zeros at its end: "95%"."""
    return f"{(share * 100).quantize(Decimal(1).scaleb(-digits)).normalize():f}%"


def _signed(step: Decimal) -> str:
    return f"{step.normalize():+f}" if step else "+0"
