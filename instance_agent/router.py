"""Choosing a model for a task, and telling CentralCloud what was chosen and how it went."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

import uuid_utils

from centralcloud.contracts import COMPLEXITIES, CentralCloudError, RoutingEvent
from centralcloud.contracts.names import MAX_INT4
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog import Model, ModelCatalog

log = get_logger(__name__)

Preference = Literal["speed", "cost"]
PREFERENCES: Final = ("speed", "cost")

#: Score that is reported for a model on request that has none.
_NEUTRAL_SCORE: Final = 2.5

# Weights of the origin's router: how much the score counts beside speed and cost.
_SPEED_SCORE_WEIGHT: Final = 0.7
_SPEED_WEIGHT: Final = 0.3
_SPEED_REFERENCE_TOKENS: Final = 5000
_COST_SCORE_WEIGHT: Final = 0.6
_COST_WEIGHT: Final = 0.4


class RoutingError(CentralCloudError):
    """No model can be chosen."""


class EventSink(Protocol):
    """Takes routing events; must never block or raise."""

    def publish(self, event: RoutingEvent) -> None:
        """Take one event."""


@dataclass(frozen=True, slots=True)
class RankedModel:
    """A model that could have been chosen.

    Attributes:
        score: its score for the task, 0.0 to 5.0.
        value: what it was ranked by: the score, mixed with speed or cost when that is preferred.
    """

    model: Model
    score: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One routing decision.

    Attributes:
        decision_id: UUIDv7; links this decision to its outcome.
        model: the catalog's entry; ``model.name`` and ``model.provider`` say whom to call.
        score: the score that was used, 0.0 to 5.0.
        ranking: every model that could have been chosen, best first.
        propensity: probability with which this model was chosen, 0 to 1.
        explored: chosen to learn about it, not for its score.
        fallback: None, or why the wish could not be met: ``capabilities`` (no model has them all, they were ignored),
            ``simple`` (no model has a score for the complexity, the best for simple tasks was taken).
        score_version: version of the score that was used, None for a configured one.
    """

    decision_id: str
    timestamp: datetime
    complexity: str
    model: Model
    score: float
    ranking: tuple[RankedModel, ...]
    propensity: float
    explored: bool = False
    fallback: str | None = None
    score_version: int | None = None
    capabilities: tuple[str, ...] = ()
    prefer: Preference | None = None
    requested_model: str | None = None
    task_type: str | None = None

    @property
    def reason(self) -> str:
        """Why this model, in words."""
        if self.requested_model:
            return f"{self.requested_model} was asked for"
        if self.explored:
            return f"chosen at random among {len(self.ranking)} models, to learn about it"
        by = f"score and {self.prefer}" if self.prefer else "score"
        equals = sum(ranked.value == self.ranking[0].value for ranked in self.ranking)
        best = f"best {by} for {self.complexity} tasks" if equals == 1 else f"one of {equals} with the best {by}"
        if self.fallback == "capabilities":
            return f"no model has {', '.join(self.capabilities)} together; {best}"
        if self.fallback == "simple":
            return f"no model has a score for {self.complexity} tasks; best {by} for simple tasks"
        return best


