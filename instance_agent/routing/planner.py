"""The planner: a request, a snapshot of the catalog and the health of its targets -> a plan. Pure and synchronous.

The order in which the first model is decided: a model that the client named; then the session's model; then learned
selection. Rules, policies and experiments stand between the first and the second: they narrow the targets that
`usable_targets` returns, or order them.

A plan costs microseconds when its set of targets was seen since the scores last changed. Three caches make it so: for each
shape of requests the set of targets, until the health view is another one; for each set the probabilities, until scores or
catalog change; and for each first model the whole order. `prepare` computes the probabilities before a change is used.
"""

import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from centralcloud.contracts.errors import quote
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import CatalogConfiguration, Target, build_configuration
from instance_agent.routing.affinity import SessionMemory, cache_loss
from instance_agent.routing.constraints import Shape, Struck, Usable, firm_strike, strike_of_health, usable_targets
from instance_agent.routing.decision import Preference, RankedModel
from instance_agent.routing.plan import Affinity, Plan, PlanError, PlanKind, PlannedTarget
from instance_agent.routing.prepared import ModelTargets, PreparedSet
from instance_agent.routing.request import ALL_HEALTHY, HealthView, RoutingRequest
from instance_agent.routing.selection import Chance, SelectionMode
from instance_agent.routing.task import Task, resolve_task

#: Sets of targets whose probabilities are kept; the one that was used longest ago is dropped first.
_MAX_SETS: Final = 128
#: Most sets for which the probabilities are computed before a change is used.
_MAX_PREPARED: Final = 64
#: Shapes of requests whose sets are kept: callers make up capabilities.
_MAX_SHAPES: Final = 1000
_MAX_NAMES: Final = 20
#: Names, and characters of the client's, that are compared for one that it may have meant; and how near they have to be.
_MAX_COMPARED: Final = 500
_MAX_COMPARED_CHARACTERS: Final = 100
_NEAR: Final = 0.75
#: The longest list of reasons against targets in one message.
_MAX_CHARACTERS: Final = 160
_CERTAIN: Final = Chance(1.0, 0.0, 1.0)

#: A set of targets: the complexity of the scores, the preference, whether it is probed, the keys of the targets, and those
#: of the targets that follow them.
_SetKey = tuple[str, Preference | None, bool, tuple[str, ...], tuple[str, ...]]


class _Eligible:
    """The targets of one shape of requests, and the probabilities of their models for each preference."""

    __slots__ = ("key", "prepared", "usable")

    def __init__(self, usable: Usable, key: tuple[str, bool, tuple[str, ...], tuple[str, ...]]) -> None:
        self.usable = usable
        self.key = key
        self.prepared: dict[Preference | None, PreparedSet] = {}


