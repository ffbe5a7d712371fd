"""The experiments of a fleet, compiled for one catalog: which one has a request, and in which arm. Immutable and pure.

An experiment that runs, is paused or was promoted is asked before rules, and after the names that a client sends. The first
by id whose scope holds has the request, of those that this gateway can serve: one with a model that its catalog lacks takes
no request from the next one. The arm follows from the session's name, else from the request's id: replicas share no state,
and a session stays in its arm.

Both arms have the same requests. A request that a treatment could not serve (a restriction, a budget, the capabilities, the
context window, a catalog without the model) is in no arm, whatever arm its session has: otherwise control would have harder
requests than the treatment. Health is not such a reason: a model that is down fails in its arm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from centralcloud.contracts.errors import quote
from centralcloud.contracts.experiment_arms import assign, position_of
from centralcloud.contracts.fleet_configuration import CONTROL, Experiment, ExperimentScope
from centralcloud.contracts.fleet_configuration import Treatment as ConfiguredTreatment
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import CatalogConfiguration, Target
from instance_agent.catalog.learned_scores import LearnedScore, Pair
from instance_agent.routing.constraints import firm_strike
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.routes import Route
from instance_agent.routing.task import Task


class Treatment:
    """A treatment as a catalog knows it. Compare by identity.

    Attributes:
        experiment, name: of the experiment and of the arm.
        targets: of its model; none where it is another kind of treatment.
        route: of its policy; None where it is another kind.
        scores: of its score table; none where it is another kind.
        problem: why this gateway can never serve it; None: it can.
        note: the reason for its model, in words.
    """

    __slots__ = ("experiment", "name", "note", "problem", "route", "scores", "targets")

    def __init__(
        self,
        experiment: Experiment,
        treatment: ConfiguredTreatment,
        configuration: CatalogConfiguration,
        policies: Mapping[str, Route],
    ) -> None:
        self.experiment, self.name = experiment.id, treatment.name
        self.targets: tuple[Target, ...] = ()
        self.route: Route | None = None
        self.scores: Mapping[Pair, LearnedScore] = {}
        self.problem: str | None = None
        self.note = f"the treatment {quote(treatment.name)} of the experiment {quote(experiment.id)}"
        if treatment.model is not None:
            self.targets = configuration.targets_of(configuration.resolve(treatment.model)[0])
            if not self.targets:
                self.problem = f"the catalog of this gateway does not have {treatment.model}"
            elif all(struck := [firm_strike(each, each.model.model_type) for each in self.targets]):
                self.problem = next(each.words for each in struck if each is not None)
        elif treatment.policy is not None:
            route = policies.get(treatment.policy)
            if route is None or route.settings is None or not route.settings.is_active:
                self.problem = f"its policy {treatment.policy} is not active"
            elif not route.stages:
                self.problem = f"the catalog of this gateway has no model of its policy {treatment.policy}"
            self.route = route
        else:
            self.scores = {
                (each.model_id, each.complexity): LearnedScore(
                    score=each.score,
                    version=None,
                    at=experiment.stage.began,
                    reason=self.note,
                    estimate=each.estimate,
                    task_types=each.task_scores,
                )
                for each in treatment.score_table
            }

    def applied_to(self, snapshot: CatalogSnapshot) -> CatalogSnapshot:
        """Return a state of the catalog with the scores of the table in place of the learned ones of its pairs."""
        learned = snapshot.learned
        return snapshot._replace(learned=replace(learned, scores={**learned.scores, **self.scores}))


class Arm:
    """An arm of an experiment, for one stage of it. Immutable; compare by identity.

    Attributes:
        experiment: its id.
        name: of the treatment, or ``control``.
        share: as `Assignment.share`; None: its outcomes are not compared.
        treatment: None for control.
        words: the arm with the share of its sessions, such as "treatment new at 1%".
        key: the experiment and the treatment, for what is remembered of sessions; None for control: as without experiment.
    """

    __slots__ = ("experiment", "key", "name", "share", "treatment", "words")

    def __init__(
        self, experiment: str, name: str, share: float | None, treatment: Treatment | None, words: str
    ) -> None:
        self.experiment, self.name = experiment, name
        self.share, self.treatment, self.words = share, treatment, words
        self.key: tuple[str, str] | None = None if treatment is None else (experiment, name)

    @property
    def text(self) -> str:
        """The experiment and its arm in words."""
        return f"experiment {self.experiment}: {self.words}"


class CompiledExperiment:
    """One experiment.

    Attributes:
        id: of the experiment.
        treatments: in their order.
        problem: why this gateway has the experiment for no request; None: it has it.
    """

    def __init__(
        self, experiment: Experiment, configuration: CatalogConfiguration, policies: Mapping[str, Route]
    ) -> None:
        self.id = experiment.id
        self.treatments = tuple(Treatment(experiment, each, configuration, policies) for each in experiment.treatments)
        self._salt = experiment.salt
        self._split = experiment.split
        #: Whether its scope holds for a request, see `Scope.holds`.
        self.has = Scope(experiment.scope).holds
        stage = experiment.stage
        self._untreated = Arm(self.id, CONTROL, None, None, f"{CONTROL}, {_why_untreated(experiment)}")
        self._arms: dict[tuple[int | None, float | None], Arm] = {}
        won = [each for each in self.treatments if stage.status == "promoted" and each.name == stage.winner]
        self._winner: Arm | None = None
        for each in won:
            # The daemon publishes a promoted table: its scores are the learned ones then, and learning goes on from them.
            served = None if each.scores else each
            self._winner = Arm(self.id, each.name, None, served, f"treatment {each.name}, which was promoted")
        needed = won or self.treatments
        self.problem = next((f"its treatment {each.name}: {each.problem}" for each in needed if each.problem), None)

    def arm_of(self, session: str, treating: bool) -> Arm:
        """Return the arm of a session; `treating` False: control, unless a treatment was promoted."""
        if self._winner is not None:
            return self._winner
        if not treating or self._split.share == 0.0:
            return self._untreated
        found = assign(position_of(self.id, self._salt, session), self._split)
        return self._arms.get(found) or self._made(*found)

    def _made(self, number: int | None, share: float | None) -> Arm:
        percent = f"{100 * self._split.share:.3g}%"
        if number is not None:
            treatment: Treatment | None = self.treatments[number]
            name = self.treatments[number].name
            words = f"treatment {name} at {percent}"
        else:
            plural = "treatment" if len(self.treatments) == 1 else "treatments, each"
            treatment, name, words = None, CONTROL, f"{CONTROL} ({plural} at {percent})"
        if share is None:
            words = f"{words}, not compared"
        arm = self._arms[number, share] = Arm(self.id, name, share, treatment, words)
        return arm


class Experiments:
    """The experiments of a configuration that may route requests, in the order in which they are asked."""

    def __init__(
        self,
        experiments: Iterable[Experiment],
        configuration: CatalogConfiguration,
        policies: Mapping[str, Route],
    ) -> None:
        """Compile them; `experiments`: by id; `policies`: the routes of all policies."""
        self._experiments = tuple(
            CompiledExperiment(each, configuration, policies) for each in experiments if each.is_routed
        )

    @property
    def problems(self) -> dict[str, str]:
        """Why this gateway has an experiment for no request, by its id."""
        return {each.id: each.problem for each in self._experiments if each.problem is not None}

    def __bool__(self) -> bool:
        return bool(self._experiments)

    def of(self, request: RoutingRequest, task: Task, policy: str | None, chosen: bool) -> CompiledExperiment | None:
        """Return the experiment that has a request; None: none. One with a problem has it only where no other one does.

        Args:
            policy: that would serve it.
            chosen: whether the client named neither a model nor a policy.
        """
        unusable: CompiledExperiment | None = None
        for each in self._experiments:
            if each.has(request, task, policy, chosen):
                if each.problem is None:
                    return each
                unusable = unusable or each
        return unusable


class Scope:
    """A scope, ready to be compared."""

    __slots__ = ("_complexities", "_is_open", "_policies", "_requested", "_task_types", "_workspaces")

    def __init__(self, scope: ExperimentScope) -> None:
        self._complexities: frozenset[str] = frozenset(scope.complexities)
        self._task_types = frozenset(scope.task_types)
        self._policies = frozenset(scope.policies)
        self._workspaces = frozenset(scope.workspaces)
        self._requested = frozenset(scope.requested_models)
        self._is_open = scope == ExperimentScope()

    def holds(self, request: RoutingRequest, task: Task, policy: str | None, chosen: bool) -> bool:
        """Whether it holds for a request; `chosen`: neither a model nor a policy was named."""
        if self._is_open:
            return chosen
        if self._requested:
            if (request.asked or request.model) not in self._requested:
                return False
        elif not chosen:
            return False
        return (
            (not self._complexities or task.level in self._complexities)
            and (not self._task_types or task.task_type in self._task_types)
            and (not self._policies or policy in self._policies)
            and (not self._workspaces or request.workspace in self._workspaces)
        )


def is_chosen(request: RoutingRequest, name: str) -> bool:
    """Whether a client named neither a model nor a policy; `name`: as its aliases resolve it."""
    return (request.asked or name) in AUTO_NAMES


def _why_untreated(experiment: Experiment) -> str:
    if experiment.stage.status == "paused":
        return "paused"
    return "no treatment at this stage" if experiment.stage.share == 0.0 else "the daemon is silent"
