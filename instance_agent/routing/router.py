"""The router: chooses a model for each task, and publishes its decisions and their outcomes."""

import contextlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import uuid_utils

from centralcloud.contracts import COMPLEXITIES, RequestEvent, RoutingEvent
from centralcloud.contracts.limits import MAX_INT4, NEUTRAL_SCORE
from centralcloud.contracts.model_choice.selection import (
    Candidate,
    Selection,
    SelectionKind,
    SelectionMethod,
    SelectionMode,
    method_for,
)
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.catalog import CatalogSnapshot, ModelCatalog
from instance_agent.routing.decision import PREFERENCES, Choice, Decision, Fallback, Preference, RankedModel
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.ranking import SCORE_WEIGHTS, Entry, Ranking, candidate_of

__all__ = ["EventSink", "ModelRouter", "RoutingError", "RoutingKey"]

log = get_logger(__name__)

#: Routing keys whose selections are cached. A fleet has far fewer combinations of complexity, capabilities, preference and
#: model; the limit bounds the memory if a caller makes up new ones.
_MAX_CACHED_SELECTIONS: Final = 1000
#: Most routing keys for which the selections are computed before a change of the scores or the catalog is used.
_MAX_PREPARED_SELECTIONS: Final = 64
#: Most names of models in an error.
_MAX_NAMES: Final = 20
_CHOICE_FIELDS: Final = tuple(field.name for field in fields(Choice))


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
    task_type: str | None = None


class _Candidates(NamedTuple):
    """The candidates for one routing key, best value first, and how the best is found."""

    entries: Sequence[Entry]
    candidates: list[Candidate]
    method: SelectionMethod
    fallback: Fallback | None


class _CachedSelection(NamedTuple):
    """The possible choices for one routing key by one state of the scores, and their probabilities."""

    selection: Selection
    choices: dict[tuple[int, SelectionKind], Choice]


