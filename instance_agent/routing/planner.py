"""The planner: a request, a snapshot of the catalog, rules and the health of targets -> a plan. Pure and synchronous.

The order in which the first model is decided: a model that the client named; a policy that the client named; a rule; the
preferences of the agent type; the policy of the task type, then that of the workspace; the session's model; learned
selection. Restrictions of a workspace and limits of money hold everywhere.

A plan costs microseconds when its set of targets was seen since the scores last changed. Three caches make it so: for each
shape of requests and each part of the configuration the set of targets, until health or rules are others; for each set the
probabilities, until scores or catalog change; and for each first model the whole order. No cache has a value of a single
request in its key. `prepare` computes the probabilities before a change is used.
"""

import random
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from centralcloud.contracts.errors import quote
from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.routing.affinity import SessionMemory, cache_loss
from instance_agent.routing.constraints import Shape, firm_strike, strike_of_health
from instance_agent.routing.eligible import CatalogState, Eligible, Scope, SetKey, Trials, Wanted
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.listed import ListedStage, after, case_of, ranked_target
from instance_agent.routing.local_failures import NO_FAILURES, FailureView
from instance_agent.routing.plan import Affinity, Plan, PlanError, PlanKind, PlannedTarget
from instance_agent.routing.prepared import ModelTargets, PreparedSet
from instance_agent.routing.refusals import forced_refusal, not_found, reasons, refusal
from instance_agent.routing.request import ALL_HEALTHY, HealthView, RoutingRequest
from instance_agent.routing.routes import Route, point_of
from instance_agent.routing.rules import NO_RULES, POLICY_PREFIX, Routed, RoutingRules
from instance_agent.routing.spend import (
    NO_SPEND,
    are_within,
    budget_strikes,
    cost_strikes,
    expected_output,
    is_open,
)
from instance_agent.routing.struck import Struck
from instance_agent.routing.task import Task, resolve_task

