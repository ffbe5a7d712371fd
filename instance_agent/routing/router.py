"""Choosing a model for a task, and telling CentralCloud what was chosen and how it went."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import uuid_utils

from centralcloud.contracts import COMPLEXITIES, CentralCloudError, RoutingEvent
from centralcloud.contracts.limits import MAX_INT4
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair
from instance_agent.catalog.model import Model
from instance_agent.routing.decision import PREFERENCES, Choice, Decision, Fallback, Preference, RankedModel
from instance_agent.routing.selection import Candidate, Selection, SelectionKind, SelectionMethod, SelectionMode

log = get_logger(__name__)

#: Score that is reported for a model on request that has none.
_NEUTRAL_SCORE: Final = 2.5

# Weights of the origin's router: how much the score counts beside speed and cost.
_SPEED_SCORE_WEIGHT: Final = 0.7
_SPEED_WEIGHT: Final = 0.3
_SPEED_REFERENCE_TOKENS: Final = 5000
_COST_SCORE_WEIGHT: Final = 0.6
_COST_WEIGHT: Final = 0.4
_SCORE_WEIGHTS: Final = {None: 1.0, "speed": _SPEED_SCORE_WEIGHT, "cost": _COST_SCORE_WEIGHT}

#: Different wishes (complexity, capabilities, preference, model) whose chances are kept; more than a fleet ever has.
_MOST_CONTESTS: Final = 1000
_CHOICE_FIELDS: Final = tuple(field.name for field in fields(Choice))


class RoutingError(CentralCloudError):
    """No model can be chosen."""


class EventSink(Protocol):
    """Takes routing events; must never block or raise."""

    def publish(self, event: RoutingEvent) -> None:
        """Take one event."""


class RoutingKey(NamedTuple):
    """What is asked for; the key of a contest."""

    complexity: str
    capabilities: tuple[str, ...]
    prefer: Preference | None
    model: str | None


class _Entry(NamedTuple):
    """A model that may be chosen, with its score as it stands now."""

    model: Model
    score: float
    value: float
    learned: LearnedScore | None


class _Contest(NamedTuple):
    """Everything that can come out of one wish while the scores stay as they are, and how probable each is."""

    selection: Selection
    choices: dict[tuple[int, SelectionKind], Choice]


class ModelRouter:
    """Chooses the model with the best score for a task's complexity.

    Where the rule behind the scores also tells how sure it is of them, the best is found by Thompson sampling, and each
    model is probed as often as the rule asks for: see `selection`. With an `exploration` share of tasks any suitable model
    is taken instead, with equal chances: under a rule that asks for no probes, a model that starts with too low a score is
    never tried again without that. Safe to use from several threads.
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
        """`exploration` is a probability, 0 to 1. Without a `publisher` nobody learns from the decisions.

        `selection` `auto` is `thompson` where at least one candidate's score comes with an estimate, else `greedy`.
        """
        self._catalog = catalog
        self._instance_id = instance_id
        self._publisher = publisher
        self._selection = selection
        self._exploration = exploration
        self._rng = rng or random.Random()
        self._clock = clock
        self._contests: tuple[Mapping[Pair, LearnedScore], dict[RoutingKey, _Contest]] = {}, {}

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
        """Choose a model as `route` does, and tell nobody.

        The chances of the models are computed once for each wish and state of the scores (milliseconds); a choice from
        them costs a microsecond or two.

        Raises:
            RoutingError: as `route` does.
        """
        if complexity not in COMPLEXITIES:
            raise RoutingError(f"complexity: found {complexity!r}, expected one of {', '.join(COMPLEXITIES)}")
        if prefer is not None and prefer not in PREFERENCES:
            raise RoutingError(f"prefer: found {prefer!r}, expected one of {', '.join(PREFERENCES)}")
        self._catalog.refresh()
        wanted = (capabilities,) if isinstance(capabilities, str) else tuple(capabilities)
        wish = RoutingKey(complexity, wanted, prefer, model or None)
        learned = self._catalog.effective
        # Scores and contests are replaced together, so that a thread never finds contests on other scores than it sees.
        scores, contests = self._contests
        if scores is not learned.scores:
            contests = {}
            self._contests = learned.scores, contests
        contest = contests.get(wish)
        if contest is None:
            contest = self._contest(wish, learned)
            if len(contests) >= _MOST_CONTESTS:
                contests.clear()
            contests[wish] = contest
        return contest.choices[contest.selection.sample(self._rng)]

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

    def _contest(self, wish: RoutingKey, learned: LearnedScores) -> _Contest:
        if not self._catalog.models:
            raise RoutingError("the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG")
        if wish.model is None:
            entries, fallback = self._rank(wish, learned)
        else:
            entries, fallback = self._requested(wish.model, wish.complexity, learned), None
        # What is found out about a task that is served by the scores for simple ones says nothing about those.
        probing = wish.model is None and fallback != "simple"
        candidates = [_candidate(entry, probing=probing) for entry in entries]
        selection = Selection(
            candidates,
            self._method(candidates) if wish.model is None else "greedy",
            scale=_SCORE_WEIGHTS[wish.prefer],
            exploration=self._exploration if wish.model is None else 0.0,
        )
        ranking = tuple(
            RankedModel(entry.model, entry.score, entry.value, entry.learned, candidate.penalty, chance)
            for entry, candidate, chance in zip(entries, candidates, selection.chances, strict=True)
        )
        choices = {
            (index, kind): Choice(
                complexity=wish.complexity,
                chosen=ranking[index],
                ranking=ranking,
                method=selection.method,
                kind=kind,
                fallback=fallback,
                capabilities=wish.capabilities,
                prefer=wish.prefer,
                requested_model=wish.model,
            )
            for index, kind in selection.outcomes
        }
        return _Contest(selection, choices)

    def _method(self, candidates: Sequence[Candidate]) -> SelectionMethod:
        if self._selection != "auto":
            return self._selection
        return "greedy" if all(candidate.mean is None for candidate in candidates) else "thompson"

    def _rank(self, wish: RoutingKey, learned: LearnedScores) -> tuple[list[_Entry], Fallback | None]:
        """The suitable models, best first, and why the wish could not be met."""
        models = self._catalog.models
        capable = [model for model in models if model.capabilities.issuperset(wish.capabilities)]
        ways: tuple[tuple[Sequence[Model], str, Fallback | None], ...] = (
            (capable, wish.complexity, None),
            (models, wish.complexity, "capabilities"),
            (models, "simple", "simple"),
        )
        for candidates, scored_as, fallback in ways:
            entries = [
                _Entry(model, score, preferred_value(model, score, wish.prefer), learned.of(model.name, scored_as))
                for model in candidates
                if (score := self._catalog.score(model, scored_as, learned)) is not None
            ]
            if entries:
                return sorted(entries, key=lambda entry: -entry.value), fallback
        raise RoutingError(f"no model of the catalog has a score for {wish.complexity} or for simple tasks")

    def _requested(self, name: str, complexity: str, learned: LearnedScores) -> list[_Entry]:
        matching = [model for model in self._catalog.models if model.name == name]
        if not matching:
            known = ", ".join(sorted({model.name for model in self._catalog.models}))
            raise RoutingError(f"model: found {name!r}, expected one of the catalog: {known}")
        scores = [self._catalog.score(model, complexity, learned) for model in matching]
        return [
            _Entry(model, _NEUTRAL_SCORE if score is None else score, 0.0, learned.of(name, complexity))
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
    return Candidate(
        model=entry.model.name,
        score=entry.score,
        value=entry.value,
        learned=learned is not None,
        mean=learned.mean if learned else None,
        n_eff=learned.n_eff if learned else None,
        probe_share=(learned.probe_share or 0.0) if learned and probing else 0.0,
    )


def _usable_time(value: Any) -> int | None:
    """`value` as the contract takes it. A wrong one must not cost the outcome."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT4:
        return int(round(value))  # noqa: RUF046 - numpy's floats round to floats
    log.warning("invalid_response_time", found=repr(value), expected=f"a number from 0 to {MAX_INT4}")
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
