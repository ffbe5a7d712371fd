"""A canary: a new arm gets a little traffic, then more, and in the end all of it or none. The rule, pure.

Each decision follows from evidence that may be looked at at any time (`canary_evidence`), so that it may be made every few
seconds. A canary is rolled back when treatment is worse, or slower or dearer beyond a limit; it steps up when the next share
of the worst that is still possible stays within the harm budget; it is promoted when treatment is within the margin, not
beyond the limits, and, unless "no worse" is enough, better in something.

A promotion may begin with a hold, as one more step: a few sessions stay with control, and the guards go on. Of models that
turn bad, 2 to 3% had just been promoted in simulations.

Each decision is a list of conditions (`upward`, `guards`): what is shown to people is what decides.
"""

import math
from typing import Final, Literal, NamedTuple

Status = Literal["ramping", "paused", "promoted", "rolled_back", "undecided"]
ConditionName = Literal[
    "settled",
    "pause",
    "dwell",
    "hold",
    "treated",
    "loss",
    "margin",
    "time",
    "cost",
    "win",
    "worse",
    "slower",
    "dearer",
    "feedback",
]
Unit = Literal["seconds", "sessions", "outcomes", "evidence"]

#: Treatment's share of the sessions while a promotion is on hold.
HOLD_SHARE: Final = 0.95
_DAY_SECONDS: Final = 86_400.0
#: Why each guard stops a canary.
_REASONS: Final[dict[ConditionName, str]] = {
    "worse": "fewer successes",
    "slower": "slower beyond the limit",
    "dearer": "dearer beyond the limit",
    "feedback": "less feedback arrives",
}


class CanaryPlan(NamedTuple):
    """How a canary runs.

    Attributes:
        steps: shares of the sessions that treatment gets, one after the other, at most 1/2.
        dwell_seconds: the shortest time on a step.
        margin: a success rate that is lower by this counts as worse, 0 to 1.
        harm_budget: of a step, the share times the largest loss of success that is still possible is at most this.
        ratio_limit: treatment may take, and cost, this much more than control: 0.25 is 25%.
        alpha: the probability of a promotion in error, of an arm that is worse by the margin.
        rollback_alpha: that of a roll back in error, for each of the guards: four, and a fifth where success is feedback.
        win_needed: whether treatment must be better in success, time or cost; else it need not be worse.
        least_treated: outcomes of treatment before a step.
        retries: how often a canary that was rolled back begins again.
        retry_pause_seconds: after which time.
        horizon_seconds, horizon_outcomes: when it ends undecided.
        hold_seconds: for so long a few sessions stay with control after a promotion, under the same guards; 0: none do.
    """

    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5)
    dwell_seconds: float = 600.0
    margin: float = 0.02
    harm_budget: float = 0.01
    ratio_limit: float = 0.25
    alpha: float = 0.05
    rollback_alpha: float = 0.005
    win_needed: bool = True
    least_treated: int = 50
    retries: int = 1
    retry_pause_seconds: float = 900.0
    horizon_seconds: float = 14 * _DAY_SECONDS
    horizon_outcomes: int = 200_000
    hold_seconds: float = 0.0

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of treatment by step, with that of the hold as the last one."""
        return (*self.steps, HOLD_SHARE) if self.hold_seconds else self.steps

    def is_hold(self, step: int) -> bool:
        """Return whether a step is the hold after a promotion."""
        return step == len(self.steps)

    def loss_allowed_at(self, step: int) -> float:
        """Return the loss of success that must be excluded before a step, 0 to 1."""
        return self.harm_budget / self.steps[step]


class Stage(NamedTuple):
    """How far a canary is. Times are in seconds of one clock.

    Attributes:
        step: place in the plan's shares.
        since: when the step, or the pause, began.
        began: when the canary did.
        retries: how often it has begun again.
        reason: why it is there, in a few words.
    """

    status: Status
    step: int
    since: float
    began: float
    retries: int = 0
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the verdict is final."""
        return self.status not in ("ramping", "paused")