class ModelRouter:
    """Chooses the model with the best score for a task's complexity.

    With an `exploration` share of tasks it takes any suitable model instead, with equal chances: without that, a model
    that starts with too low a score is never tried again. Safe to use from several threads.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        *,
        instance_id: str,
        publisher: EventSink | None = None,
        exploration: float = 0.0,
        rng: random.Random | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`exploration` is a probability, 0 to 1. Without a `publisher` nobody learns from the decisions."""
        self._catalog = catalog
        self._instance_id = instance_id
        self._publisher = publisher
        self._exploration = exploration
        self._rng = rng or random.Random()
        self._clock = clock

    def route(
        self,
        complexity: str,
        *,
        capabilities: Iterable[str] = (),
        prefer: Preference | None = None,
        model: str | None = None,
        task_type: str | None = None,
    ) -> Decision:
        """Choose a model, and publish the decision.

        Args:
            complexity: ``simple``, ``medium`` or ``complex``.
            capabilities: what the model must be able to do; ignored, and reported, when no model has them all.
            prefer: ``speed``: 0.7 * score + 0.3 * (5000 / max_output_tokens).
                ``cost``: 0.6 * score + 0.4 * (1 if free else 1 / (1 + average price)).
            model: take exactly this model.

        Raises:
            RoutingError: the catalog is empty, the model is not in it, no model has a score, or an argument is wrong.
        """
        if complexity not in COMPLEXITIES:
            raise RoutingError(f"complexity: found {complexity!r}, expected one of {', '.join(COMPLEXITIES)}")
        if prefer is not None and prefer not in PREFERENCES:
            raise RoutingError(f"prefer: found {prefer!r}, expected one of {', '.join(PREFERENCES)}")
        self._catalog.refresh()
        if not self._catalog.models:
            raise RoutingError("the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG")
        wanted = (capabilities,) if isinstance(capabilities, str) else tuple(capabilities)
        ranking, scored_as, fallback = (
            (self._requested(model, complexity), complexity, None) if model else self._rank(complexity, wanted, prefer)
        )
        best = [ranked for ranked in ranking if ranked.value == ranking[0].value]
        explored = not model and len(ranking) > 1 and self._rng.random() < self._exploration
        chosen = self._rng.choice(ranking if explored else best)
        learned = self._catalog.learned(chosen.model.name, scored_as)
        decision = Decision(
            decision_id=str(uuid_utils.uuid7()),
            timestamp=self._clock(),
            complexity=complexity,
            model=chosen.model,
            score=chosen.score,
            ranking=tuple(ranking),
            propensity=self._propensity(chosen, ranking, best, exploring=not model),
            explored=explored,
            fallback=fallback,
            score_version=learned.version if learned else None,
            capabilities=wanted,
            prefer=prefer,
            requested_model=model,
            task_type=task_type,
        )
        self._publish(self._event(decision, "routed"))
        return decision

    def report_outcome(
        self,
        decision: Decision,
        success: bool,
        response_time_ms: float | None = None,
        *,
        error_kind: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost_usd: float | None = None,
    ) -> None:
        """Publish how a decision turned out, under its decision_id. The first report of a decision counts.

        Args:
            response_time_ms: until the answer was complete; what is no number from 0 to 2147483647 is left out.
            error_kind: for a failure: ``caller``, ``policy`` (both say nothing about the model), ``provider``, ``timeout``.
        """
        self._publish(
            self._event(
                decision,
                "success" if success else "failure",
                response_time_ms=_usable_time(response_time_ms),
                error_kind=error_kind,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost_usd=cost_usd,
            )
        )

    def _rank(
        self, complexity: str, capabilities: Sequence[str], prefer: Preference | None
    ) -> tuple[list[RankedModel], str, str | None]:
        """The suitable models, best first; the complexity whose scores were used; why the wish could not be met."""
        models = self._catalog.models
        capable = [model for model in models if model.capabilities.issuperset(capabilities)]
        for candidates, scored_as, fallback in (
            (capable, complexity, None),
            (models, complexity, "capabilities"),
            (models, "simple", "simple"),
        ):
            if ranking := self._ranked(candidates, scored_as, prefer):
                return ranking, scored_as, fallback
        raise RoutingError(f"no model of the catalog has a score for {complexity} or for simple tasks")

    def _ranked(self, models: Sequence[Model], complexity: str, prefer: Preference | None) -> list[RankedModel]:
        ranking = [
            RankedModel(model, score, preferred_value(model, score, prefer))
            for model in models
            if (score := self._catalog.score(model, complexity)) is not None
        ]
        return sorted(ranking, key=lambda ranked: -ranked.value)

    def _requested(self, name: str, complexity: str) -> list[RankedModel]:
        matching = [model for model in self._catalog.models if model.name == name]
        if not matching:
            known = ", ".join(sorted({model.name for model in self._catalog.models}))
            raise RoutingError(f"model: found {name!r}, expected one of the catalog: {known}")
        scores = [self._catalog.score(model, complexity) for model in matching]
        return [
            RankedModel(model, _NEUTRAL_SCORE if score is None else score, 0.0)
            for model, score in zip(matching, scores, strict=True)
        ]

    def _propensity(
        self, chosen: RankedModel, ranking: list[RankedModel], best: list[RankedModel], *, exploring: bool
    ) -> float:
        share = self._exploration if exploring and len(ranking) > 1 else 0.0
        greedy = (1 - share) / len(best) if chosen in best else 0.0
        return greedy + share / len(ranking)

    def _event(self, decision: Decision, outcome: str, **reported: Any) -> RoutingEvent:
        return RoutingEvent(
            timestamp=decision.timestamp if outcome == "routed" else self._clock(),
            instance_id=self._instance_id,
            complexity=decision.complexity,
            model=decision.model.name,
            provider=decision.model.provider,
            complexity_score=decision.score,
            outcome=outcome,
            capabilities_required=decision.capabilities,
            prefer=decision.prefer,
            user_model_request=decision.requested_model,
            decision_id=decision.decision_id,
            task_type=decision.task_type,
            propensity=decision.propensity,
            score_version=decision.score_version,
            **reported,
        )

    def _publish(self, event: RoutingEvent) -> None:
        if self._publisher is not None:
            self._publisher.publish(event)


def _usable_time(value: Any) -> int | None:
    """`value` as the contract takes it. A wrong one must not cost the outcome."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT4:
        return int(round(value))  # noqa: RUF046 - numpy's floats round to floats
    log.warning("response_time_left_out", found=repr(value), expected=f"a number from 0 to {MAX_INT4}")
    return None


def preferred_value(model: Model, score: float, prefer: Preference | None) -> float:
    """What a model is ranked by (the origin's formulas). An unknown length or price counts as the worst one."""
    if prefer == "speed":
        speed = _SPEED_REFERENCE_TOKENS / model.max_output_tokens if model.max_output_tokens else 0.0
        return _SPEED_SCORE_WEIGHT * score + _SPEED_WEIGHT * speed
    if prefer == "cost":
        cheapness = 0.0 if model.pricing is None else 1 / (1 + model.pricing.average)
        return _COST_SCORE_WEIGHT * score + _COST_WEIGHT * cheapness
    return score
