"""A choice of the router, with its reason in words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from centralcloud.contracts.model_choice.selection import Chance, SelectionKind, SelectionMethod
from instance_agent.catalog.learned_scores import LearnedScore
from instance_agent.catalog.model import Model

Preference = Literal["speed", "cost"]
PREFERENCES: Final = ("speed", "cost")
Fallback = Literal["capabilities", "simple"]


class RankedModel(Struct, frozen=True):
    """A candidate model of a choice.

    Attributes:
        model: the catalog's entry.
        score: its score for the task, 0.0 to 5.0.
        value: what it was ranked by: the score, combined with speed or cost when that is preferred.
        learned: the learned score that `score` comes from; None for a configured one.
        penalty: what latency and cost have subtracted from its success probability to give the score, 0 to 1; None when its
            success probability was not estimated.
        chance: the probabilities with which it could be chosen.
    """

    model: Model
    score: float
    value: float
    learned: LearnedScore | None
    penalty: float | None
    chance: Chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model chosen for a task.

    Attributes:
        complexity: ``simple``, ``medium`` or ``complex``.
        chosen: the model's entry in the ranking.
        ranking: every candidate, best value first.
        method: how the best is found: by its value (`greedy`), or by a draw from the posterior of each (`thompson`).
        kind: whether the model was chosen as the best, as a probe, or at random.
        fallback: None, or why the request could not be met: `capabilities` (no model has all of them; they were ignored),
            `simple` (no model has a score for the complexity; the scores for simple tasks were used).
        capabilities: that were required.
        prefer: that was asked for: ``speed``, ``cost`` or None.
        requested_model: the model that was asked for by name, if any.
    """

    complexity: str
    chosen: RankedModel
    ranking: tuple[RankedModel, ...]
    method: SelectionMethod
    kind: SelectionKind
    fallback: Fallback | None = None
    capabilities: tuple[str, ...] = ()
    prefer: Preference | None = None
    requested_model: str | None = None

    @property
    def model(self) -> Model:
        """The catalog's entry: call ``model.name`` of ``model.provider``."""
        return self.chosen.model

    @property
    def score(self) -> float:
        """The score that was used, 0.0 to 5.0."""
        return self.chosen.score

    @property
    def score_version(self) -> int | None:
        """Version of the score that was used; None for a configured or a manual one."""
        return self.chosen.learned.version if self.chosen.learned else None

    @property
    def propensity(self) -> float:
        """Probability with which this model was chosen, for any reason, 0 to 1."""
        return self.chosen.chance.propensity

    @property
    def probe(self) -> bool:
        """Whether it was chosen to re-check its score, as the rule behind the scores asks for."""
        return self.kind == "probe"

    @property
    def explored(self) -> bool:
        """Whether it was chosen at random, as INSTANCE_AGENT_EXPLORATION asks for."""
        return self.kind == "exploration"

    @property
    def reason(self) -> str:
        """The reason for this choice, in words."""
        if self.requested_model:
            return f"{self.requested_model} was requested"
        if self.explored:
            return f"chosen at random from {len(self.ranking)} models, to explore"
        return self._fallback_reason() + (self._probe_reason() if self.probe else self._best_reason())

    def _fallback_reason(self) -> str:
        if self.fallback == "capabilities":
            return f"no model has all required capabilities ({', '.join(self.capabilities)}); "
        if self.fallback == "simple":
            return f"no model has a score for {self.complexity} tasks; "
        return ""

    def _probe_reason(self) -> str:
        return f"probed: {100 * self.chosen.chance.probe:.2g}% of traffic re-checks it"

    def _best_reason(self) -> str:
        by = f"score and {self.prefer}" if self.prefer else "score"
        tasks = f"{self.fallback if self.fallback == 'simple' else self.complexity} tasks"
        if self.method == "thompson":
            return f"Thompson draw by {by} for {tasks}: its chance was {100 * self.chosen.chance.win:.1f}%"
        equals = sum(ranked.value == self.chosen.value for ranked in self.ranking)
        return f"best {by} for {tasks}" if equals == 1 else f"one of {equals} models with the best {by} for {tasks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Choice):
    """A choice that was published. Report its outcome with `ModelRouter.report_outcome`.

    Attributes:
        decision_id: UUIDv7; links this decision to its outcome.
        timestamp: when the decision was made, in UTC.
        task_type: as given to `ModelRouter.route`; None when it was not.
    """

    decision_id: str
    timestamp: datetime
    task_type: str | None = None
