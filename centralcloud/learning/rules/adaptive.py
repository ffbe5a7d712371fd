"""The adaptive rule: scores are estimated success rates since the last change, less what a model costs in time and money.

Recomputed in every run from the evidence alone; what is remembered between runs is the log of changes: where each pair's
window begins, and a level that it has fallen from. Formulas and constants are those of docs/explanation/learning.md.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from centralcloud.learning.evidence import RECENT_SLICES, Evidence, Floats, Pair, RecentOutcomes
from centralcloud.learning.rule import (
    HIGHEST_SCORE,
    Alarm,
    PairState,
    Quarantine,
    RuleResult,
    Score,
    State,
    as_score,
    wilson_interval,
)
from centralcloud.learning.rules.change_detection import Split, find_changes
from centralcloud.learning.rules.quarantine import differing_instances

_HALF_LIFE_OUTCOMES: Final = 3000.0
#: Fifteen half-lives: what is older weighs less than 1/32,000. Evidence is not merged before (merge_evidence.sql).
_FORGOTTEN_OUTCOMES: Final = 15 * _HALF_LIFE_OUTCOMES
_SMALLEST_GAP: Final = 0.025
#: Probing costs at most so much reward a task: for all pairs that do not lead, and for the fallen or suspected ones.
_PROBE_BUDGET: Final = 0.002
_RETURN_BUDGET: Final = 0.01
_MOST_PROBES: Final = 0.01
_MOST_RETURN_PROBES: Final = 0.20
_SUSPICION: Final = 0.35
_LEAST_DISPERSION: Final = 0.05
_NINETY_PERCENT: Final = 1.645
#: A pair with fewer outcomes and no change behind it is called new.
_NEW_OUTCOMES: Final = 30
#: A penalty that has moved by more than this, and by more than the mean, is the reason of a score.
_TELLING_PENALTY: Final = 0.01


class AdaptiveSettings(BaseModel):
    """Constants of the rule.

    Attributes:
        latency_weight, cost_weight: 0 to 1: so much success a model is worth less that is as slow, or as expensive, as the
            references of the evidence or more.
    """

    model_config = ConfigDict(frozen=True)

    latency_weight: float = Field(default=0.1, ge=0, le=1)
    cost_weight: float = Field(default=0.0, ge=0, le=1)


class _Estimate(NamedTuple):
    """Every pair's numbers; arrays of shape (pairs,)."""

    outcomes: Floats
    mean: Floats
    n_eff: Floats
    latency: Floats
    cost: Floats
    utility: Floats