class _State:
    """One state of the catalog with everything that was computed for it."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.snapshot = snapshot
        self.configuration = snapshot.configuration or build_configuration(snapshot.models)
        self.targets = {target.key: target for group in self.configuration.targets.values() for target in group}
        self.windows = sorted({model.context_window for model in snapshot.models if model.context_window is not None})
        self.sets: OrderedDict[_SetKey, PreparedSet] = OrderedDict()
        self.health: HealthView = ALL_HEALTHY
        self.eligible: dict[Shape, _Eligible] = {}

    def is_for(self, snapshot: CatalogSnapshot) -> bool:
        """Whether a plan by `snapshot` is one by this state: another cursor of the same scores changes nothing."""
        own = self.snapshot
        return (
            own.configuration is snapshot.configuration
            and own.models is snapshot.models
            and own.learned.scores is snapshot.learned.scores
        )

    def score(self, target: Target, scored_as: str) -> float | None:
        """Return the score of a target for a complexity."""
        return self.snapshot.score(target.model, scored_as)


class Planner:
    """Plans requests. For one thread, usually that of the event loop; `prepare` may be called from another.

    Attributes:
        sessions: the models of recent sessions. The caller records each turn that was answered.
        sets_computed: sets of targets whose probabilities were computed in `plan`, not by `prepare`.
    """

    def __init__(
        self,
        *,
        selection: SelectionMode = "auto",
        exploration: float = 0.0,
        rng: random.Random | None = None,
        sessions: SessionMemory | None = None,
    ) -> None:
        """Create a planner.

        Args:
            selection, exploration, rng: as for `ModelRouter`.
            sessions: to share one; None: a new one.
        """
        self._selection = selection
        self._exploration = exploration
        self._rng = rng or random.Random()
        self.sessions = sessions or SessionMemory()
        self.sets_computed = 0
        self._state: _State | None = None
        self._prepared: _State | None = None

    def plan(self, request: RoutingRequest, snapshot: CatalogSnapshot, health: HealthView = ALL_HEALTHY) -> Plan:
        """Return the plan for a request.

        Args:
            request: of a client.
            snapshot: of the catalog; use the same one until it changes.
            health: of the targets; use the same one until it changes.

        Raises:
            PlanError: the model is not known, or no target can be used; names the reasons.
            RoutingError: a hint is not valid.
        """
        state = self._state_of(snapshot)
        name, alias = state.configuration.resolve(request.model)
        if name not in AUTO_NAMES:
            return self._forced(request, name, alias, state, health)
        level = name[5:] or None
        task = resolve_task(request.headers, request.metadata, level, request.text)
        eligible = self._eligible(request, task, state, health)
        prepared = eligible.prepared.get(task.prefer) or self._prepare_set(eligible, task.prefer, state)
        first, kind, affinity = self._first(request, prepared)
        return Plan(
            task=task,
            kind=kind,
            targets=prepared.order(first, kind, self._rng),
            propensity=None if kind == "session" else prepared.models[first].ranked.chance.propensity,
            method=None if kind == "session" else prepared.selection.method,
            struck=eligible.usable.struck,
            relaxed=eligible.usable.relaxed,
            waived=eligible.usable.waived,
            affinity=affinity,
            alias=alias,
            config_version=state.configuration.version,
        )

    def prepare(self, snapshot: CatalogSnapshot) -> None:
        """Compute the probabilities by a state of the catalog that will be used next, for the sets that were used of late.

        For the thread that brings new scores: no request has to wait for them.

        Args:
            snapshot: from `ModelCatalog.next`.
        """
        current = self._state
        if current is None or current.is_for(snapshot):
            return
        state = _State(snapshot)
        for key in list(current.sets)[-_MAX_PREPARED:]:
            scored_as, _, _, keys, tail_keys = key
            targets = [state.targets[each] for each in keys if each in state.targets]
            tail = [state.targets[each] for each in tail_keys if each in state.targets]
            if (
                len(targets) + len(tail) == len(keys) + len(tail_keys)
                and all(state.score(target, scored_as) is not None for target in targets)
                and all(state.score(target, "simple") is not None for target in tail)
            ):
                state.sets[key] = self._new_set(key, targets, tail, state)
        self._prepared = state

    def _state_of(self, snapshot: CatalogSnapshot) -> _State:
        state = self._state
        if state is None or not state.is_for(snapshot):
            prepared = self._prepared
            state = prepared if prepared is not None and prepared.is_for(snapshot) else _State(snapshot)
            self._state = state
            self._prepared = None
        return state

    def _eligible(self, request: RoutingRequest, task: Task, state: _State, health: HealthView) -> _Eligible:
        if state.health is not health:
            state.health = health
            state.eligible = {}
        needed = request.input_tokens + request.output_tokens
        shape = Shape(
            task.level, request.needs, task.capabilities, request.model_type, bisect_left(state.windows, needed)
        )
        found = state.eligible.get(shape)
        if found is None:
            usable = usable_targets(list(state.targets.values()), shape, state.windows, health, state.score)
            if not usable.targets:
                raise PlanError("no_target", _no_target(usable.struck), usable.struck)
            relaxed_score = "no_score" in usable.relaxed
            # Scores for simple tasks that stand in for missing ones need no probes: the task is not a simple one.
            key = (
                "simple" if relaxed_score else task.level,
                not relaxed_score,
                tuple(each.key for each in usable.targets),
                tuple(each.key for each in usable.tail),
            )
            if len(state.eligible) >= _MAX_SHAPES:
                state.eligible.clear()
            found = state.eligible[shape] = _Eligible(usable, key)
        return found

    def _prepare_set(self, eligible: _Eligible, prefer: Preference | None, state: _State) -> PreparedSet:
        scored_as, probing, keys, tail = eligible.key
        key = scored_as, prefer, probing, keys, tail
        found = state.sets.get(key)
        if found is None:
            self.sets_computed += 1
            found = state.sets[key] = self._new_set(key, eligible.usable.targets, eligible.usable.tail, state)
            if len(state.sets) > _MAX_SETS:
                state.sets.popitem(last=False)
        state.sets.move_to_end(key)
        eligible.prepared[prefer] = found
        return found

    def _new_set(self, key: _SetKey, targets: Sequence[Target], tail: Sequence[Target], state: _State) -> PreparedSet:
        scored_as, prefer, probing, _, _ = key
        return PreparedSet(
            targets,
            scored_as,
            prefer,
            state.snapshot,
            mode=self._selection,
            exploration=self._exploration,
            probing=probing,
            tail=tail,
        )

    def _first(self, request: RoutingRequest, prepared: PreparedSet) -> tuple[int, PlanKind, Affinity | None]:
        """Return the position of the first model, the reason for it, and the session's part in it."""
        affinity: Affinity | None = None
        if request.session is not None and (entry := self.sessions.get(request.session)) is not None:
            position = prepared.positions.get(entry.model)
            if position is None:
                affinity = "left_struck"
            else:
                gain = prepared.models[0].ranked.value - prepared.models[position].ranked.value
                if gain <= cache_loss(entry, request.input_tokens):
                    return position, "session", "kept"
                affinity = "left_for_better"
        first, kind = prepared.selection.sample(self._rng)
        return first, kind, affinity

    def _forced(self, request: RoutingRequest, name: str, alias: str | None, state: _State, health: HealthView) -> Plan:
        """Return the plan for a model that the client named: its targets alone, unhealthy ones last."""
        targets = state.configuration.targets_of(name)
        if not targets:
            raise PlanError("model_not_found", _not_found(request.model, state.configuration))
        struck = tuple(
            found for target in targets if (found := firm_strike(target, request.model_type, forced=True)) is not None
        )
        left_out = {each.key for each in struck}
        usable = [target for target in targets if target.key not in left_out]
        if not usable:
            raise PlanError("model_unusable", f"model {request.model} cannot be used: {_words(struck)}", struck)
        task = resolve_task(request.headers, request.metadata, None, request.text)
        healthy = [each for each in usable if each.key not in health.breaker_open and each.key not in health.unhealthy]
        others = [each for each in usable if each not in healthy]
        planned: list[PlannedTarget] = []
        for group in (healthy, others):
            if group:
                ranked = _ranked(group[0], task.level, state.snapshot)
                planned += ModelTargets(ranked, group).first("endpoint" if planned else "forced", self._rng)
        return Plan(
            task=task,
            kind="forced",
            targets=tuple(planned),
            struck=struck,
            waived=tuple(found for target in usable if (found := strike_of_health(target, health)) is not None),
            alias=alias,
            config_version=state.configuration.version,
        )