class _Cache(NamedTuple):
    """One state of the catalog, with the selections that were computed for it."""

    ranking: Ranking
    selections: dict[RoutingKey, _CachedSelection]

    def is_for(self, snapshot: CatalogSnapshot) -> bool:
        """Whether a choice by `snapshot` is one by this state: another cursor of the same scores changes nothing."""
        own = self.ranking.snapshot
        return own.models is snapshot.models and own.learned.scores is snapshot.learned.scores


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
        self._seeded = rng is not None
        self._rng = rng or random.Random()
        self._clock = clock
        self._former: _Cache | None = None
        self._cache = self._prepared = _Cache(Ranking(catalog.snapshot), {})

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
            task_type: a label of your own, kept with the decision. Where scores for tasks of this type are learned, the
                model is chosen by them.

        Raises:
            RoutingError: the catalog is empty, the model is not in it, no model has a score, or an argument is invalid.
        """
        choice = self.choose(complexity, capabilities=capabilities, prefer=prefer, model=model, task_type=task_type)
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
        task_type: str | None = None,
    ) -> Choice:
        """Choose a model as `route` does, without publishing the decision.

        The probabilities are computed once for each routing key and state of the catalog, usually by `prepare`
        (milliseconds; more for thousands of models). A choice from cached probabilities takes a microsecond or two.

        Args:
            complexity, capabilities, prefer, model, task_type: as for `route`.

        Raises:
            RoutingError: as `route` does.
        """
        if complexity not in COMPLEXITIES:
            raise RoutingError(f"complexity: found {complexity!r}, expected one of {', '.join(COMPLEXITIES)}")
        if prefer is not None and prefer not in PREFERENCES:
            raise RoutingError(f"prefer: found {prefer!r}, expected one of {', '.join(PREFERENCES)}")
        self._catalog.refresh_in_background()
        required = (capabilities,) if isinstance(capabilities, str) else tuple(capabilities)
        # State and selections are replaced together: a thread never finds selections by other scores than those it sees.
        cache = self._current_cache(self._catalog.snapshot)
        scored_for = cache.ranking.snapshot.learned.task_type_of(task_type)
        key = RoutingKey(complexity, required, prefer, model or None, scored_for)
        cached = cache.selections.get(key)
        if cached is None:
            cached = self._select(key, cache.ranking)
            if len(cache.selections) >= _MAX_CACHED_SELECTIONS:
                cache.selections.clear()
            cache.selections[key] = cached
        return cached.choices[cached.selection.sample(self._rng)]

    def candidates(
        self,
        complexity: str,
        *,
        task_type: str | None = None,
    ) -> tuple[list[Candidate], SelectionMethod]:
        """Return the candidates for a task, and how the best is found.

        For a simulation, which draws the choices of many tasks at once: `choose` computes probabilities first.

        Args:
            complexity, task_type: as for `route`.

        Raises:
            RoutingError: as `choose` does.
        """
        ranking = self._current_cache(self._catalog.snapshot).ranking
        scored_for = ranking.snapshot.learned.task_type_of(task_type)
        found = self._candidates(RoutingKey(complexity, (), None, None, scored_for), ranking)
        return found.candidates, found.method

    def prepare(self, snapshot: CatalogSnapshot) -> None:
        """Compute the probabilities by a state of the catalog that will be used next, for the requests of late.

        For the thread that brings new scores or models: it does so before they are used, and no request has to wait for it.

        Args:
            snapshot: from `ModelCatalog.next`.
        """
        self._former = None
        current = self._cache
        if current.is_for(snapshot):
            return
        ranking = Ranking(snapshot, current.ranking)
        # A request for one model costs nothing to compute.
        keys = [key for key in list(current.selections) if key.model is None][-_MAX_PREPARED_SELECTIONS:]
        selections: dict[RoutingKey, _CachedSelection] = {}
        for key in keys:
            with contextlib.suppress(RoutingError):  # the request itself will say so
                selections[key] = self._select(key, ranking)
        self._prepared = _Cache(ranking, selections)

    def after_fork(self) -> None:
        """Take new random numbers in the child of a fork, which would choose as its parent and its siblings do."""
        if not self._seeded:
            self._rng = random.Random()

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
        model_version: str | None = None,
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
            model_version: the id of the model that the provider's answer names, at most 200 characters. If it changes, the
                model is learned anew.
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
                model_version=model_version,
            )
        )

    def _current_cache(self, snapshot: CatalogSnapshot) -> _Cache:
        cache = self._cache
        if not cache.is_for(snapshot):
            prepared = self._prepared
            self._former = cache  # to be freed by `prepare`: with thousands of models that takes milliseconds
            cache = prepared if prepared.is_for(snapshot) else _Cache(Ranking(snapshot, cache.ranking), {})
            self._cache = cache
        return cache

    def _candidates(self, key: RoutingKey, of_pairs: Ranking) -> _Candidates:
        ranking = of_pairs.for_task_type(key.task_type)
        if not ranking.snapshot.models:
            raise RoutingError("the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG")
        if key.model is None:
            entries, fallback = _rank(key, ranking)
        else:
            entries, fallback = _requested(key.model, key.complexity, ranking), None
        # Scores for simple tasks that stand in for missing ones need no probes: the task is not a simple one.
        probing = key.model is None and fallback != "simple"
        candidates = [candidate_of(entry, probing=probing) for entry in entries]
        method = method_for(self._selection, candidates) if key.model is None else "greedy"
        return _Candidates(entries, candidates, method, fallback)

    def _select(self, key: RoutingKey, ranking: Ranking) -> _CachedSelection:
        entries, candidates, method, fallback = self._candidates(key, ranking)
        selection = Selection(
            candidates,
            method,
            scale=SCORE_WEIGHTS[key.prefer],
            exploration=self._exploration if key.model is None else 0.0,
        )
        ranked = tuple(
            RankedModel(entry.model, entry.score, entry.value, entry.learned, candidate.penalty, chance)
            for entry, candidate, chance in zip(entries, candidates, selection.chances, strict=True)
        )
        choices = {
            (index, kind): Choice(
                complexity=key.complexity,
                chosen=ranked[index],
                ranking=ranked,
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

    def _event(self, decision: Decision, outcome: str, **reported: Any) -> RoutingEvent:
        # The other class is larger: it is for events with a value that needs it.
        version = reported.pop("model_version", None)
        event = RoutingEvent if version is None else partial(RequestEvent, model_version=version)
        return event(
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


def _rank(key: RoutingKey, ranking: Ranking) -> tuple[Sequence[Entry], Fallback | None]:
    """Return the suitable models, best first, and the fallback if the request cannot be met."""
    best_first = ranking.order(key.complexity, key.prefer)
    if not key.capabilities:
        if best_first:
            return best_first, None
    elif capable := [entry for entry in best_first if entry.model.capabilities.issuperset(key.capabilities)]:
        return capable, None
    elif best_first:
        return best_first, "capabilities"
    if simple := ranking.order("simple", key.prefer):
        return simple, "simple"
    raise RoutingError(f"no model of the catalog has a score for {key.complexity} or for simple tasks")


def _requested(name: str, complexity: str, ranking: Ranking) -> list[Entry]:
    matching = ranking.by_name.get(name)
    if not matching:
        names = sorted(ranking.by_name)
        known = ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" * (len(names) > _MAX_NAMES))
        raise RoutingError(f"model: found {name!r}, expected one of the catalog: {known}")
    snapshot = ranking.snapshot
    scores = [snapshot.score(model, complexity) for model in matching]
    return [
        Entry(model, NEUTRAL_SCORE if score is None else score, 0.0, snapshot.learned.of(name, complexity))
        for model, score in zip(matching, scores, strict=True)
    ]


def _usable_time(value: Any) -> int | None:
    """Return `value` as a message may contain it; None if it is invalid: that must not cost the outcome."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT4:
        return int(round(value))  # noqa: RUF046 - a NumPy float rounds to a float
    log.warning("invalid_response_time", found=repr(value), expected=f"a number from 0 to {MAX_INT4}")
    return None
