"""The interface of a learning rule: evidence and the rule's own state in, scores with reasons and the new state out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, Protocol, runtime_checkable

from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate
from centralcloud.contracts.task_score import TaskScores, parse_task_scores
from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes
from centralcloud.runtime.comparison import wilson_interval as wilson_interval  # for rules

SCORE_STEP: Final = Decimal("0.001")
LOWEST_SCORE: Final = Decimal("0.000")
HIGHEST_SCORE: Final = Decimal("5.000")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """The memory of a rule about one pair, between runs.

    Maintenance merges old slices, but never across `evidence_from` or one of `earlier_boundaries`. Only the rule reads the
    payload.

    Attributes:
        evidence_from: the rule continues with the evidence after this slice; 0: with all of it.
        earlier_boundaries: slices after which the rule may have to start again, instead of after `evidence_from`.
        payload: anything else that the rule needs; a JSON object.
    """

    evidence_from: int = 0
    earlier_boundaries: tuple[int, ...] = ()
    payload: dict[str, Any] = field(default_factory=dict)


#: The states of all pairs, as the rule left them at its last run. A pair that it has not seen yet is missing.
States = Mapping[Pair, RuleState]

#: The parts of an estimate, as columns of the tables that hold scores.
_ESTIMATE_COLUMNS: Final = ("mean", "n_eff", "draw_n", "low", "high", "probe_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score of one pair, and the numbers that explain it.

    Attributes:
        score: 0.000 to 5.000, three places.
        kind: the reason in one word: `steady`, `alarm`, `changed`, `new`, `latency`, `cost`, `quarantine` or `step`.
        reason: the reason in a sentence, with its numbers.
        confidence: 0 to 1: one minus the width of the 95% Wilson interval of the success rate.
        samples: number of outcomes that the score is based on.
        success_rate, avg_response_time_ms: of these outcomes; None without any.
        after_slice, through_slice: the score is based on the evidence of the slices after the first, through the second.
        window_start: when that evidence begins.
        estimate: the success probability; `NO_ESTIMATE` from a rule that does not estimate one.
        latency_penalty, cost_penalty: how much was subtracted from the mean, 0 to 1.
        task_types: the scores for tasks of one type, by its name; empty from a rule that knows no task types.
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
    estimate: Estimate = NO_ESTIMATE
    latency_penalty: float | None = None
    cost_penalty: float | None = None
    task_types: TaskScores = field(default_factory=dict)

    @property
    def pair(self) -> Pair:
        """Model and complexity."""
        return self.model, self.complexity

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "Score":
        """Return the score in a row of a table that holds scores; other columns are ignored."""
        low, high = columns["low"], columns["high"]
        estimate = Estimate(
            mean=columns["mean"],
            n_eff=columns["n_eff"],
            draw_n=columns["draw_n"],
            probe_share=columns["probe_share"],
            interval=None if low is None or high is None else (low, high),
        )
        task_types = parse_task_scores(columns.get("task_types"))
        return cls(estimate=estimate, task_types=task_types, **{name: columns[name] for name in _PLAIN_COLUMNS})

    def to_columns(self) -> dict[str, Any]:
        """The columns that `from_columns` reads."""
        estimate = self.estimate
        parts = (
            estimate.mean,
            estimate.n_eff,
            estimate.draw_n,
            *(estimate.interval or (None, None)),
            estimate.probe_share,
        )
        return {
            **{name: getattr(self, name) for name in _PLAIN_COLUMNS},
            **dict(zip(_ESTIMATE_COLUMNS, parts, strict=True)),
        }


_PLAIN_COLUMNS: Final = tuple(each.name for each in fields(Score) if each.name not in ("estimate", "task_types"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A change of a pair's success rate that the rule noticed in this run.

    Attributes:
        before, after: mean reward on both sides of the change, 0 to 1.
        after_slice: the change lies after this slice.
        at: when the next slice was opened.
        statistic, threshold: the generalised likelihood ratio, and the value that it exceeded.
        whole_model: found by looking at all complexities of the model together.
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
class OpenChange:
    """A change that operators should still know about: it is a finding for as long as the rule returns it.

    Attributes:
        fell: whether the success rate fell.
        before: mean reward before the change, 0 to 1; after several falls that before the first one.
        after: mean reward after the change when it was noticed, 0 to 1.
        statistic, threshold: the generalised likelihood ratio, and the value that it exceeded.
        mean: estimated success probability now, 0 to 1.
    """

    model: str
    complexity: str
    fell: bool
    before: float
    after: float
    statistic: float
    threshold: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """An instance whose outcomes differ from those of the fleet; they are not counted as long as they do.

    Attributes:
        excess: by how much its log-likelihood ratio exceeds what chance explains.
        pairs: number of pairs on which it was compared.
    """

    instance_id: str
    excess: float
    pairs: int


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one run of a rule.

    Attributes:
        scores: of every pair that was evaluated; the scores of the others stay.
        states: the state of every pair, for the next run.
        alarms: the changes that were noticed in this run.
        open_changes: all changes that operators should know about now, whenever they were noticed.
    """

    scores: list[Score]
    states: dict[Pair, RuleState]
    alarms: list[Alarm] = field(default_factory=list)
    open_changes: list[OpenChange] = field(default_factory=list)


class Rule(Protocol):
    """Decides the score of each pair. Pure: equal evidence and states give equal results.

    `centralcloud.learning.rules.registry` finds the rules: the built-in ones and those of other packages.
    """

    @property
    def name(self) -> str:
        """The rule's name in settings, messages and history."""

    @property
    def eager(self) -> bool:
        """Whether the rule also runs as soon as enough outcomes have arrived, and not only on the schedule."""

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:
        """Return the instances whose evidence is not counted in this run, judged by the newest slices."""

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:
        """Compute scores from `evidence`, which does not contain the outcomes of excluded instances."""

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:
        """Compute the score of `pair` again, from the same evidence (after `after_slice`) and the state it was stored with.

        `centralcloud verify --scores` uses this to find scores or evidence that were changed afterwards.
        """

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:
        """Return the state of a pair that an operator has set to `score`: older evidence must not undo that."""


@runtime_checkable
class TaskTypeRule(Protocol):
    """A rule that also gives each pair scores for task types (`Score.task_types`), from the evidence in `Evidence.tasks`.

    A rule without this method is one that knows no task types.
    """

    def recompute_task_types(
        self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState
    ) -> dict[str, Decimal]:
        """Compute the scores of the task types of `pair` again, by name, as `Rule.recompute` computes that of the pair."""


def as_score(value: float | Decimal) -> Decimal:
    """Round `value` to a score: a decimal of three places, from 0.000 to 5.000."""
    score = Decimal(repr(value) if isinstance(value, float) else value).quantize(SCORE_STEP, ROUND_HALF_EVEN)
    return min(max(score, LOWEST_SCORE), HIGHEST_SCORE)
