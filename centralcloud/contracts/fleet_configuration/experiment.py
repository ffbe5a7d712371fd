"""An experiment: a part of the sessions is served by another model, policy or score table, and the two are compared."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from centralcloud.contracts.canary import HOLD_SHARE
from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.estimate import Estimate
from centralcloud.contracts.experiment_arms import Split
from centralcloud.contracts.fleet_configuration.condition import check_labels
from centralcloud.contracts.fleet_configuration.model import check_model_name
from centralcloud.contracts.fleet_configuration.policy import PolicyName
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    Score,
    check_name,
    check_size,
    convert,
    plain,
)
from centralcloud.contracts.task_score import MAX_TASK_TYPES, TaskScore, TaskScores

#: The name of the arm that nothing is changed for.
CONTROL: Final = "control"
#: Most experiments that run, or are paused, at the same time.
MAX_RUNNING: Final = 20
_MAX_TREATMENTS: Final = 10
_MAX_STEPS: Final = 10
_MAX_TABLE_SCORES: Final = 600

Kind = Literal["canary", "ab"]
Status = Literal["running", "paused", "promoted", "rolledBack", "undecided", "stopped"]
Complexity = Literal["simple", "medium", "complex"]

_Share = Annotated[float, msgspec.Meta(gt=0, le=0.5)]
_Part = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Ratio = Annotated[float, msgspec.Meta(gt=0, le=10)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
_Mean = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Outcomes = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
_Count = Annotated[int, msgspec.Meta(gt=0, le=10_000_000_000)]


class ExperimentScope(Entry, frozen=True):
    """The requests of an experiment. An empty list leaves a field open; all lists must hold.

    A request for a model or a policy that the client named is in an experiment only where `requested_models` has the name.

    Attributes:
        complexities, task_types, workspaces: of the request.
        policies: of the policy that would serve the request.
        requested_models: as the client sent them, such as ``auto``, ``policy:fast`` or ``gpt-4o``; empty: ``auto``, and its
            complexities.
    """

    complexities: tuple[Complexity, ...] = ()
    task_types: tuple[Label, ...] = ()
    policies: tuple[PolicyName, ...] = ()
    workspaces: tuple[Label, ...] = ()
    requested_models: tuple[Name, ...] = ()


class TableTaskScore(Entry, frozen=True):
    """The score of a pair for tasks of one type, in a score table.

    Attributes:
        score: 0.0 to 5.0.
        mean, n_eff, draw_n: as of `TableScore`; the first two are always there.
    """

    task_type: Label
    score: Score
    mean: _Mean
    n_eff: _Outcomes
    draw_n: _Outcomes | None = None


class TableScore(Entry, frozen=True):
    """One score of a score table.

    Attributes:
        model_id: the name of a model, as in score updates.
        score: 0.0 to 5.0.
        mean, n_eff: the estimate behind it: 0 to 1, and how many outcomes it is worth; both or neither.
        draw_n: routers draw as if it were worth so many outcomes; only with an estimate. None: `n_eff`.
        task_types: the scores for tasks of one type.
    """

    model_id: Name
    complexity: Complexity
    score: Score
    mean: _Mean | None = None
    n_eff: _Outcomes | None = None
    draw_n: _Outcomes | None = None
    task_types: tuple[TableTaskScore, ...] = ()

    @property
    def estimate(self) -> Estimate:
        """The estimate behind it."""
        return Estimate(mean=self.mean, n_eff=self.n_eff, draw_n=self.draw_n)

    @property
    def task_scores(self) -> TaskScores:
        """The scores for tasks of one type, by its name."""
        return {
            each.task_type: TaskScore(
                score=each.score, estimate=Estimate(mean=each.mean, n_eff=each.n_eff, draw_n=each.draw_n)
            )
            for each in self.task_types
        }


class Treatment(Entry, frozen=True):
    """An arm that is compared with control: exactly one of a model, a policy and a score table.

    Attributes:
        name: of the arm, in events.
        model: it is tried first; what control would try follows.
        policy: serves the request.
        score_table: replaces the learned scores of the pairs that it has; frozen when the experiment begins.
    """

    name: Label
    model: Name | None = None
    policy: PolicyName | None = None
    score_table: tuple[TableScore, ...] = ()


class ExperimentPlan(Entry, frozen=True):
    """How an experiment runs, and when it is decided. A/B tests have one step and no verdict of their own.

    Attributes:
        steps: shares of the sessions of each treatment, one after the other; at most 1 / (treatments + 1) is useful.
        dwell_seconds: the shortest time on a step.
        margin: a success rate that is lower by this counts as worse.
        harm_budget: share of a step times the largest loss of success that is still possible is at most this.
        ratio_limit: treatment may take and cost this much more: 0.25 is 25%.
        alpha: probability of a promotion in error, and of an A/B test's; divided by the number of treatments.
        rollback_alpha: of a roll back in error, for each of four guards, and a fifth where success is feedback.
        require_better: a canary must be better in success, time or cost; else "no worse" is enough.
        least_treated: outcomes of treatment before a step.
        retries, retry_pause_seconds: how often a canary begins again after a roll back, and after which time.
        horizon_seconds, horizon_outcomes: when it ends undecided.
        hold_seconds: for so long 5% of the sessions stay with control after a canary was promoted, under the same guards;
            only then the promotion is final. 0: at once.
        latency_cap_ms, cost_cap_usd: times and costs are compared up to here.
        slo_ms: an answer that takes longer breaks the objective.
        idle_seconds: a session without a request for so long has ended. Verdicts wait for it: with 300 seconds they come
            after about half the time that 1800 take.
        outcome_within_seconds: a request without an outcome after this time has failed. The longest time of a request, 900
            seconds by default, and a minute: events of a slower one come too late to count, in the slower arm alone.
        window_seconds: no window of this length may multiply the evidence for a promotion by more than 2; a tenth of it is
            judged as a "bad minute".
    """

    steps: tuple[_Share, ...] = (0.01, 0.05, 0.25, 0.5)
    dwell_seconds: Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)] = 600.0
    margin: _Part = 0.02
    harm_budget: _Part = 0.01
    ratio_limit: _Ratio = 0.25
    alpha: _Part = 0.05
    rollback_alpha: _Part = 0.005
    require_better: bool = True
    least_treated: _Count = 50
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    retry_pause_seconds: _Seconds = 900.0
    horizon_seconds: _Seconds = 14 * 86_400.0
    horizon_outcomes: _Count = 200_000
    hold_seconds: Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)] = 86_400.0
    latency_cap_ms: Annotated[float, msgspec.Meta(gt=0, le=86_400_000)] = 10_000.0
    cost_cap_usd: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 0.1
    slo_ms: Annotated[float, msgspec.Meta(gt=0, le=86_400_000)] | None = None
    idle_seconds: _Seconds = 300.0
    outcome_within_seconds: _Seconds = 960.0
    window_seconds: _Seconds = 600.0

    @property
    def minute_seconds(self) -> float:
        """The length of a "minute", by which records are folded and judged: a tenth of a window."""
        return self.window_seconds / 10


class ExperimentStage(Entry, frozen=True, kw_only=True):
    """How far an experiment is. The daemon and operators write it; each change is a version of the configuration.

    Attributes:
        status: ``promoted``: every session of the scope goes to the treatment `winner`. Otherwise only ``running`` sends
            sessions to treatments.
        step: the place in the steps of the plan; as many as these: the hold after a promotion.
        share: of each treatment, 0 to 1/2; in a hold 0.95.
        before: the share until this step, while sessions from that time may be open: they are not moved. None: none are.
        since: when the step, or the status, began; once `before` is gone, when the share did.
        began: when the experiment did.
        retries: how often it has begun again.
        reason: why it is there, in a few words.
        winner: the treatment that was promoted; known from the begin of a hold.
        by_hand: an operator brought it there. A pause by hand ends by hand alone, and a promotion by hand is not a verdict.
    """

    status: Status
    step: Annotated[int, msgspec.Meta(ge=0, le=_MAX_STEPS)] = 0
    share: Annotated[float, msgspec.Meta(ge=0, le=HOLD_SHARE)] = 0.0
    before: Annotated[float, msgspec.Meta(ge=0, le=0.5)] | None = None
    since: datetime
    began: datetime
    retries: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    reason: str = ""
    winner: Label | None = None
    by_hand: bool = False


class Experiment(Entry, frozen=True, kw_only=True):
    """An experiment. Its evidence is for these treatments and this plan: what changes them is another experiment.

    Attributes:
        id: in events (`experiment`). Where the scopes of two experiments overlap, the first by id has the session.
        name: text for people.
        salt: random, so that two experiments split sessions independently of each other.
        learned_by: the rule of the learner whose scores it judges, which has started it; None: an operator has.
        learned_after: the newest version of the published scores by then.
    """

    id: Label
    name: Label
    kind: Kind = "canary"
    scope: ExperimentScope = ExperimentScope()
    treatments: tuple[Treatment, ...]
    plan: ExperimentPlan = ExperimentPlan()
    salt: Label
    learned_by: Label | None = None
    learned_after: Annotated[int, msgspec.Meta(ge=0)] = 0
    stage: ExperimentStage

    @property
    def is_open(self) -> bool:
        """Whether it is not decided: it runs, or is paused."""
        return self.stage.status in ("running", "paused")

    @property
    def is_routed(self) -> bool:
        """Whether its treatments may serve requests, so that what they name must exist: it is open, or was promoted."""
        return self.is_open or self.stage.status == "promoted"

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each treatment by step, with that of the hold after a promotion as the last one."""
        has_hold = self.kind == "canary" and self.plan.hold_seconds > 0
        return (*self.plan.steps, HOLD_SHARE) if has_hold else self.plan.steps

    @property
    def promoted_table(self) -> tuple[TableScore, ...]:
        """The score table that was promoted, and whose hold is over; empty: none was."""
        stage = self.stage
        winners = [each.score_table for each in self.treatments if each.name == stage.winner]
        return winners[0] if stage.status == "promoted" and winners else ()

    @property
    def is_held(self) -> bool:
        """Whether a treatment was promoted, and a few sessions stay with control for a while."""
        return self.stage.status == "running" and self.stage.step == len(self.plan.steps)

    @property
    def split(self) -> Split:
        """How it splits sessions now; nothing is treated unless it runs."""
        share = self.stage.share if self.stage.status == "running" else 0.0
        return Split(len(self.treatments), share, self.stage.before if share else None)


