"""The planner: a request, a snapshot of the catalog, rules and the health of targets -> a plan. Pure and synchronous.

The order in which the first model is decided: a model that the client named; a policy that the client named; the arm of an
experiment; a rule; the preferences of the agent type; the policy of the task type, then that of the workspace; the session's
model; learned selection. An experiment whose scope has the name comes before the client's. Restrictions of a workspace and
limits of money hold everywhere.

A plan costs microseconds when its set of targets was seen since the scores last changed. Three caches make it so: for each
shape of requests and each part of the configuration the set of targets, until health or rules are others; for each set the
probabilities, until scores or catalog change; and for each first model the whole order. No cache has a value of a single
request in its key. `prepare` computes the probabilities before a change is used.
"""

import random
from bisect import bisect_left
from collections.abc import Hashable, Mapping
from typing import Final, TypeAlias

from msgspec.structs import replace

from centralcloud.contracts.errors import quote
from centralcloud.contracts.model_choice.selection import SelectionMethod, SelectionMode
from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.routing.affinity import SessionMemory, cache_loss
from instance_agent.routing.arms import NO_PLACE, Conditions, Placed, placed
from instance_agent.routing.constraints import Shape
from instance_agent.routing.eligible import CatalogState, Eligible, Scope
from instance_agent.routing.experiments import is_chosen
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.forced import forced_plan
from instance_agent.routing.listed import ListedStage, after, case_of
from instance_agent.routing.local_failures import NO_FAILURES, FailureView
from instance_agent.routing.plan import Affinity, Plan, PlanError, PlanKind, PlannedTarget
from instance_agent.routing.prepared import PreparedSet
from instance_agent.routing.prepared_states import PreparedStates
from instance_agent.routing.refusals import reasons, refusal
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

_NONE: Final[Mapping[str, int]] = {}
_NO_ROUTE: Final = Route(kind="policy", stages=(), targets=(), scored=frozenset(), missing=())


#: The route that applies, its targets, and those that limits of money leave out.
_Found: TypeAlias = tuple[Routed, Eligible, tuple[Struck, ...]]


