"""A plan: the targets for a request in the order in which they are tried, with the reasons for and against each."""

from typing import Literal

from msgspec import Struct

from centralcloud.contracts.fleet_configuration import RoutingPolicy
from centralcloud.contracts.model_choice.selection import SelectionMethod
from instance_agent.catalog.configuration import Target
from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.decision import RankedModel
from instance_agent.routing.demotion import Demotion, Promotion
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.experiments import Arm
from instance_agent.routing.explanation import explain_plan
from instance_agent.routing.struck import Struck
from instance_agent.routing.task import Task

#: Why the first target is the first: as the best, as a probe, at random, by its session, because the client named it, as the
#: model of a treatment, or by the order of a policy, of a rule (as its canary), or of an agent's preferences.
PlanKind = Literal[
    "best", "probe", "exploration", "session", "forced", "experiment", "policy", "rule", "canary", "agent"
]
#: A session's model: kept; left for a better one; left because it cannot be used; or left because another arm had it.
Affinity = Literal["kept", "left_for_better", "left_struck", "left_arm"]


class PlanError(RoutingError):
    """A request without a plan.

    Attributes:
        code: ``model_not_found``, ``policy_not_found``, ``model_unusable`` (the client named it), ``no_target`` (none
            fulfils the request); ``workspace_restriction``, ``compliance``, ``policy_cost`` or ``budget`` where that alone
            is the reason.
        struck: the targets that were considered.
    """

    def __init__(self, code: str, message: str, struck: tuple[Struck, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.struck = struck


class PlannedTarget(Struct, frozen=True):
    """A target of a plan.

    Attributes:
        target: the model at its endpoint.
        code: why it stands here: a `PlanKind` for the first target, ``endpoint`` for another endpoint of its model,
            ``fallback``, ``downgrade`` for a fallback that is cheaper than the first one, or ``unscored`` for one without a
            score for the complexity.
        ranked: the model's score, value and chance; None for a model without a score.
        note: its place in a policy, a rule or an agent's preferences, in words; None: it was selected by its score.
    """

    target: Target
    code: str
    ranked: RankedModel | None
    note: str | None = None

    @property
    def score_version(self) -> int | None:
        """Version of the learned score; None for a configured or manual one."""
        learned = self.ranked.learned if self.ranked else None
        return learned.version if learned else None

    @property
    def words(self) -> str:
        """The reason in words."""
        ranked = self.ranked
        score = f"score {ranked.score:.2f}" if ranked else "no score"
        if self.note is not None:
            return f"{self.note} ({score})"
        if self.code == "forced":
            return f"the client named it ({score})"
        if self.code == "session":
            return f"it answered the last turn of the session ({score})"
        if self.code == "endpoint":
            return f"another endpoint of the first model, {self.target.endpoint.type}"
        if self.code == "unscored" and ranked is not None:
            return (
                f"no score for this complexity: after those that have one (score {ranked.score:.2f} for simple tasks)"
            )
        if self.code == "fallback" or ranked is None:
            return f"the next by value ({score})"
        if self.code == "probe":
            return f"probed: {100 * ranked.chance.probe:.2g}% of traffic re-checks it ({score})"
        if self.code == "exploration":
            return f"chosen at random, to explore ({score})"
        return f"the best: its chance was {100 * ranked.chance.win:.1f}% ({score})"


class Plan(Struct, frozen=True, kw_only=True):
    """The targets for a request. The first has a propensity when it was drawn; the others follow when it fails.

    Attributes:
        task: with the source of each field.
        kind: why the first target is the first.
        targets: in the order in which they are tried; at least one.
        propensity: probability with which the first model was drawn, 0 to 1, for any reason; None when it was not drawn:
            forced, or kept for a session. Such an outcome says how good the model is, and nothing about the choice.
        method: how the best was found; None without a draw.
        struck: the targets that were left out.
        relaxed: the constraints that were given up.
        waived: why targets of the plan should not be called, and are: no other one can be.
        affinity: of the request's session; None without a known session.
        alias: the name that the client sent, when it stands for another.
        config_version: of the catalog.
        policy, rule, agent: the names of those that the plan follows; the policy also where a rule has named it.
        policy_from: why this policy: ``client``, ``rule``, ``task type``, ``workspace`` or ``experiment``.
        settings: the policy itself, with its limits.
        passed_over: rules, agents, policies and experiments that were for the request and were passed over, each with the
            reason.
        demoted: models of the policy that are tried last, because their learned scores have fallen.
        promoted: models of the policy that are tried earlier for that.
        assigned: the experiment and its arm; None: the request is in none.
        is_named: whether the client named a model, also where an arm has another one first.
    """

    task: Task
    kind: PlanKind
    targets: tuple[PlannedTarget, ...]
    propensity: float | None = None
    method: SelectionMethod | None = None
    struck: tuple[Struck, ...] = ()
    relaxed: tuple[str, ...] = ()
    waived: tuple[Struck, ...] = ()
    affinity: Affinity | None = None
    alias: str | None = None
    config_version: int = 0
    policy: str | None = None
    rule: str | None = None
    agent: str | None = None
    policy_from: str | None = None
    settings: RoutingPolicy | None = None
    passed_over: tuple[str, ...] = ()
    demoted: tuple[Demotion, ...] = ()
    promoted: tuple[Promotion, ...] = ()
    assigned: Arm | None = None
    is_named: bool = False

    @property
    def experiment(self) -> str | None:
        """The id of the experiment; None without one."""
        return None if self.assigned is None else self.assigned.experiment

    @property
    def arm(self) -> str | None:
        """The arm: the name of a treatment, or ``control``; None without an experiment."""
        return None if self.assigned is None else self.assigned.name

    @property
    def arm_share(self) -> float | None:
        """The probability of the treatment among treatment and control, above 0 and below 1; None: not compared."""
        return None if self.assigned is None else self.assigned.share

    @property
    def first(self) -> PlannedTarget:
        """The target that is tried first."""
        return self.targets[0]

    def explanation(self) -> bytes:
        """Return the plan as JSON of at most 2 kB. Lists that are cut end with the number of entries that are left out."""
        return explain_plan(self)

    def text(self) -> str:
        """Return the plan in words, one line for each target."""
        task = self.task
        number = f" ({task.complexity} of 10)" if task.complexity else ""
        task_type = f"{task.task_type or 'unknown type'} (from {task.type_source})"
        lines = [f"task: {task_type}, {task.level}{number} (from {task.level_source})"]
        if task.classification is not None:
            lines += [f"  {reason}" for reason in task.classification.reasons]
        if self.alias is not None:
            lines.append(f"alias: {self.alias} stands for another name")
        if self.assigned is not None:
            lines.append(self.assigned.text)
        if self.rule is not None:
            lines.append(f"rule: {self.rule}")
        if self.policy is not None:
            lines.append(f"policy: {self.policy} (from the {self.policy_from})")
        if self.agent is not None:
            lines.append(f"agent: the preferences of {self.agent}")
        lines += [f"passed over: {text}" for text in self.passed_over]
        lines += [f"demoted: {each.model}: {each.words}" for each in self.demoted]
        lines += [f"promoted: {each.model}: {each.words}" for each in self.promoted]
        lines += [f"relaxed: {RELAXATIONS[code]}" for code in self.relaxed]
        if self.affinity is not None:
            lines.append(f"session: {self.affinity.replace('_', ' ')}")
        for position, planned in enumerate(self.targets, start=1):
            lines.append(f"{position}. {planned.target.key}: {planned.words}")
            lines += [f"   although {struck.words}" for struck in self.waived if struck.key == planned.target.key]
        lines += [f"left out: {struck.key}: {struck.words}" for struck in self.struck]
        if self.propensity is not None:
            lines.append(f"propensity of the first model: {self.propensity:.3f} ({self.method})")
        return "\n".join(lines)
