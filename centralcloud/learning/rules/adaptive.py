"""The adaptive rule: a score is the estimated success rate since the last change, less penalties for latency and cost.

Everything is recomputed in every run from the evidence alone. Between runs the rule remembers only the changes: where the
window of each pair begins, and the level that a pair has fallen from. docs/explanation/learning.md has the formulas and
constants; the steps here are numbered as there.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

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
from centralcloud.learning.rules.alarm_log import Past, alarm_of, open_change, read_state, record_alarm
from centralcloud.learning.rules.change_detection import find_changes
from centralcloud.learning.rules.confidence_sequence import anytime_interval
from centralcloud.learning.rules.probes import leaders_of, probe_shares
from centralcloud.learning.rules.quarantine import differing_instances
from centralcloud.learning.rules.shrinkage import (
    LEAST_WORTH,
    draw_outcomes,
    predict_pairs,
    prior_worth,
    shrink,
    sources_of,
)
from centralcloud.learning.rules.suspicion import Suspicion, suspect_rises
from centralcloud.learning.rules.task_types import add_task_scores, recompute_task_scores
from centralcloud.learning.rules.told_changes import (
    apply_changes,
    note_new_versions,
    reason_of,
    sentence_of,
    told_of,
)
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.runtime.wording import apart, counted, decimals

_HALF_LIFE_OUTCOMES: Final = 1000.0
#: That of scores whose state does not name it.
_FORMER_HALF_LIFE_OUTCOMES: Final = 3000.0
#: An outcome that is older weighs less than 1/32,000. Evidence is not merged before (merge_evidence.sql).
_FORGOTTEN_HALF_LIVES: Final = 15
_LEAST_DISPERSION: Final = 0.05
#: The dispersion of all pairs together counts in that of one pair like so many outcomes of its own.
_SHARED_DISPERSION_OUTCOMES: Final = 50.0
#: A difference of two sums of rewards below this is one of rounding.
_ROUNDING: Final = 1e-6
#: The prior, and its worth in outcomes, of scores whose state does not name them.
#: A change shows that predictions of this pair have not held: the evidence they follow from may be older than the change.
_WORTH_AFTER_CHANGE: Final = LEAST_WORTH
_FORMER_PRIOR: Final = (0.5, 2.0)
#: A pair with fewer outcomes, and without a change, is called new.
_NEW_OUTCOMES: Final = 30
#: A penalty that moved by more than this, and by more than the mean, is the reason for a score.
_TELLING_PENALTY: Final = 0.01
#: A greater likelihood ratio is not written out.
_MANY_TIMES: Final = 1000


class AdaptiveSettings(BaseModel):
    """Constants of the rule.

    Attributes:
        latency_weight, cost_weight: 0 to 1: the penalty, in success rate, for a model that is as slow, or as expensive, as
            the reference (or more).
    """

    model_config = ConfigDict(frozen=True)

    latency_weight: float = Field(default=0.1, ge=0, le=1)
    cost_weight: float = Field(default=0.0, ge=0, le=1)


class _Priors(NamedTuple):
    """The prior of every pair; arrays of shape (pairs,).

    Attributes:
        mean: 0 to 1.
        worth: how many outcomes it counts like.
        sources: words for the outcomes that it follows from; "" without any.
    """

    mean: Floats
    worth: Floats
    sources: list[str]


class _Estimates(NamedTuple):
    """The numbers of every pair; arrays of shape (pairs,)."""

    outcomes: Floats
    mean: Floats
    n_eff: Floats
    latency: Floats
    cost: Floats
    utility: Floats


@dataclass(frozen=True, slots=True)
class AdaptiveRule:
    """The adaptive rule, as the docstring of this module describes it."""

    settings: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    name: str = "adaptive"
    eager: bool = True

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:
        """Return the instances whose outcomes the rest of the fleet does not explain (step 0)."""
        return differing_instances(recent)

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:
        """Compute a score for every pair that was chosen or has outcomes (steps 1 to 4)."""
        pairs = evidence.pairs
        result = RuleResult([], {})
        if not pairs:
            return result
        before = [read_state(states.get(pair, RuleState()), evidence) for pair in pairs]
        past, since = note_new_versions(apply_changes(before, evidence), evidence)
        starts = np.array([evidence.position_after(each.state.evidence_from) for each in past], dtype=np.int64)
        dispersion = _dispersion(evidence, starts)
        split = find_changes(evidence, starts, dispersion)
        now = [
            record_alarm(each.state, split, column, evidence) if split.changed[column] else each.state
            for column, each in enumerate(past)
        ]
        starts = np.where(split.changed, split.position, starts)
        priors = _priors(evidence, starts, dispersion, now)
        estimates = self._estimates(evidence, starts, dispersion, priors)
        leaders = leaders_of(pairs, estimates.utility)
        goal, fallen = _goals(estimates, leaders), _fallen(estimates, leaders, now)
        rose = np.array([_rose(state) for state in now])
        suspicion = suspect_rises(evidence, starts, dispersion, goal, rose, told_of(now, since, starts))
        probes = probe_shares(evidence, goal - estimates.mean, fallen, suspicion)
        window = _Window(evidence, starts, priors, estimates, probes, suspicion)
        for column, pair in enumerate(pairs):
            told = past[column].state.payload.get("changed") != before[column].state.payload.get("changed")
            begun = "alarm" if split.changed[column] else "changed" if told else None
            score = window.score(column, now[column], past[column], begun)
            prior = float(priors.mean[column]), float(priors.worth[column])
            parts = [score.estimate.mean, score.latency_penalty, score.cost_penalty, _HALF_LIFE_OUTCOMES, *prior]
            result.scores.append(score)
            payload = {**now[column].payload, "parts": parts}
            if evidence.excluded:
                payload["left_out"] = sorted(evidence.excluded)
            result.states[pair] = replace(now[column], payload=payload)
            if split.changed[column]:
                result.alarms.append(alarm_of(pair, split, column, evidence))
            result.open_changes.extend(open_change(score, now[column]))
        add_task_scores(evidence, result, dispersion)
        return result

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:
        """Compute the score of `pair` from the evidence after `after_slice`."""
        starts = np.full(len(evidence.pairs), evidence.position_after(after_slice), dtype=np.int64)
        parts = state.payload.get("parts", ())
        half_life = parts[3:4] or [_FORMER_HALF_LIFE_OUTCOMES]
        mean, worth = parts[4:6] or _FORMER_PRIOR
        priors = _Priors(np.full(len(starts), mean), np.full(len(starts), worth), [])
        estimates = self._estimates(evidence, starts, 1.0, priors, half_life[0])
        return _as_score(float(estimates.utility[evidence.pairs.index(pair)]))

    def recompute_task_types(
        self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState
    ) -> dict[str, Decimal]:
        """Compute the scores of the task types of `pair` from the evidence after `after_slice`."""
        _, latency, cost = state.payload.get("parts", (0.0, 0.0, 0.0))[:3]
        return recompute_task_scores(evidence, pair, after_slice, state, latency + cost)

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:  # noqa: ARG002
        """Begin the window after `after_slice`, and forget the level that the pair had fallen from."""
        return RuleState(evidence_from=after_slice)

    def _estimates(
        self,
        evidence: Evidence,
        starts: Integers,
        dispersion: float | Floats,
        priors: _Priors,
        half_life: float = _HALF_LIFE_OUTCOMES,
    ) -> _Estimates:
        """Compute mean = (s + n0 m) / (n + n0), n_eff = n / phi + n0, utility = mean - weighted latency and cost."""
        outcomes, reward = evidence.since("outcomes", starts), evidence.since("reward", starts)
        mean, n_eff = shrink(priors.mean, priors.worth, reward, outcomes, dispersion)
        latency = _penalty(evidence, self.settings.latency_weight, "latency", "timed", half_life)
        cost = _penalty(evidence, self.settings.cost_weight, "cost", "priced", half_life)
        return _Estimates(outcomes, mean, n_eff, latency, cost, mean - latency - cost)


class _Window:
    """The evidence of every pair since its last change, and the scores that follow from it (step 4)."""

    def __init__(
        self,
        evidence: Evidence,
        starts: Integers,
        priors: _Priors,
        estimates: _Estimates,
        probe_shares: Floats,
        suspicion: Suspicion,
    ) -> None:
        self._evidence = evidence
        self._starts = starts
        self._priors = priors
        self._estimates = estimates
        self._probe_shares = probe_shares
        self._suspicion = suspicion
        self._reward, self._timed, self._time_ms = (
            evidence.since(name, starts) for name in ("reward", "timed", "response_time_ms")
        )
        low, high = anytime_interval(estimates.outcomes, self._reward, evidence.since("reward_squares", starts))
        # A prior may outweigh a few outcomes that contradict it.
        self._low, self._high = np.minimum(low, estimates.mean), np.maximum(high, estimates.mean)

    def score(self, column: int, state: RuleState, past: Past, begun: str | None) -> Score:
        """Return the score of the pair in `column`.

        Args:
            past: the pair at the last run, with the parts of its score then.
            begun: what has begun the window of the pair in this run, `alarm` or `changed`; None: it goes on.
        """
        evidence = self._evidence
        model, complexity = evidence.pairs[column]
        outcomes, mean, n_eff, latency, cost, utility = (float(values[column]) for values in self._estimates)
        start, probe_share, timed = int(self._starts[column]), float(self._probe_shares[column]), self._timed[column]
        low, high = float(self._low[column]), float(self._high[column])
        low_95, high_95 = wilson_interval(mean * n_eff, n_eff)
        score = _as_score(utility)
        window_start = evidence.opened_at[min(start, evidence.size - 1)]
        return Score(
            model=model,
            complexity=complexity,
            score=score,
            kind=begun
            or _kind(past.parts, outcomes, mean, latency, cost, excluded=not evidence.excluded <= past.left_out),
            reason=_sentence(
                score,
                outcomes,
                mean,
                latency,
                cost,
                self._prior_of(column),
                (low, high),
                probe_share,
                window_start,
                state,
                self._suspicion_of(column, state),
                evidence.excluded,
            ),
            confidence=round(1 - (high_95 - low_95), 4),
            samples=round(outcomes),
            success_rate=float(self._reward[column]) / outcomes if outcomes else None,
            avg_response_time_ms=float(self._time_ms[column]) / float(timed) if timed else None,
            after_slice=evidence.slices[start - 1] if start else 0,
            through_slice=evidence.slices[-1],
            window_start=window_start,
            estimate=Estimate(
                mean=round(mean, 6),
                n_eff=round(n_eff, 3),
                draw_n=round(draw_outcomes(n_eff), 3),
                probe_share=round(probe_share, 6),
                interval=(round(low, 6), round(high, 6)),
            ),
            latency_penalty=round(latency, 6),
            cost_penalty=round(cost, 6),
        )

    def _prior_of(self, column: int) -> str:
        """Return the words for the prior of the pair in `column`; "" if the mean is written the same without it."""
        outcomes, mean = self._estimates.outcomes[column], self._estimates.mean[column]
        if outcomes and f"{self._reward[column] / outcomes:.3f}" == f"{mean:.3f}":
            return ""
        prior, worth = float(self._priors.mean[column]), float(self._priors.worth[column])
        source = self._priors.sources[column]
        return f", prior {prior:.2f} worth {counted(round(worth), 'outcome')}" + (f", from {source}" if source else "")

    def _suspicion_of(self, column: int, state: RuleState) -> str:
        """Return the words for the suspicion that the pair in `column` has become as good as the leader; "" without one."""
        suspicion = self._suspicion
        if not suspicion.suspected[column]:
            return ""
        since = self._evidence.opened_at[min(int(suspicion.position[column]), self._evidence.size - 1)]
        if suspicion.told[column]:
            return f"; a rise is suspected, because {reason_of(state, since)}"
        if suspicion.followed[column]:
            return f"; a rise is suspected, because its model rose for other tasks at {since:%Y-%m-%d %H:%M} UTC"
        whose = "the outcomes of all its complexities" if suspicion.whole_model[column] else "its outcomes"
        ratio = suspicion.ratio[column]
        times = f"{ratio:.0f}" if ratio < _MANY_TIMES else f"more than {_MANY_TIMES:,}"
        return (
            f"; a rise is suspected: {whose} since {since:%Y-%m-%d %H:%M} UTC are {times} times as likely if it has become"
            " as good as the best as if it has not"
        )


def _as_score(utility: float) -> Decimal:
    return as_score(float(HIGHEST_SCORE) * min(max(utility, 0.0), 1.0))


def _priors(evidence: Evidence, starts: Integers, dispersion: Floats, states: list[RuleState]) -> _Priors:
    """Return the prior of each pair: the one that its state names, or the prediction from the other pairs."""
    outcomes, reward = evidence.since("outcomes", starts), evidence.since("reward", starts)
    mean = predict_pairs(evidence.pairs, reward, outcomes)
    worth = np.full(len(mean), prior_worth(mean, reward, outcomes, dispersion))
    sources = sources_of(evidence.pairs, outcomes)
    for column, state in enumerate(states):
        if "alarm" in state.payload:
            worth[column] = _WORTH_AFTER_CHANGE
        if "prior" in state.payload:
            mean[column], worth[column] = state.payload["prior"]
            sources[column] = "its former version"
    return _Priors(mean, worth, sources)


def _dispersion(evidence: Evidence, starts: Integers) -> Floats:
    """Return phi of each pair: 1 for outcomes of 0 or 1, less for graded ones.

    A pair with graded outcomes has (ss - s^2/n) / (s (1 - s/n)), shrunk to the ratio of the sums over all such pairs, which
    counts like 50 outcomes. The others keep 1: graded outcomes of another model say nothing about the scatter of theirs.
    """
    n, s, squares = (evidence.since(name, starts) for name in ("outcomes", "reward", "reward_squares"))
    phi = np.ones(len(n))
    graded = np.abs(s - squares) > _ROUNDING
    n, s, squares = np.maximum(n[graded], 1.0), s[graded], squares[graded]
    scatter, as_bernoulli = squares - s * s / n, s * (1 - s / n)
    if as_bernoulli.sum() > 0:
        shared = scatter.sum() / as_bernoulli.sum()
        own = np.divide(scatter, as_bernoulli, out=np.full(len(n), shared), where=as_bernoulli > 0)
        shrunk = (n * own + _SHARED_DISPERSION_OUTCOMES * shared) / (n + _SHARED_DISPERSION_OUTCOMES)
        phi[graded] = np.maximum(shrunk, _LEAST_DISPERSION)
    return phi


def _penalty(evidence: Evidence, weight: float, name: str, count: str, half_life: float) -> Floats:
    """Return `weight` times the mean of `name` over `count`, in which the weight of a slice halves with age.

    `half_life` is in outcomes of the fleet. Everything older than `_FORGOTTEN_HALF_LIVES` is taken as one slice, so a pair
    without recent outcomes keeps its mean. Shape (pairs,); 0 for a pair without any reported value.
    """
    if not weight:
        return np.zeros(len(evidence.pairs))
    newest = evidence.fleet[-1]
    first = max(bisect_left(evidence.fleet, newest - _FORGOTTEN_HALF_LIVES * half_life), 1)
    ends = np.arange(first, evidence.size + 1)
    weights = np.exp2((np.array(evidence.fleet[first:]) - newest) / half_life)
    weighted, weighted_count = (
        weights @ np.diff(evidence.total(part, ends), axis=0, prepend=np.zeros((1, len(evidence.pairs))))
        for part in (name, count)
    )
    mean: Floats = np.divide(weighted, weighted_count, out=np.zeros_like(weighted), where=weighted_count > 0)
    return weight * mean


def _goals(estimates: _Estimates, leaders: Integers) -> Floats:
    """Return the mean with which each pair would be as good as the leader of its complexity; NaN for the leader."""
    goal = estimates.utility[leaders] + estimates.latency + estimates.cost
    return np.where(leaders == np.arange(len(goal)), np.nan, goal)


def _fallen(estimates: _Estimates, leaders: Integers, states: list[RuleState]) -> Booleans:
    """Return which pairs have fallen from a level at which they would be better than the leader."""
    level = np.array([state.payload.get("fallen_from", -math.inf) for state in states])
    fallen: Booleans = level - estimates.latency - estimates.cost > estimates.utility[leaders]
    return fallen


def _rose(state: RuleState) -> bool:
    """Return whether the window of a pair began with a rise."""
    before, after, *_ = state.payload.get("alarm", (0.0, 0.0))
    return bool(after > before)


def _kind(
    before: Sequence[float] | None,
    outcomes: float,
    mean: float,
    latency: float,
    cost: float,
    *,
    excluded: bool,
) -> str:
    """Return what moved the score in this run. `excluded`: whether it leaves out instances that counted in the last one."""
    if before is not None:
        moved = {"latency": abs(latency - before[1]), "cost": abs(cost - before[2])}
        name = max(moved, key=moved.__getitem__)
        if moved[name] > max(_TELLING_PENALTY, abs(mean - before[0])):
            return name
    if excluded:
        return "quarantine"
    return "new" if outcomes < _NEW_OUTCOMES else "steady"


def _sentence(
    score: Decimal,
    outcomes: float,
    mean: float,
    latency: float,
    cost: float,
    prior: str,
    interval: tuple[float, float],
    probe_share: float,
    window_start: datetime,
    state: RuleState,
    suspicion: str,
    excluded: frozenset[str],
) -> str:
    penalties = "".join(f" - {part:.3f} for {what}" for part, what in ((latency, "latency"), (cost, "cost")) if part)
    basis = f"{counted(round(outcomes), 'outcome')} since {window_start:%Y-%m-%d %H:%M} UTC"
    sentence = f"{score} = 5 x (mean {mean:.3f} of {basis}{prior}"
    sentence += f"{penalties}), interval {interval[0]:.3f} to {interval[1]:.3f}"
    if probe_share:
        sentence += f", {100 * probe_share:.2g}% of traffic re-checks it"
    if alarm := state.payload.get("alarm"):
        before, after, statistic, threshold = alarm
        was, now = apart(before, after, text=decimals, digits=2)
        found, limit = apart(statistic, threshold, text=decimals, digits=0)
        compared = f"above the threshold {limit}"
        if statistic <= threshold:
            compared = f"with the other tasks of the model {compared}"
        sentence += f"; the mean changed then from {was} to {now} (G is {found}, {compared})"
    sentence += sentence_of(state) + suspicion
    if excluded:
        sentence += f"; without the quarantined {', '.join(sorted(excluded))}"
    return sentence