def _ranked(target: Target, level: str, snapshot: CatalogSnapshot) -> RankedModel | None:
    score = snapshot.score(target.model, level)
    if score is None:
        return None
    return RankedModel(target.model, score, score, snapshot.learned.of(target.model.name, level), None, _CERTAIN)


def _not_found(name: str, configuration: CatalogConfiguration) -> str:
    names, aliases = sorted(configuration.targets), configuration.aliases
    # The words of a client: comparing them costs time by their length and by the number of names.
    possible = [*AUTO_NAMES, *names[:_MAX_COMPARED], *list(aliases.plain())[:_MAX_COMPARED]]
    near = get_close_matches(name[:_MAX_COMPARED_CHARACTERS], possible, n=1, cutoff=_NEAR)
    hint = f" (did you mean {near[0]}?)" if near else ""
    patterns = aliases.patterns()
    some = f", an alias ({_some(patterns)})" if patterns else ""
    providers = ", ".join(sorted(configuration.providers)) or "none"
    expected = (
        f"expected {', '.join(AUTO_NAMES)}, one of the catalog ({_some(names)}){some}, or PROVIDER/MODEL with one of "
    )
    return f"model: found {quote(name)}{hint}, {expected}{providers}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _no_target(struck: tuple[Struck, ...]) -> str:
    if not struck:
        return "the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG"
    return f"no model can be used for this request: {_words(struck)}"


def _words(struck: tuple[Struck, ...]) -> str:
    """Return why targets are left out: each reason once, with the target, or with the number of targets that share it."""
    groups: dict[str, list[str]] = {}
    for each in struck:
        groups.setdefault(each.words, []).append(each.key)
    named: list[str] = []
    left = _MAX_CHARACTERS
    for words, keys in sorted(groups.items(), key=lambda group: -len(group[1])):
        text = f"{keys[0] if len(keys) == 1 else f'{len(keys)} targets'}: {words}"
        left -= len(text)
        if named and left < 0:
            break
        named.append(text)
    more = len(groups) - len(named)
    return "; ".join(named) + (f"; and {more} more {'reason' if more == 1 else 'reasons'}" if more else "")
