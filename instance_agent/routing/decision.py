"""What the router decided, and why, in words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from instance_agent.catalog.learned_scores import LearnedScore
from instance_agent.catalog.model import Model
from instance_agent.routing.selection import Chance, SelectionKind, SelectionMethod

Preference = Literal["speed", "cost"]
PREFERENCES: Final = ("speed", "cost")
Fallback = Literal["capabilities", "simple"]


@dataclass(frozen=True, slots=True)
class RankedModel:
    """A model that could have been chosen.

    Attributes:
        score: its score for the task, 0.0 to 5.0.
        value: what it was ranked by: the score, mixed with speed or cost when that is preferred.
        learned: where the score comes from; None for a configured one.
        penalty: what time and money have taken off its success probability on the way to the score, 0 to 1; None when no
            such probability is known.
        chance: how probable it was that it is chosen.
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
        chosen: the model's entry in the ranking.
        ranking: every model that could have been chosen, best value first.
        method: how the best is found: by its value (`greedy`), or by a draw of what is known of each (`thompson`).
        how: whether it was taken as the best, as a probe, or at random.
        fallback: None, or why the wish could not be met: `capabilities` (no model has them all, they were ignored),
            `simple` (no model has a score for the complexity, the best for simple tasks was taken).
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
        """The catalog's entry; ``model.name`` and ``model.provider`` say whom to call."""
        return self.chosen.model

    @property
    def score(self) -> float:
        """The score that was used, 0.0 to 5.0."""
        return self.chosen.score

    @property
    def score_version(self) -> int | None:
        """Version of the score that was used; None for a configured one, and for one sent by hand."""
        return self.chosen.learned.version if self.chosen.learned else None

    @property
    def propensity(self) -> float:
        """Probability with which this model was chosen, in whichever way, 0 to 1."""
        return self.chosen.chance.propensity

    @property
    def probe(self) -> bool:
        """Chosen to re-check its score, as the rule behind the scores asks for."""
        return self.kind == "probe"

    @property
    def explored(self) -> bool:
        """Chosen at random, as INSTANCE_AGENT_EXPLORATION asks for."""
        return self.kind == "exploration"

    @property
    def reason(self) -> str:
        """Why this model, in words."""
        if self.requested_model:
            return f"{self.requested_model} was asked for"
        if self.explored:
            return f"chosen at random among {len(self.ranking)} models, to learn about it"
        return self._lacking() + (self._probed() if self.probe else self._best())

    def _lacking(self) -> str:
        if self.fallback == "capabilities":
            return f"no model has {', '.join(self.capabilities)} together; "
        if self.fallback == "simple":
            return f"no model has a score for {self.complexity} tasks; "
        return ""

    def _probed(self) -> str:
        return f"probed: {100 * self.chosen.chance.probe:.2g} % of traffic re-checks it"

    def _best(self) -> str:
        by = f"score and {self.prefer}" if self.prefer else "score"
        tasks = f"{self.fallback if self.fallback == 'simple' else self.complexity} tasks"
        if self.method == "thompson":
            return f"Thompson draw by {by} for {tasks}: it had a {100 * self.chosen.chance.win:.1f} % chance"
        equals = sum(ranked.value == self.chosen.value for ranked in self.ranking)
        return f"best {by} for {tasks}" if equals == 1 else f"one of {equals} with the best {by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Choice):
    """A choice that was published, and whose outcome is to be reported.

    Attributes:
        decision_id: UUIDv7; links this decision to its outcome.
    """

    decision_id: str
    timestamp: datetime
    task_type: str | None = None