#: Sets of targets whose probabilities are kept; the one that was used longest ago is dropped first.
_MAX_SETS: Final = 512
#: Most sets for which the probabilities are computed before a change is used.
_MAX_PREPARED: Final = 128
_NONE: Final[Mapping[str, int]] = {}
_NO_ROUTE: Final = Route(kind="policy", stages=(), targets=(), scored=frozenset(), missing=())


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
        self._state: CatalogState | None = None
        self._prepared: CatalogState | None = None

    def plan(
        self,
        request: RoutingRequest,
        snapshot: CatalogSnapshot,
        health: HealthView = ALL_HEALTHY,
        rules: RoutingRules = NO_RULES,
        failures: FailureView = NO_FAILURES,
        *,
        probing: bool = True,
        classifier: TrainedClassifier | None = None,
    ) -> Plan:
        """Return the plan for a request.

        Args:
            request: of a client.
            snapshot: of the catalog; use the same one until it changes.
            health: of the targets; use the same one until it changes.
            rules: compiled for the configuration of `snapshot`; use the same ones until they change.
            failures: of local models, for policies whose order is ``local_first``.
            probing: whether the request may be a probe, as the scores ask for, or a choice at random; not when the budget of
                exploration is used up.
            classifier: trained by the site, for what the client does not say; None: the table of words answers.

        Raises:
            PlanError: the model or the policy is not known, or no target can be used; names the reasons.
            RoutingError: a hint is not valid.
        """
        state = self._state_of(snapshot)
        state.use(health, rules)
        name, alias, level = request.model, None, None
        routed: Routed | None = None
        if name.startswith(POLICY_PREFIX):
            routed = Routed(rules.named(name[len(POLICY_PREFIX) :]), source="client")
        else:
            name, alias = state.configuration.resolve(name)
            if name not in AUTO_NAMES:
                return self._forced(request, name, alias, state, health, rules, classifier)
            level = name[5:] or None
        task = resolve_task(request.headers, request.metadata, level, request.text, classifier)
        if routed is None:
            routed = rules.routed(request, task)
        routed, eligible, dear = self._eligible(request, task, state, rules, routed)
        route, usable = routed.route, eligible.usable
        affinity: Affinity | None = None
        kind: PlanKind
        if eligible.listed is not None:
            assert route is not None
            targets = self._listed(request, task, eligible, eligible.listed, route, failures)
            kind = targets[0].code  # type: ignore[assignment]
            propensity = method = None
        else:
            known = eligible.prepared if probing else eligible.unprobed
            wanted = task.prefer, state.snapshot.learned.task_type_of(task.task_type)
            prepared = known.get(wanted)
            if prepared is None:
                prepared = known[wanted] = self._prepare_set(eligible, wanted, state, probing=probing)
            first, kind, affinity = self._first(request, prepared)
            targets = prepared.order(first, kind, self._rng)
            if eligible.later:
                targets = self._followed(targets, eligible, task, failures)
            propensity = None if kind == "session" else prepared.models[first].ranked.chance.propensity
            method = None if kind == "session" else prepared.selection.method
        followed = route or _NO_ROUTE
        return Plan(
            task=task,
            kind=kind,
            targets=targets,
            propensity=propensity,
            method=method,
            struck=usable.struck + dear if dear else usable.struck,
            relaxed=usable.relaxed,
            waived=usable.waived,
            affinity=affinity,
            alias=alias,
            config_version=state.configuration.version,
            policy=followed.policy,
            rule=followed.rule,
            agent=followed.agent,
            policy_from=routed.source,
            settings=followed.settings,
            passed_over=routed.passed_over,
            demoted=eligible.demoted,
            promoted=eligible.promoted,
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
        state = CatalogState(snapshot)
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

    def _state_of(self, snapshot: CatalogSnapshot) -> CatalogState:
        state = self._state
        if state is None or not state.is_for(snapshot):
            prepared = self._prepared
            state = prepared if prepared is not None and prepared.is_for(snapshot) else CatalogState(snapshot)
            self._state = state
            self._prepared = None
        return state

    def _eligible(
        self, request: RoutingRequest, task: Task, state: CatalogState, rules: RoutingRules, routed: Routed
    ) -> tuple[Routed, Eligible, tuple[Struck, ...]]:
        """Return the route that applies, its targets, and those that limits of money leave out."""
        needed = request.input_tokens + request.output_tokens
        asked = task.capabilities
        agent = task.agent_type if task.agent_type in rules.agents else None
        if agent is not None and (required := rules.agents[agent].required_capabilities):
            asked = tuple(sorted({*asked, *required}))
        shape = Shape(task.level, request.needs, asked, request.model_type, bisect_left(state.windows, needed))
        workspace = rules.workspaces.get(request.workspace) if request.workspace is not None else None
        if routed.route is None and workspace is None and agent is None and request.spend is NO_SPEND:
            known = state.whole.get(shape)
            if known is not None:
                return routed, known, ()
        while True:
            route = routed.route
            scope = Scope(route, workspace, agent)
            dear = _left_out(request, route, state, rules)
            eligible = state.eligible(shape, scope._replace(left_out=frozenset(dear)) if dear else scope)
            struck = tuple(dear.values())
            if eligible.usable.targets:
                return routed, eligible, struck
            following = routed.following
            if following is None:
                free = state.eligible(shape, scope) if dear else eligible
                if not free.usable.targets:  # not even without limits of money
                    raise refusal(route, free.usable.struck, ())
                raise refusal(route, eligible.usable.struck + struck, struck)
            words = f"agent {agent}: {reasons(eligible.usable.struck + struck)}"
            routed = following._replace(passed_over=(*following.passed_over, words))

    def _listed(
        self,
        request: RoutingRequest,
        task: Task,
        eligible: Eligible,
        first: ListedStage,
        route: Route,
        failures: FailureView,
    ) -> tuple[PlannedTarget, ...]:
        """Return the targets of a route that lists its candidates."""
        case = self._case(request, task, first, route, failures)
        prefix = f"the rule {quote(route.rule)} names the policy: " if route.rule is not None and route.policy else ""
        later = [(stage, _case_of(task, stage, failures)) for stage in eligible.later]
        return first.order(case, route.kind, prefix, self._rng, later)

    def _case(
        self, request: RoutingRequest, task: Task, first: ListedStage, route: Route, failures: FailureView
    ) -> Hashable:
        stage = first.stage
        if stage.order == "weighted":
            assert route.rule is not None
            identity = request.session or request.id
            return stage.drawn(point_of(route.rule, identity) if identity is not None else self._rng.random())
        return _case_of(task, first, failures)

    @staticmethod
    def _followed(
        targets: tuple[PlannedTarget, ...], eligible: Eligible, task: Task, failures: FailureView
    ) -> tuple[PlannedTarget, ...]:
        """Return the targets of a learned selection with those of the stages that follow it."""
        later = [(stage, _case_of(task, stage, failures)) for stage in eligible.later]
        key = id(targets), *(case for _, case in later)  # an order that is kept lives as long as this entry
        found = eligible.orders.get(key)
        if found is None:
            followed = TargetOrder(targets + after(targets, later))
            if isinstance(targets, TargetOrder):
                eligible.orders[key] = (targets, followed)
            return followed
        return found[1]

    def _prepare_set(self, eligible: Eligible, wanted: Wanted, state: CatalogState, *, probing: bool) -> PreparedSet:
        scored_as, probed, keys, tail = eligible.key
        trials: Trials = "none" if not probing else "all" if probed else "random"
        key = scored_as, wanted, trials, keys, tail
        found = state.sets.get(key)
        if found is None:
            self.sets_computed += 1
            found = state.sets[key] = self._new_set(key, eligible.chosen, eligible.tail, state)
            if len(state.sets) > _MAX_SETS:
                state.sets.popitem(last=False)
        state.sets.move_to_end(key)
        return found

    def _new_set(
        self, key: SetKey, targets: Sequence[Target], tail: Sequence[Target], state: CatalogState
    ) -> PreparedSet:
        scored_as, (prefer, task_type), trials, _, _ = key
        return PreparedSet(
            targets,
            scored_as,
            prefer,
            state.snapshot.for_task_type(task_type),
            mode=self._selection,
            exploration=0.0 if trials == "none" else self._exploration,
            probing=trials == "all",
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

    def _forced(
        self,
        request: RoutingRequest,
        name: str,
        alias: str | None,
        state: CatalogState,
        health: HealthView,
        rules: RoutingRules,
        classifier: TrainedClassifier | None,
    ) -> Plan:
        """Return the plan for a model that the client named: its targets alone, unhealthy ones last."""
        targets = state.configuration.targets_of(name)
        if not targets:
            raise PlanError("model_not_found", not_found(request.model, state.configuration))
        workspace = rules.workspaces.get(request.workspace) if request.workspace is not None else None
        spend = request.spend
        budget = budget_strikes(targets, spend, rules.price_of, None) if spend is not NO_SPEND else {}
        struck = tuple(
            found
            for target in targets
            if (
                found := (workspace.strike(target) if workspace is not None else None)
                or firm_strike(target, request.model_type, forced=True)
                or budget.get(target.key)
            )
            is not None
        )
        left_out = {each.key for each in struck}
        usable = [target for target in targets if target.key not in left_out]
        if not usable:
            raise forced_refusal(request.model, struck)
        task = resolve_task(request.headers, request.metadata, None, request.text, classifier)
        healthy = [each for each in usable if each.key not in health.breaker_open and each.key not in health.unhealthy]
        others = [each for each in usable if each not in healthy]
        planned: list[PlannedTarget] = []
        for group in (healthy, others):
            if group:
                ranked = ranked_target(group[0], task.level, state.snapshot)
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


def _left_out(
    request: RoutingRequest, route: Route | None, state: CatalogState, rules: RoutingRules
) -> dict[str, Struck]:
    """Return the targets that limits of money leave out, by key: usually none, which costs some comparisons."""
    found: dict[str, Struck] = {}
    if route is not None and route.limits:
        most = route.settings.max_tokens if route.settings is not None else None
        output = expected_output(request.output_tokens, most, request.model_type)
        measured = state.health.output_tokens if is_open(request.output_tokens, most, request.model_type) else _NONE
        longest = max(output, *measured.values()) if measured else output
        if not are_within(route.limits, request.input_tokens, longest * request.choices):
            found = cost_strikes(
                route.targets,
                route.limits,
                rules.price_of,
                request.input_tokens,
                output,
                route.policy,
                request.choices,
                measured,
            )
    if request.spend is not NO_SPEND:
        policy = route.policy if route is not None else None
        found |= budget_strikes(state.targets_of(route), request.spend, rules.price_of, policy)
    return found


def _case_of(task: Task, stage: ListedStage, failures: FailureView) -> Hashable:
    policy = stage.stage.policy
    if stage.stage.order != "local_first" or policy is None:
        return None
    return case_of(policy, task, failures.of(policy.name))
