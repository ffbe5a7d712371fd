"""The targets that requests of one shape and scope can use, with everything that was computed for their order. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Literal, NamedTuple

from centralcloud.contracts.fleet_configuration import QualityRequirements
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target, build_configuration
from instance_agent.routing.constraints import Checks, Shape, Usable, usable_targets
from instance_agent.routing.decision import Preference
from instance_agent.routing.demotion import Demotion, Promotion
from instance_agent.routing.experiments import Arm, Treatment
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.listed import ListedStage
from instance_agent.routing.plan import PlannedTarget
from instance_agent.routing.prepared import PreparedSet
from instance_agent.routing.request import ALL_HEALTHY, HealthView
from instance_agent.routing.requirements import is_empty, shortfall
from instance_agent.routing.restrictions import WorkspaceRules
from instance_agent.routing.routes import Route, Stage
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import PriceOf, catalog_prices
from instance_agent.routing.treatments import ModelFirst

#: Models other than the best are tried: as probes and at random; only at random; not at all.
Trials = Literal["all", "random", "none"]
#: The preference, and the task type by whose scores the models are compared; None: by those of the pairs.
Wanted = tuple[Preference | None, str | None]
#: A set of targets: the complexity of the scores, preference and task type, which trials there are, the keys of the targets,
#: and those of the targets that follow them.
SetKey = tuple[str, Wanted, Trials, tuple[str, ...], tuple[str, ...]]
#: A set without its preference; whether it is probed.
SetKeyBase = tuple[str, bool, tuple[str, ...], tuple[str, ...]]
#: Shapes of requests whose sets are kept: callers make up capabilities.
_MAX_SHAPES: Final = 1000


class Scope(NamedTuple):
    """The part of the configuration that a request's targets depend on. It has no value of a single request.

    Attributes:
        route: whose models are the candidates; None: all of the catalog.
        workspace, agent: with their restrictions and requirements; None: none.
        left_out: keys of the targets that limits of money leave out.
    """

    route: Route | None = None
    workspace: WorkspaceRules | None = None
    agent: str | None = None
    left_out: frozenset[str] = frozenset()


WHOLE_CATALOG: Final = Scope()


class Eligible:
    """The targets of requests of one shape and scope.

    Attributes:
        usable: targets, and those that were left out, the models that the catalog does not have included.
        key: of the set of the learned selection among them, or of the first stage.
        chosen: the targets of that set.
        tail: those that follow them, without a score for the complexity.
        prepared, unprobed: that set with its probabilities, for each preference and task type, with probes and without.
        listed: the first stage where it lists its candidates; None: the learned selection is first.
        later: the stages that follow the first one.
        orders: where a learned selection is followed by more stages: its order, and the whole one.
        places: of such requests in an experiment, by the arm of their session.
    """

    __slots__ = ("chosen", "key", "later", "listed", "orders", "places", "prepared", "tail", "unprobed", "usable")

    def __init__(
        self, usable: Usable, level: str, route: Route | None, snapshot: CatalogSnapshot, price_of: PriceOf
    ) -> None:
        self.usable = usable
        self.prepared: dict[Wanted, PreparedSet] = {}
        self.unprobed: dict[Wanted, PreparedSet] = {}
        self.listed: ListedStage | None = None
        self.later: tuple[ListedStage, ...] = ()
        self.places: dict[Arm, Any] = {}
        self.orders: dict[Hashable, tuple[tuple[PlannedTarget, ...], TargetOrder]] = {}
        self.chosen, self.tail = usable.targets, usable.tail
        if route is not None and usable.targets:
            self._use_stages(route, level, snapshot, price_of)
        relaxed_score = "no_score" in usable.relaxed
        # Scores for simple tasks that stand in for missing ones need no probes: the task is not a simple one.
        self.key: SetKeyBase = (
            "simple" if relaxed_score else level,
            not relaxed_score,
            tuple(each.key for each in self.chosen),
            tuple(each.key for each in self.tail),
        )

    @property
    def demoted(self) -> tuple[Demotion, ...]:
        """The models of the first stage that are tried last."""
        return self.listed.demoted if self.listed is not None else ()

    @property
    def promoted(self) -> tuple[Promotion, ...]:
        """The models of the first stage that are tried earlier for that."""
        return self.listed.promoted if self.listed is not None else ()

    def _use_stages(self, route: Route, level: str, snapshot: CatalogSnapshot, price_of: PriceOf) -> None:
        usable = frozenset(each.key for each in (*self.usable.targets, *self.usable.tail))
        stages = [stage for stage in route.stages if usable.intersection(keys_of(stage))]
        first, *later = stages
        if first.order == "learned":
            own, scored_as = keys_of(first), "simple" if "no_score" in self.usable.relaxed else level
            # One that another stage lists, too, may have no score: it is usable there.
            self.chosen = tuple(
                each
                for each in self.usable.targets
                if each.key in own and snapshot.score(each.model, scored_as) is not None
            )
            self.tail = tuple(each for each in self.usable.tail if each.key in own)
            if not self.chosen:  # only the tail: the stages after it have better targets
                first, *later = [*later, first] if later else [first]
        if first.order != "learned" or not self.chosen:
            self.listed = ListedStage(first, usable, level, snapshot, price_of)
        self.later = tuple(ListedStage(stage, usable, level, snapshot, price_of) for stage in later)


class CatalogState:
    """One state of the catalog with everything that was computed for it."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.snapshot = snapshot
        self.configuration = snapshot.configuration or build_configuration(snapshot.models)
        self.targets = {target.key: target for group in self.configuration.targets.values() for target in group}
        self.windows = sorted({model.context_window for model in snapshot.models if model.context_window is not None})
        self.sets: OrderedDict[SetKey, PreparedSet] = OrderedDict()
        self._all = tuple(self.targets.values())
        self._health: HealthView = ALL_HEALTHY
        self._rules: RoutingRules | None = None
        self._eligible: dict[tuple[Shape, Scope], Eligible] = {}
        #: Those of the whole catalog that have targets: most fleets have no rule for most requests.
        self.whole: dict[Shape, Eligible] = {}
        self._treated: dict[tuple[Treatment, Shape, Scope], ModelFirst] = {}
        #: The same state with the scores of a treatment.
        self.tables: dict[Treatment, CatalogState] = {}

    def is_for(self, snapshot: CatalogSnapshot) -> bool:
        """Whether a plan by `snapshot` is one by this state: another cursor of the same scores changes nothing."""
        own = self.snapshot
        return (
            own.configuration is snapshot.configuration
            and own.models is snapshot.models
            and own.learned.scores is snapshot.learned.scores
        )

    def use(self, health: HealthView, rules: RoutingRules) -> None:
        """Forget the targets of other health views and rules."""
        if self._health is not health or self._rules is not rules:
            if self._rules is not rules and self._rules is not None:
                self.tables = {}
            self._health, self._rules = health, rules
            self._eligible, self.whole, self._treated = {}, {}, {}

    def score(self, target: Target, scored_as: str) -> float | None:
        """Return the score of a target for a complexity."""
        return self.snapshot.score(target.model, scored_as)

    @property
    def health(self) -> HealthView:
        """The health of the targets, as `use` took it."""
        return self._health

    def targets_of(self, route: Route | None) -> tuple[Target, ...]:
        """Return the candidates of a route."""
        return self._all if route is None else route.targets

    def eligible(self, shape: Shape, scope: Scope) -> Eligible:
        """Return the targets of a shape and a scope; without any, `usable.targets` is empty."""
        key = shape, scope
        found = self._eligible.get(key)
        if found is None:
            route = scope.route
            usable = usable_targets(
                self.targets_of(route), shape, self.windows, self._health, self.score, self._checks(shape, scope)
            )
            if route is not None and route.missing:
                usable = usable._replace(struck=usable.struck + route.missing)
            if len(self._eligible) >= _MAX_SHAPES:
                self._eligible.clear()
                self.whole.clear()
            found = self._eligible[key] = Eligible(
                usable,
                shape.scored_as,
                route,
                self.snapshot,
                catalog_prices if self._rules is None else self._rules.price_of,
            )
            if scope == WHOLE_CATALOG and usable.targets:
                self.whole[shape] = found
        return found

    def model_first(self, treatment: Treatment, shape: Shape, scope: Scope) -> ModelFirst:
        """Return the model of a treatment for a shape; of a scope workspace, agent and targets left out count."""
        key = treatment, shape, scope
        found = self._treated.get(key)
        if found is None:
            # A model that is being tried needs no score.
            checks = self._checks(shape, scope)._replace(scored=frozenset())
            usable = usable_targets(treatment.targets, shape, self.windows, ALL_HEALTHY, self.score, checks)
            if len(self._treated) >= _MAX_SHAPES:
                self._treated.clear()
            found = self._treated[key] = ModelFirst(
                usable, shape.scored_as, self.snapshot, self._health, treatment.note
            )
        return found

    def with_table(self, treatment: Treatment) -> "CatalogState":
        """Return this state with the scores of a treatment in place of the learned ones of its pairs."""
        found = self.tables.get(treatment)
        if found is None:
            found = self.tables[treatment] = CatalogState(treatment.applied_to(self.snapshot))
        if self._rules is not None:
            found.use(self._health, self._rules)
        return found

    def _checks(self, shape: Shape, scope: Scope) -> Checks:
        rules, workspace = self._rules, scope.workspace
        agent = rules.agents.get(scope.agent) if rules is not None and scope.agent is not None else None
        return Checks(
            restriction=None if workspace is None else workspace.strike,
            left_out=scope.left_out,
            scored=None if scope.route is None else scope.route.scored,
            quality=None if workspace is None else self._check(workspace.workspace.quality_requirements, shape, rules),
            agent=None if agent is None else self._check(agent.performance_requirements, shape, rules),
        )

    def _check(
        self, requirements: QualityRequirements, shape: Shape, rules: RoutingRules | None
    ) -> Callable[[Target], str | None] | None:
        if rules is None or is_empty(requirements):
            return None
        learned, health, price_of = self.snapshot.learned, self._health, rules.price_of
        return lambda target: shortfall(requirements, target, shape.scored_as, learned, health, price_of)


def keys_of(stage: Stage) -> frozenset[str]:
    """Return the keys of the targets of a stage."""
    return frozenset(target.key for candidate in stage.candidates for target in candidate.targets)