class Planner(PreparedStates):
    """Plans requests. For one thread, usually that of the event loop; `prepare` may be called from another.

    Attributes:
        sessions: the models of recent sessions. The caller records each turn that was answered.
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
        super().__init__(selection, exploration)
        self._rng = rng or random.Random()
        self.sessions = sessions or SessionMemory()

    def plan(
        self,
        request: RoutingRequest,
        snapshot: CatalogSnapshot,
        health: HealthView = ALL_HEALTHY,
        rules: RoutingRules = NO_RULES,
        failures: FailureView = NO_FAILURES,
        *,
        probing: bool = True,
        treating: bool = True,
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
                exploration is used up. One that is compared never is, in either arm: the other one would look better.
            treating: whether treatments of experiments may serve requests; not when the daemon that watches them is silent.
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
                plan = forced_plan(request, name, alias, state, health, rules, classifier, self._rng)
                if rules.experiments is None:
                    return plan
                return self._named_in_experiment(
                    plan, request, state, rules, failures, probing=probing, treating=treating
                )
            level = name[5:] or None
        task = resolve_task(request.headers, request.metadata, level, request.text, classifier)
        if routed is None:
            routed = rules.routed(request, task)
        conditions = self._conditions(request, task, state, rules)
        found = self._eligible(request, conditions, state, rules, routed)
        if rules.experiments is None:
            return self._ordered(request, task, state, found, failures, alias, probing)
        place = self._place(request, task, conditions, found, state, rules, is_chosen(request, name), treating)
        probing = probing and not place.is_compared
        if place.arm is not None and (treatment := place.arm.treatment) is not None:
            if treatment.route is not None:
                by_policy = Routed(treatment.route, source="experiment")
                found = self._eligible(request, conditions, state, rules, by_policy)
            elif treatment.scores:
                state = state.with_table(treatment)
                found = self._eligible(request, conditions, state, rules, found[0])
        return self._ordered(request, task, state, found, failures, alias, probing, place)

    def _ordered(
        self,
        request: RoutingRequest,
        task: Task,
        state: CatalogState,
        found: _Found,
        failures: FailureView,
        alias: str | None,
        probing: bool,
        place: Placed = NO_PLACE,
    ) -> Plan:
        """Return the plan with the targets of a route in their order; those of a treatment's model come before them."""
        routed, eligible, dear = found
        route, usable = routed.route, eligible.usable
        arm, reason, model = place
        affinity: Affinity | None = None
        propensity: float | None = None
        method: SelectionMethod | None = None
        kind: PlanKind
        if eligible.listed is not None:
            assert route is not None
            targets = self._listed(request, task, eligible, eligible.listed, route, failures)
            kind = targets[0].code  # type: ignore[assignment]
        else:
            known = eligible.prepared if probing else eligible.unprobed
            wanted = task.prefer, state.snapshot.learned.task_type_of(task.task_type)
            prepared = known.get(wanted)
            if prepared is None:
                prepared = known[wanted] = self._prepare_set(eligible, wanted, state, probing=probing)
            first, kind = 0, "best"
            if model is None:
                first, kind, affinity = self._first(request, prepared, place)
            targets = prepared.order(first, kind, self._rng)
            if eligible.later:
                targets = self._followed(targets, eligible, task, failures)
            if kind != "session" and model is None:
                propensity = prepared.models[first].ranked.chance.propensity
                method = prepared.selection.method
        waived = usable.waived
        if model is not None:
            targets, kind, waived = model.order(targets, self._rng), "experiment", model.waived + waived
        followed = route or _NO_ROUTE
        return Plan(
            task=task,
            kind=kind,
            targets=targets,
            propensity=propensity,
            method=method,
            struck=usable.struck + dear if dear else usable.struck,
            relaxed=usable.relaxed,
            waived=waived,
            affinity=affinity,
            alias=alias,
            config_version=state.configuration.version,
            policy=followed.policy,
            rule=followed.rule,
            agent=followed.agent,
            policy_from=routed.source,
            settings=followed.settings,
            passed_over=routed.passed_over if reason is None else (*routed.passed_over, reason),
            demoted=eligible.demoted,
            promoted=eligible.promoted,
            assigned=arm,
        )

    def _named_in_experiment(
        self,
        plan: Plan,
        request: RoutingRequest,
        state: CatalogState,
        rules: RoutingRules,
        failures: FailureView,
        *,
        probing: bool,
        treating: bool,
    ) -> Plan:
        """Return the plan for a model that the client named, in its experiment if one has the request."""
        conditions = self._conditions(request, plan.task, state, rules)
        place = self._place(request, plan.task, conditions, None, state, rules, is_chosen(request, ""), treating)
        if place.arm is None or place.arm.treatment is None:
            return (
                replace(plan, assigned=place.arm, passed_over=() if place.reason is None else (place.reason,))
                if place is not NO_PLACE
                else plan
            )
        if place.model is not None:
            targets = place.model.order(plan.targets, self._rng)
            waived = place.model.waived + plan.waived
            return replace(plan, kind="experiment", targets=targets, waived=waived, assigned=place.arm)
        by_policy = Routed(place.arm.treatment.route, source="experiment")
        found = self._eligible(request, conditions, state, rules, by_policy)
        probing = probing and not place.is_compared
        served = self._ordered(request, plan.task, state, found, failures, plan.alias, probing, place)
        return replace(served, is_named=True)

    def _place(
        self,
        request: RoutingRequest,
        task: Task,
        conditions: Conditions,
        found: _Found | None,
        state: CatalogState,
        rules: RoutingRules,
        chosen: bool,
        treating: bool,
    ) -> Placed:
        """Return the place of a request in the experiment that has it, if one has.

        Args:
            found: of control; None: the client named a model.
            chosen: whether the client named neither a model nor a policy.
        """
        assert rules.experiments is not None
        route = None if found is None else found[0].route
        experiment = rules.experiments.of(request, task, None if route is None else route.policy, chosen)
        if experiment is None:
            return NO_PLACE
        arm = experiment.arm_of(request.session or request.id or str(self._rng.random()), treating)
        # Without limits of money all requests with the same targets have the same place.
        places = found[1].places if found is not None and request.spend is NO_SPEND else None
        if places is not None and (known := places.get(arm)) is not None:
            return known  # type: ignore[no-any-return]

        def why_not(treated: Route) -> str | None:
            if not treated.serves(request.model_type):
                return f"none of its models is for {request.model_type}"
            try:
                self._eligible(request, conditions, state, rules, Routed(treated))
            except PlanError as error:
                return str(error)
            return None

        by_score = found is not None and found[1].listed is None
        place = placed(experiment, arm, request, conditions, route, state, rules, by_score=by_score, why_not=why_not)
        limited = [each for each in (route, *(each.route for each in experiment.treatments)) if each and each.limits]
        if places is not None and not limited and not (route and route.settings and route.settings.max_cost_per_task):
            places[arm] = place
        return place

    @staticmethod
    def _conditions(request: RoutingRequest, task: Task, state: CatalogState, rules: RoutingRules) -> Conditions:
        """Return what the targets of a request depend on, beside its route and limits of money."""
        needed = request.input_tokens + request.output_tokens
        asked = task.capabilities
        agent = task.agent_type if task.agent_type in rules.agents else None
        if agent is not None and (required := rules.agents[agent].required_capabilities):
            asked = tuple(sorted({*asked, *required}))
        shape = Shape(task.level, request.needs, asked, request.model_type, bisect_left(state.windows, needed))
        workspace = rules.workspaces.get(request.workspace) if request.workspace is not None else None
        return shape, workspace, agent

    @staticmethod
    def _eligible(
        request: RoutingRequest, conditions: Conditions, state: CatalogState, rules: RoutingRules, routed: Routed
    ) -> _Found:
        """Return the route that applies, its targets, and those that limits of money leave out."""
        shape, workspace, agent = conditions
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

    def _first(
        self, request: RoutingRequest, prepared: PreparedSet, place: Placed
    ) -> tuple[int, PlanKind, Affinity | None]:
        """Return the position of the first model, the reason for it, and the session's part in it."""
        affinity: Affinity | None = None
        if request.session is not None and (entry := self.sessions.get(request.session)) is not None:
            position = prepared.positions.get(entry.model)
            if entry.arm != (None if place.arm is None else place.arm.key):
                affinity = "left_arm"
            elif position is None:
                affinity = "left_struck"
            else:
                gain = prepared.models[0].ranked.value - prepared.models[position].ranked.value
                if gain <= cache_loss(entry, request.input_tokens):
                    return position, "session", "kept"
                affinity = "left_for_better"
        first, kind = prepared.selection.sample(self._rng)
        return first, kind, affinity


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
