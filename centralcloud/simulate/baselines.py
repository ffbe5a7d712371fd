"""The rules that a rule is compared with. The router uses their scores in the same way as those of any rule."""

from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from centralcloud.contracts.estimate import Estimate
from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes
from centralcloud.learning.rule import (
    HIGHEST_SCORE,
    Quarantine,
    RuleResult,
    RuleState,
    Score,
    States,
    as_score,
    wilson_interval,
)
from centralcloud.runtime.arrays import Floats
from centralcloud.simulate.scenario import Weights

HALF_LIFE_OUTCOMES = 2000.0
#: After this many half-lives an outcome no longer counts: it would weigh less than 1/32,000.
_FORGOTTEN_HALF_LIVES = 15


@dataclass(frozen=True, slots=True)
class ThompsonRule:
    """Thompson sampling (Thompson 1933): success is Beta(1 + s, 1 + f) distributed, and instances sample from it.

    With a half-life, an outcome weighs half of one that is that many fleet outcomes newer (discounted Thompson sampling,
    Raj and Kalyani 2017). Penalties for latency and cost are subtracted as in any rule, from means that decay likewise. It
    does not detect changes, excludes no instances, and asks for no probes.
    """

    name: str = "thompson"
    half_life_outcomes: float | None = None
    weights: Weights = field(default_factory=Weights)
    eager: bool = True

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:  # noqa: ARG002
        """Return no instance."""
        return []

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:  # noqa: ARG002
        """Compute a score for every pair."""
        if not evidence.pairs:
            return RuleResult([], {})
        n, s, timed, latency, priced, cost = self._sums(
            evidence, ("outcomes", "reward", "timed", "latency", "priced", "cost")
        )
        mean = (s + 1) / (n + 2)
        latency = self.weights.latency * _ratio(latency, timed)
        cost = self.weights.cost * _ratio(cost, priced)
        scores = []
        for column, (model, complexity) in enumerate(evidence.pairs):
            low, high = wilson_interval(float(s[column]), float(n[column]))
            utility = float(mean[column] - latency[column] - cost[column])
            scores.append(
                Score(
                    model=model,
                    complexity=complexity,
                    score=as_score(float(HIGHEST_SCORE) * min(max(utility, 0.0), 1.0)),
                    kind="steady",
                    reason=f"{s[column]:.1f} of {n[column]:.1f} outcomes",
                    confidence=round(1 - (high - low), 4),
                    samples=round(float(n[column])),
                    success_rate=float(s[column] / n[column]) if n[column] else None,
                    avg_response_time_ms=None,
                    after_slice=0,
                    through_slice=evidence.slices[-1],
                    estimate=Estimate(mean=float(mean[column]), n_eff=float(n[column]) + 2, probe_share=0.0),
                    latency_penalty=float(latency[column]),
                    cost_penalty=float(cost[column]),
                )
            )
        return RuleResult(scores, {})

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:  # noqa: ARG002
        """Compute the score of `pair`."""
        return next(score.score for score in self.evaluate(evidence, {}).scores if score.pair == pair)

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:  # noqa: ARG002
        """Return an empty state: it remembers nothing between runs."""
        return RuleState()

    def _sums(self, evidence: Evidence, names: tuple[str, ...]) -> list[Floats]:
        if self.half_life_outcomes is None:
            return [evidence.total(name) for name in names]
        newest = evidence.fleet[-1]
        first = max(bisect_left(evidence.fleet, newest - _FORGOTTEN_HALF_LIVES * self.half_life_outcomes), 1)
        ends = np.arange(first, evidence.size + 1)
        weights = np.exp2((np.array(evidence.fleet[first:]) - newest) / self.half_life_outcomes)
        starts = ends - 1
        return [weights @ (evidence.total(name, ends) - evidence.total(name, starts)) for name in names]


@dataclass(frozen=True, slots=True)
class SilentRule:
    """Never gives a score: instances keep the scores that they start with."""

    name: str
    eager: bool = False

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:  # noqa: ARG002
        """Return no instance."""
        return []

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:  # noqa: ARG002
        """Return no scores."""
        return RuleResult([], {})

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:
        """Never called: the rule gives no scores."""
        raise NotImplementedError

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:  # noqa: ARG002
        """Return an empty state: it remembers nothing between runs."""
        return RuleState()


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0)