@dataclass(frozen=True, slots=True)
class AdaptiveRule:
    """See the module; the steps are numbered as in docs/explanation/learning.md."""

    settings: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    name: str = "adaptive"
    eager: bool = True

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:
        """Step 0: the instances whose outcomes the rest of the fleet does not explain."""
        return differing_instances(recent)

    def evaluate(self, evidence: Evidence, state: State) -> RuleResult:
        """Steps 1 to 4: a score for every pair of which an outcome has ever come in, or that has been chosen."""
        pairs = evidence.pairs
        if not pairs:
            return RuleResult([], {})
        before = [_reconsidered(state.get(pair, {}), evidence) for pair in pairs]
        starts = np.array(
            [evidence.position_after(of_pair.get("after_slice", 0)) for of_pair in before], dtype=np.int64
        )
        dispersion = _dispersion(evidence, starts)
        split = find_changes(evidence, starts, dispersion)
        now = [
            _changed(of_pair, split, column, evidence) if split.changed[column] else of_pair
            for column, of_pair in enumerate(before)
        ]
        starts = np.where(split.changed, split.position, starts)
        estimate = self._estimate(evidence, starts, dispersion)
        probes = _probe_shares(pairs, estimate, now, split)
        sums = [evidence.since(name, starts) for name in ("reward", "timed", "response_time_ms")]
        result = RuleResult([], {})
        for column, pair in enumerate(pairs):
            score = self._score(
                evidence, pair, column, int(starts[column]), sums, estimate, float(probes[column]), now[column]
            )
            result.scores.append(score)
            result.state[pair] = {
                **now[column],
                "parts": [score.mean, score.latency_penalty, score.cost_penalty],
                "excluded": sorted(evidence.excluded),
            }
            if split.changed[column]:
                result.alarms.append(_alarm(pair, split, column, evidence))
        return result

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: PairState) -> Decimal:  # noqa: ARG002
        """The score of `pair` on evidence after `after_slice`."""
        starts = np.full(len(evidence.pairs), evidence.position_after(after_slice), dtype=np.int64)
        estimate = self._estimate(evidence, starts, 1.0)
        return _as_score(float(estimate.utility[evidence.pairs.index(pair)]))

    def reset(self, state: PairState | None, score: Decimal, after_slice: int) -> PairState:  # noqa: ARG002
        """The window begins after `after_slice`; what the pair had fallen from is forgotten."""
        return {"after_slice": after_slice}

    def _estimate(self, evidence: Evidence, starts: NDArray[np.int64], dispersion: float) -> _Estimate:
        """Step 2: mean = (s + 1) / (n + 2), n_eff = n / phi + 2, utility = mean - weighted latency - weighted cost."""
        outcomes, reward = evidence.since("outcomes", starts), evidence.since("reward", starts)
        mean = (reward + 1) / (outcomes + 2)
        latency = _penalty(evidence, self.settings.latency_weight, "latency", "timed")
        cost = _penalty(evidence, self.settings.cost_weight, "cost", "priced")
        return _Estimate(outcomes, mean, outcomes / dispersion + 2, latency, cost, mean - latency - cost)

    def _score(
        self,
        evidence: Evidence,
        pair: Pair,
        column: int,
        start: int,
        sums: Sequence[Floats],
        estimate: _Estimate,
        probe_share: float,
        state: PairState,
    ) -> Score:
        outcomes, mean, n_eff = (float(part[column]) for part in estimate[:3])
        latency, cost, utility = (float(part[column]) for part in estimate[3:])
        reward, timed, time_ms = (float(part[column]) for part in sums)
        low, high = wilson_interval(mean * n_eff, n_eff, _NINETY_PERCENT)
        low_95, high_95 = wilson_interval(mean * n_eff, n_eff)
        score = _as_score(utility)
        window_start = evidence.opened_at[min(start, evidence.size - 1)]
        kind = _kind(state, outcomes, mean, latency, cost, excluded=bool(evidence.excluded))
        reason = _sentence(
            score, outcomes, mean, latency, cost, (low, high), probe_share, window_start, state, evidence.excluded
        )
        return Score(
            model=pair[0],
            complexity=pair[1],
            score=score,
            kind=kind,
            reason=reason,
            confidence=round(1 - (high_95 - low_95), 4),
            samples=round(outcomes),
            success_rate=reward / outcomes if outcomes else None,
            avg_response_time_ms=time_ms / timed if timed else None,
            after_slice=evidence.slices[start - 1] if start else 0,
            through_slice=evidence.slices[-1],
            window_start=window_start,
            mean=round(mean, 6),
            n_eff=round(n_eff, 3),
            low=round(low, 6),
            high=round(high, 6),
            probe_share=round(probe_share, 6),
            latency_penalty=round(latency, 6),
            cost_penalty=round(cost, 6),
        )


def _as_score(utility: float) -> Decimal:
    return as_score(float(HIGHEST_SCORE) * min(max(utility, 0.0), 1.0))


def _dispersion(evidence: Evidence, starts: NDArray[np.int64]) -> float:
    """phi = sum(ss - s^2/n) / sum(s (1 - s/n)) over all pairs: 1 for outcomes that are 0 or 1, less for graded ones."""
    n, s, squares = (evidence.since(name, starts) for name in ("outcomes", "reward", "reward_squares"))
    n = np.maximum(n, 1.0)
    as_bernoulli = float((s * (1 - s / n)).sum())
    if as_bernoulli <= 0 or np.array_equal(s, squares):
        return 1.0
    return max(_LEAST_DISPERSION, float((squares - s * s / n).sum()) / as_bernoulli)


def _penalty(evidence: Evidence, weight: float, name: str, count: str) -> Floats:
    """`weight` times the mean of `name` over `count`, each slice weighing half of one that is 3,000 fleet outcomes newer.

    What lies further back than `_FORGOTTEN_OUTCOMES` is taken as one stretch, so a pair long silent keeps the mean it had.
    Shape (pairs,); 0 for a pair of which nothing has been reported.
    """
    if not weight:
        return np.zeros(len(evidence.pairs))
    newest = evidence.fleet[-1]
    first = max(bisect_left(evidence.fleet, newest - _FORGOTTEN_OUTCOMES), 1)
    ends = np.arange(first, evidence.size + 1)
    weights = np.exp2((np.array(evidence.fleet[first:]) - newest) / _HALF_LIFE_OUTCOMES)
    weighted, weighted_count = (
        weights @ np.diff(evidence.total(part, ends), axis=0, prepend=np.zeros((1, len(evidence.pairs))))
        for part in (name, count)
    )
    mean: Floats = np.divide(weighted, weighted_count, out=np.zeros_like(weighted), where=weighted_count > 0)
    return weight * mean


def _reconsidered(state: PairState, evidence: Evidence) -> PairState:
    """The state less its newest alarms, when an instance had part in them that is out by now for what it reported lately.

    What the others report is then looked at as if there had been no alarm; a change that they show, too, is found again in
    the same run. Without that, a few slices of lies would cost the pair all that was known of it before.
    """
    state = _without_settled(state, evidence)
    while "before" in state:
        if evidence.excluded.issubset(state["raised_without"]):
            return state
        state = {**state["before"], **{name: state[name] for name in ("parts",) if name in state}}
    return state


