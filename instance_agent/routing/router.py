"""The router: chooses a model for each task, and publishes its decisions and their outcomes."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import uuid_utils
from msgspec.structs import replace

from centralcloud.contracts import COMPLEXITIES, NO_ESTIMATE, CentralCloudError, RoutingEvent
from centralcloud.contracts.limits import MAX_INT4, NEUTRAL_SCORE
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair
from instance_agent.catalog.model import Model
from instance_agent.routing.decision import PREFERENCES, Choice, Decision, Fallback, Preference, RankedModel
from instance_agent.routing.selection import Candidate, Selection, SelectionKind, SelectionMethod, SelectionMode

log = get_logger(__name__)

# Weights of the score beside speed and cost (docs/reference/specification.md).
_SPEED_SCORE_WEIGHT: Final = 0.7
_SPEED_WEIGHT: Final = 0.3
_SPEED_REFERENCE_TOKENS: Final = 5000
_COST_SCORE_WEIGHT: Final = 0.6
_COST_WEIGHT: Final = 0.4
_SCORE_WEIGHTS: Final = {None: 1.0, "speed": _SPEED_SCORE_WEIGHT, "cost": _COST_SCORE_WEIGHT}

#: Routing keys whose selections are cached. A fleet has far fewer combinations of complexity, capabilities, preference and
#: model; the limit bounds the memory if a caller makes up new ones.
_MAX_CACHED_SELECTIONS: Final = 1000
_CHOICE_FIELDS: Final = tuple(field.name for field in fields(Choice))


class RoutingError(CentralCloudError):
    """No model can be chosen for a request."""


class EventSink(Protocol):
    """A receiver of routing events. It must not block or raise."""

    def publish(self, event: RoutingEvent) -> None:
        """Publish one event."""


class RoutingKey(NamedTuple):
    """A request, as far as the choice depends on it; the key of the cached selections."""

    complexity: str
    capabilities: tuple[str, ...]
    prefer: Preference | None
    model: str | None


class _Entry(NamedTuple):
    """A candidate model with its current score."""

    model: Model
    score: float
    value: float
    learned: LearnedScore | None


class _CachedSelection(NamedTuple):
    """The possible choices for one routing key by one state of the scores, and their probabilities."""

    selection: Selection
    choices: dict[tuple[int, SelectionKind], Choice]


class ModelRouter:
    """Chooses the model with the best score for a task's complexity. Thread-safe.

    If the scores come with estimates of the success probability, the best model is found by Thompson sampling, and each
    model is probed as often as the rule behind the scores asks for: see `selection`. For a share `exploration` of the tasks,
    every suitable model is equally likely instead. A rule that asks for no probes needs this: without it, a model that
    starts with too low a score is never tried again.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        *,
        instance_id: str,
        publisher: EventSink | None = None,
        selection: SelectionMode = "auto",
        exploration: float = 0.0,
        rng: random.Random | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Create a router; `InstanceAgent.router` is one with these arguments from the settings.

        Args:
            catalog: the models and their current scores.
            instance_id: of the events, 1 to 200 characters.
            publisher: receives the events; None: decisions and outcomes are not reported.
            selection: `greedy` takes the best value, `thompson` the best draw; `auto` is `thompson` if the score of at least
                one candidate comes with an estimate, else `greedy`.
            exploration: share of the tasks that choose among all suitable models with equal probability, 0 to 1.
            rng: source of random numbers; give a seeded one for reproducible choices.
            clock: returns the current time, with a time zone; for the timestamps of events.
        """
        self._catalog = catalog
        self._instance_id = instance_id
        self._publisher = publisher
        self._selection = selection
        self._exploration = exploration
        self._rng = rng or random.Random()
        self._clock = clock
        self._cache: tuple[Mapping[Pair, LearnedScore], dict[RoutingKey, _CachedSelection]] = {}, {}

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
            complexity: ``simple``, ``medium`` or ``complex``: docs/explanation/complexity-and-success.md.
            capabilities: required of the model; ignored, with a `fallback` in the decision, when no model has all of them.
            prefer: ``speed``: 0.7 * score + 0.3 * (5000 / max_output_tokens).
                ``cost``: 0.6 * score + 0.4 * (1 if free else 1 / (1 + average price)).
            model: choose exactly this model, also if it has no score for the complexity.
            task_type: a label of your own, kept with the decision; it does not affect the choice.

        Raises:
            RoutingError: the catalog is empty, the model is not in it, no model has a score, or an argument is invalid.
        """
        choice = self.choose(complexity, capabilities=capabilities, prefer=prefer, model=model)
        decision = Decision(
            **{name: getattr(choice, name) for name in _CHOICE_FIELDS},
            decision_id=str(uuid_utils.uuid7()),
            timestamp=self._clock(),
            task_type=task_type,
        )
        self._publish(self._event(decision, "routed"))
        return decision

    def choose(
        self,
        complexity: str,
        *,
        capabilities: Iterable[str] = (),
        prefer: Preference | None = None,
        model: str | None = None,
    ) -> Choice:
        """Choose a model as `route` does, without publishing the decision.

        The probabilities are computed once for each routing key and state of the scores (milliseconds). A choice from cached
        probabilities takes a microsecond or two.

        Args:
            complexity, capabilities, prefer, model: as for `route`.

        Raises:
            RoutingError: as `route` does.
        """
        if complexity not in COMPLEXITIES:
            raise RoutingError(f"complexity: found {complexity!r}, expected one of {', '.join(COMPLEXITIES)}")
        if prefer is not None and prefer not in PREFERENCES:
            raise RoutingError(f"prefer: found {prefer!r}, expected one of {', '.join(PREFERENCES)}")
        self._catalog.refresh()
        required = (capabilities,) if isinstance(capabilities, str) else tuple(capabilities)
        key = RoutingKey(complexity, required, prefer, model or None)
        learned = self._catalog.effective
        # Scores and selections are replaced together: a thread never finds selections by other scores than those it sees.
        scores, selections = self._cache
        if scores is not learned.scores:
            selections = {}
            self._cache = learned.scores, selections
        cached = selections.get(key)
        if cached is None:
            cached = self._select(key, learned)
            if len(selections) >= _MAX_CACHED_SELECTIONS:
                selections.clear()
            selections[key] = cached
        return cached.choices[cached.selection.sample(self._rng)]

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
        """Publish the outcome of a decision, under its decision_id. The first report of a decision counts.

        Returns immediately; the event is sent in the background. Report the outcome when it is known, also hours later, and
        from any thread; keep the decision until then.

        Args:
            decision: the result of `route`.
            success: whether the task was done, not only whether the model answered.
            response_time_ms: until the answer was complete; a value that is not a number from 0 to 2147483647 is left out.
            error_kind: for a failure: ``caller``, ``policy`` (both say nothing about the model), ``provider``, ``timeout``.
            input_tokens, output_tokens: of the call, 0 to 2147483647.
            cost_usd: of the call, 0 or more.
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

    def _select(self, key: RoutingKey, learned: LearnedScores) -> _CachedSelection:
        if not self._catalog.models:
            raise RoutingError("the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG")
        if key.model is None:
            entries, fallback = self._rank(key, learned)
        else:
            entries, fallback = self._requested(key.model, key.complexity, learned), None
        # Scores for simple tasks that stand in for missing ones need no probes: the task is not a simple one.
        probing = key.model is None and fallback != "simple"
        candidates = [_candidate(entry, probing=probing) for entry in entries]
        selection = Selection(
            candidates,
            self._method(candidates) if key.model is None else "greedy",
            scale=_SCORE_WEIGHTS[key.prefer],
            exploration=self._exploration if key.model is None else 0.0,
        )
        ranking = tuple(
            RankedModel(entry.model, entry.score, entry.value, entry.learned, candidate.penalty, chance)
            for entry, candidate, chance in zip(entries, candidates, selection.chances, strict=True)
        )
        choices = {
            (index, kind): Choice(
                complexity=key.complexity,
                chosen=ranking[index],
                ranking=ranking,
                method=selection.method,
                kind=kind,
                fallback=fallback,
                capabilities=key.capabilities,
                prefer=key.prefer,
                requested_model=key.model,
            )
            for index, kind in selection.outcomes
        }
        return _CachedSelection(selection, choices)

    def _method(self, candidates: Sequence[Candidate]) -> SelectionMethod:
        if self._selection != "auto":
            return self._selection
        return "greedy" if all(candidate.estimate.mean is None for candidate in candidates) else "thompson"

    def _rank(self, key: RoutingKey, learned: LearnedScores) -> tuple[list[_Entry], Fallback | None]:
        """Return the suitable models, best first, and the fallback if the request cannot be met."""
        models = self._catalog.models
        capable = [model for model in models if model.capabilities.issuperset(key.capabilities)]
        attempts: tuple[tuple[Sequence[Model], str, Fallback | None], ...] = (
            (capable, key.complexity, None),
            (models, key.complexity, "capabilities"),
            (models, "simple", "simple"),
        )
        for candidates, scored_as, fallback in attempts:
            entries = [
                _Entry(model, score, preferred_value(model, score, key.prefer), learned.of(model.name, scored_as))
                for model in candidates
                if (score := self._catalog.score(model, scored_as, learned)) is not None
            ]
            if entries:
                return sorted(entries, key=lambda entry: -entry.value), fallback
        raise RoutingError(f"no model of the catalog has a score for {key.complexity} or for simple tasks")

    def _requested(self, name: str, complexity: str, learned: LearnedScores) -> list[_Entry]:
        matching = [model for model in self._catalog.models if model.name == name]
        if not matching:
            known = ", ".join(sorted({model.name for model in self._catalog.models}))
            raise RoutingError(f"model: found {name!r}, expected one of the catalog: {known}")
        scores = [self._catalog.score(model, complexity, learned) for model in matching]
        return [
            _Entry(model, NEUTRAL_SCORE if score is None else score, 0.0, learned.of(name, complexity))
            for model, score in zip(matching, scores, strict=True)
        ]

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
            extra={"probe": True} if decision.probe else {},
            **reported,
        )

    def _publish(self, event: RoutingEvent) -> None:
        if self._publisher is not None:
            self._publisher.publish(event)


def _candidate(entry: _Entry, *, probing: bool) -> Candidate:
    learned = entry.learned
    estimate = learned.estimate if learned else NO_ESTIMATE
    return Candidate(
        model=entry.model.name,
        score=entry.score,
        value=entry.value,
        learned=learned is not None,
        estimate=estimate if probing or estimate.probe_share is None else replace(estimate, probe_share=None),
    )


def _usable_time(value: Any) -> int | None:
    """Return `value` as a message may contain it; None if it is invalid: that must not cost the outcome."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT4:
        return int(round(value))  # noqa: RUF046 - a NumPy float rounds to a float
    log.warning("invalid_response_time", found=repr(value), expected=f"a number from 0 to {MAX_INT4}")
    return None


def preferred_value(model: Model, score: float, prefer: Preference | None) -> float:
    """Return the value to rank a model by (docs/reference/specification.md). An unknown length or price is the worst."""
    if prefer == "speed":
        speed = _SPEED_REFERENCE_TOKENS / model.max_output_tokens if model.max_output_tokens else 0.0
        return _SPEED_SCORE_WEIGHT * score + _SPEED_WEIGHT * speed
    if prefer == "cost":
        cheapness = 0.0 if model.pricing is None else 1 / (1 + model.pricing.average)
        return _COST_SCORE_WEIGHT * score + _COST_WEIGHT * cheapness
    return score