class Facts(NamedTuple):
    """The evidence as of now: logs of e-values, each about 0 without any. Metrics that are not compared are 0 or -inf.

    Attributes:
        outcomes: folded in all.
        treated: those of treatment.
        worse: that success is lower, since a step began.
        worse_promptly: the same from the first outcomes of sessions alone.
        slower, dearer: that time and cost are beyond the limit.
        loss_excluded: by step, that the loss of success is less than the step's `loss_allowed_at`; 0 for the first one.
        within_margin: that the loss of success is less than the margin.
        within_time, within_cost: that time and cost are within the limit; None: not compared.
        wins: that success is higher, time lower, cost lower: those that are compared.
        less_feedback: that less feedback arrives, where success is feedback; else 0.
    """

    outcomes: float
    treated: float
    worse: float
    worse_promptly: float
    slower: float
    dearer: float
    loss_excluded: tuple[float, ...]
    within_margin: float
    within_time: float | None
    within_cost: float | None
    wins: tuple[float, ...]
    less_feedback: float = 0.0


class Condition(NamedTuple):
    """A condition of a change of the stage.

    Attributes:
        now, needed: it is met once `now` has reached `needed`. Evidence: logs of e-values.
    """

    name: ConditionName
    unit: Unit
    now: float
    needed: float

    @property
    def is_met(self) -> bool:
        """Whether it is met."""
        return self.now >= self.needed


def start(now: float) -> Stage:
    """Return the stage of a canary that begins."""
    return Stage("ramping", 0, now, now)


def advance(plan: CanaryPlan, stage: Stage, facts: Facts, now: float) -> Stage:
    """Return the next stage, or the same one. A stage that has ended stays."""
    if stage.has_ended:
        return stage
    may_go_on = all(each.is_met for each in upward(plan, stage, facts, now))
    if stage.status == "paused":
        if not may_go_on:
            return stage
        return stage._replace(status="ramping", step=0, since=now, retries=stage.retries + 1, reason="tried again")
    if (guard := next((each for each in guards(plan, facts) if each.is_met), None)) is not None:
        reason = _REASONS[guard.name]
        if stage.retries < plan.retries:
            return stage._replace(status="paused", since=now, reason=reason)
        return stage._replace(status="rolled_back", since=now, reason=reason)
    if plan.is_hold(stage.step):
        return (
            stage._replace(status="promoted", since=now, reason="no guard was reached in the hold")
            if may_go_on
            else stage
        )
    if now - stage.began >= plan.horizon_seconds or facts.outcomes >= plan.horizon_outcomes:
        return stage._replace(status="undecided", since=now, reason="not decided by the horizon")
    if not may_go_on:
        return stage
    if stage.step + 1 < len(plan.steps):
        return stage._replace(step=stage.step + 1, since=now, reason="the next share is within the harm budget")
    reason = "better" if plan.win_needed else "no worse"
    if plan.hold_seconds:
        return stage._replace(step=stage.step + 1, since=now, reason=reason)
    return stage._replace(status="promoted", since=now, reason=reason)


def upward(plan: CanaryPlan, stage: Stage, facts: Facts, now: float) -> tuple[Condition, ...]:
    """Return the conditions of the next step, of the promotion, or of the end of a pause: all must be met.

    As all must, none needs a correction; that one of several wins does (Bonferroni).
    """
    seconds = now - stage.since
    if stage.status == "paused":
        return (Condition("pause", "seconds", seconds, plan.retry_pause_seconds),)
    if plan.is_hold(stage.step):
        return (Condition("hold", "seconds", seconds, plan.hold_seconds),)
    needed = math.log(1 / plan.alpha)
    found = [
        Condition("dwell", "seconds", seconds, plan.dwell_seconds),
        Condition("treated", "outcomes", facts.treated, plan.least_treated),
    ]
    following = stage.step + 1
    if following < len(plan.steps):
        return (*found, Condition("loss", "evidence", facts.loss_excluded[following], needed))
    found.append(Condition("margin", "evidence", facts.within_margin, needed))
    if facts.within_time is not None:
        found.append(Condition("time", "evidence", facts.within_time, needed))
    if facts.within_cost is not None:
        found.append(Condition("cost", "evidence", facts.within_cost, needed))
    if plan.win_needed:
        found.append(Condition("win", "evidence", max(facts.wins), needed + math.log(len(facts.wins))))
    return tuple(found)


def guards(plan: CanaryPlan, facts: Facts) -> tuple[Condition, ...]:
    """Return the conditions of a pause or a roll back: one is enough."""
    needed = math.log(1 / plan.rollback_alpha)
    found = [
        Condition("worse", "evidence", max(facts.worse, facts.worse_promptly), needed),
        Condition("slower", "evidence", facts.slower, needed),
        Condition("dearer", "evidence", facts.dearer, needed),
    ]
    if facts.less_feedback:
        found.append(Condition("feedback", "evidence", facts.less_feedback, needed))
    return tuple(found)