def _without_settled(state: PairState, evidence: Evidence) -> PairState:
    """The state less what was before alarms so old that nobody is excluded any more for what was reported then."""
    if "before" not in state:
        return state
    if evidence.size - evidence.position_after(state["raised"]) >= RECENT_SLICES:
        return {name: value for name, value in state.items() if name not in ("before", "raised", "raised_without")}
    return {**state, "before": _without_settled(state["before"], evidence)}


def _changed(state: PairState, split: Split, column: int, evidence: Evidence) -> PairState:
    """Step 1 on an alarm: the window begins at the change; a level that was higher is remembered, a lower one is not."""
    before, after = float(split.before[column]), float(split.after[column])
    position = int(split.position[column])
    changed: dict[str, Any] = {
        **state,
        "after_slice": evidence.slices[position - 1],
        "alarm": [before, after, float(split.statistic[column]), float(split.threshold[column])],
        "raised": evidence.slices[-1],
        "raised_without": sorted(evidence.excluded),
        "before": {name: value for name, value in state.items() if name not in ("parts", "excluded")},
    }
    changed.pop("fallen_from", None)
    if before > after:
        changed["fallen_from"] = max(before, state.get("fallen_from", 0.0))
    return changed


def _alarm(pair: Pair, split: Split, column: int, evidence: Evidence) -> Alarm:
    position = int(split.position[column])
    return Alarm(
        model=pair[0],
        complexity=pair[1],
        before=round(float(split.before[column]), 4),
        after=round(float(split.after[column]), 4),
        after_slice=evidence.slices[position - 1],
        at=evidence.opened_at[position],
        statistic=round(float(split.statistic[column]), 2),
        threshold=round(float(split.threshold[column]), 2),
        whole_model=bool(split.whole_model[column]),
    )


def _probe_shares(pairs: list[Pair], estimate: _Estimate, state: list[PairState], split: Split) -> Floats:
    """Step 3: what each pair that does not lead its complexity is probed with, budgeted in lost utility."""
    shares = np.zeros(len(pairs))
    complexities = np.array([complexity for _, complexity in pairs])
    suspected = ~split.changed & (split.upward > _SUSPICION * split.threshold)
    fallen_from = np.array([of_pair.get("fallen_from", -math.inf) for of_pair in state])
    for complexity in np.unique(complexities):
        columns = np.flatnonzero(complexities == complexity)
        if len(columns) < 2:
            continue
        leader = columns[np.argmax(estimate.utility[columns])]
        others = columns[columns != leader]
        gap = np.maximum(estimate.utility[leader] - estimate.utility[others], _SMALLEST_GAP)
        shares[others] = np.minimum(_PROBE_BUDGET / len(others) / gap, _MOST_PROBES)
        fallen = fallen_from[others] - estimate.latency[others] - estimate.cost[others] > estimate.utility[leader]
        may_return = fallen | suspected[others]
        if number := int(may_return.sum()):
            extra = np.minimum(_RETURN_BUDGET / number / gap, _MOST_RETURN_PROBES / number)
            shares[others] += np.where(may_return, extra, 0.0)
    return shares


def _kind(state: PairState, outcomes: float, mean: float, latency: float, cost: float, *, excluded: bool) -> str:
    before = state.get("parts")
    if before is not None:
        moved = {"latency": abs(latency - before[1]), "cost": abs(cost - before[2])}
        name = max(moved, key=moved.__getitem__)
        if moved[name] > max(_TELLING_PENALTY, abs(mean - before[0])):
            return name
    if excluded:
        return "quarantine"
    if "alarm" in state:
        return "alarm"
    return "new" if outcomes < _NEW_OUTCOMES else "steady"


def _sentence(
    score: Decimal,
    outcomes: float,
    mean: float,
    latency: float,
    cost: float,
    interval: tuple[float, float],
    probe_share: float,
    window_start: datetime,
    state: PairState,
    excluded: frozenset[str],
) -> str:
    penalties = "".join(f" - {part:.3f} for {what}" for part, what in ((latency, "latency"), (cost, "cost")) if part)
    sentence = f"{score} = 5 x (mean {mean:.3f} of {outcomes:,.0f} outcomes since {window_start:%Y-%m-%d %H:%M} UTC"
    if alarm := state.get("alarm"):
        before, after, statistic, threshold = alarm
        sentence += f" [alarm: {before:.2f} -> {after:.2f}, G {statistic:.0f} > {threshold:.0f}]"
    sentence += f"{penalties}), interval {interval[0]:.3f} to {interval[1]:.3f}"
    if probe_share:
        sentence += f", {100 * probe_share:.2g} % of traffic re-checks it"
    if excluded:
        sentence += f"; without the quarantined {', '.join(sorted(excluded))}"
    return sentence