def parse_experiment(value: Any, field: str = "experiment") -> Experiment:
    """Parse the JSON form of an experiment.

    Raises:
        ContractError: a field is invalid, unknown or missing; a treatment is none or several things at once; shares are too
            large for all treatments together.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "name")
    experiment = convert(value, Experiment, field)
    check_name(experiment.id, f"{field}.id", MAX_LABEL_LENGTH)
    check_name(experiment.name, f"{field}.name", MAX_LABEL_LENGTH)
    check_name(experiment.salt, f"{field}.salt", MAX_LABEL_LENGTH)
    check_scope(experiment.scope, f"{field}.scope")
    _check_treatments(experiment, field)
    _check_plan(experiment, field)
    _check_stage(experiment, field)
    check_size(experiment, field)
    return experiment


def check_scope(scope: ExperimentScope, field: str) -> None:
    """Check the names in a scope.

    Raises:
        ContractError: one is empty, too long, or has a character that no name has.
    """
    check_labels(scope.task_types, f"{field}.taskTypes")
    check_labels(scope.policies, f"{field}.policies")
    check_labels(scope.workspaces, f"{field}.workspaces")
    check_labels(scope.requested_models, f"{field}.requestedModels")


def _check_treatments(experiment: Experiment, field: str) -> None:
    treatments = experiment.treatments
    most = 1 if experiment.kind == "canary" else _MAX_TREATMENTS
    if not 1 <= len(treatments) <= most:
        expected = "one: a canary has a single treatment" if most == 1 else f"1 to {most}"
        raise ContractError(f"{field}.treatments", f"{len(treatments)} items", expected)
    names = {CONTROL}
    for position, each in enumerate(treatments):
        path = f"{field}.treatments[{position}]"
        check_name(each.name, f"{path}.name", MAX_LABEL_LENGTH)
        if each.name in names:
            expected = f"a name that no other arm has; {quote(CONTROL)} is the arm that nothing is changed for"
            raise ContractError(f"{path}.name", quote(each.name), expected)
        names.add(each.name)
        given = [each.model is not None, each.policy is not None, bool(each.score_table)]
        if sum(given) != 1:
            found = "none of model, policy and scoreTable" if not any(given) else "several of model, policy, scoreTable"
            raise ContractError(path, found, "one of them")
        if each.model is not None:
            check_model_name(each.model, f"{path}.model")
        _check_table(each.score_table, f"{path}.scoreTable")


def _check_table(scores: tuple[TableScore, ...], field: str) -> None:
    if len(scores) > _MAX_TABLE_SCORES:
        raise ContractError(field, f"{len(scores)} items", f"at most {_MAX_TABLE_SCORES}")
    seen = set()
    for position, each in enumerate(scores):
        path = f"{field}[{position}]"
        check_model_name(each.model_id, f"{path}.modelId")
        if (pair := (each.model_id, each.complexity)) in seen:
            raise ContractError(path, f"{quote(each.model_id)} at {each.complexity} a second time", "each pair once")
        seen.add(pair)
        if (each.mean is None) != (each.n_eff is None):
            raise ContractError(path, "one of mean and nEff", "both or neither")
        if each.draw_n is not None and each.mean is None:
            raise ContractError(f"{path}.drawN", f"{each.draw_n:g}", "mean and nEff beside it")
        if len(each.task_types) > MAX_TASK_TYPES:
            raise ContractError(f"{path}.taskTypes", f"{len(each.task_types)} items", f"at most {MAX_TASK_TYPES}")
        check_labels(tuple(task.task_type for task in each.task_types), f"{path}.taskTypes")


def _check_plan(experiment: Experiment, field: str) -> None:
    steps, path = experiment.plan.steps, f"{field}.plan.steps"
    most = 1 if experiment.kind == "ab" else _MAX_STEPS
    if not 1 <= len(steps) <= most:
        expected = "one share: an A/B test does not ramp" if most == 1 else f"1 to {most}"
        raise ContractError(path, f"{len(steps)} items", expected)
    if list(steps) != sorted(set(steps)):
        raise ContractError(path, ", ".join(f"{each:g}" for each in steps), "shares that grow")
    _check_share(steps[-1], len(experiment.treatments), f"{path}[{len(steps) - 1}]")


def _check_stage(experiment: Experiment, field: str) -> None:
    stage, path = experiment.stage, f"{field}.stage"
    if stage.step >= len(experiment.shares):
        raise ContractError(f"{path}.step", str(stage.step), f"less than {len(experiment.shares)}")
    if not (experiment.is_held and stage.share == HOLD_SHARE):
        _check_share(stage.share, len(experiment.treatments), f"{path}.share")
    _check_share(stage.before or 0.0, len(experiment.treatments), f"{path}.before")
    for name in ("since", "began"):
        if getattr(stage, name).tzinfo is None:
            raise ContractError(f"{path}.{name}", quote(getattr(stage, name)), "a time in ISO 8601 with a zone")
    check_name(stage.reason or "-", f"{path}.reason", MAX_LABEL_LENGTH)
    names = [each.name for each in experiment.treatments]
    has_winner = stage.status == "promoted" or experiment.is_held
    if (stage.winner in names) != has_winner:
        found = quote(stage.winner) if stage.winner is not None else "nothing"
        expected = "the name of a treatment" if has_winner else "no winner: it is not promoted"
        raise ContractError(f"{path}.winner", found, expected)


def _check_share(share: float, treatments: int, field: str) -> None:
    """Check that control has at least the share of a treatment: it is compared with each of them."""
    if share * (treatments + 1) > 1 + 1e-9:
        expected = f"at most {1 / (treatments + 1):.3g}: {treatments} treatments, and control has no less"
        raise ContractError(field, f"{share:g}", expected)
