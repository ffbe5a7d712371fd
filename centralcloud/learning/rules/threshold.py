"""The rule of the specification: a step up or down for success, a smaller one for speed.

Constants are those of the specification's ComplexityScoreLearner. Its origin's later version has a dead band: set
`low_success_rate` to 0.85 and `fast_response_ms` to 500 for it.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from centralcloud.learning.evidence import Evaluation, PairEvidence, as_score, wilson_interval

_NO_STEP: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdSettings:
    """Constants of the rule.

    Attributes:
        min_samples: outcomes that an evaluation needs.
        success_rate: above this rate the score rises by `success_step`.
        low_success_rate: below this rate it falls by `success_step`, from here to `success_rate` it stays.
            None: no dead band, everything not above `success_rate` falls.
        slow_response_ms: above this average response time the score falls by `speed_step`.
        fast_response_ms: below this it rises by `speed_step`, from here to `slow_response_ms` it stays.
            None: no dead band, everything not above `slow_response_ms` rises.
    """

    min_samples: int = 100
    success_rate: Decimal = Decimal("0.95")
    low_success_rate: Decimal | None = None
    success_step: Decimal = Decimal("0.2")
    slow_response_ms: Decimal = Decimal(2000)
    fast_response_ms: Decimal | None = None
    speed_step: Decimal = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """Evaluates a pair once `min_samples` outcomes have come in since its last evaluation, on those alone."""

    settings: ThresholdSettings = field(default_factory=ThresholdSettings)
    name: str = "threshold"

    def evaluate(self, evidence: PairEvidence) -> Evaluation | None:
        """The pair's new score; None below `min_samples` outcomes. Comparisons are exact, there is no rounding in them."""
        if evidence.outcomes == 0 or evidence.outcomes < self.settings.min_samples:
            return None
        success_step, success_reason = self._judge_success(evidence)
        speed_step, speed_reason = self._judge_speed(evidence)
        wanted = evidence.old_score + success_step + speed_step
        new_score = as_score(wanted)
        reason = f"{success_reason}; {speed_reason}; {evidence.old_score} -> {new_score}"
        if new_score != wanted:
            reason += f" (limited, would be {wanted})"
        low, high = wilson_interval(evidence.successes, evidence.outcomes)
        return Evaluation(evidence=evidence, new_score=new_score, reason=reason, confidence=round(1 - (high - low), 4))

    def _judge_success(self, evidence: PairEvidence) -> tuple[Decimal, str]:
        constants = self.settings
        low = constants.low_success_rate
        if evidence.successes > constants.success_rate * evidence.outcomes:
            step, verdict = constants.success_step, f"more than {_percent(constants.success_rate)}"
        elif low is None:
            step, verdict = -constants.success_step, f"not more than {_percent(constants.success_rate)}"
        elif evidence.successes < low * evidence.outcomes:
            step, verdict = -constants.success_step, f"less than {_percent(low)}"
        else:
            step, verdict = _NO_STEP, f"from {_percent(low)} to {_percent(constants.success_rate)}"
        rate = Decimal(evidence.successes) / evidence.outcomes
        counts = f"{evidence.successes:,} of {evidence.outcomes:,} outcomes succeeded"
        return step, f"{counts} ({_percent(rate)}, {verdict}): {_signed(step)}"

    def _judge_speed(self, evidence: PairEvidence) -> tuple[Decimal, str]:
        constants = self.settings
        count, total, fast = evidence.response_time_count, evidence.response_time_sum_ms, constants.fast_response_ms
        if count == 0:
            return _NO_STEP, "no response times: +0"
        if total > constants.slow_response_ms * count:
            step, verdict = -constants.speed_step, f"more than {constants.slow_response_ms:,} ms"
        elif fast is None:
            step, verdict = constants.speed_step, f"not more than {constants.slow_response_ms:,} ms"
        elif total < fast * count:
            step, verdict = constants.speed_step, f"less than {fast:,} ms"
        else:
            step, verdict = _NO_STEP, f"from {fast:,} to {constants.slow_response_ms:,} ms"
        return step, f"average response time {total / count:,.0f} ms ({verdict}): {_signed(step)}"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.1')).normalize():f} %"


def _signed(step: Decimal) -> str:
    return f"{step.normalize():+f}" if step else "+0"
