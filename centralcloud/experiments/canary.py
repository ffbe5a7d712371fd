"""A canary: a new arm gets a little traffic, then more, and in the end all of it or none. The rule, pure.

Each decision follows from evidence that may be looked at at any time (`canary_evidence`), so that it may be made every few
seconds. A canary is rolled back when treatment is worse, or slower or dearer beyond a limit; it steps up when the next share
of the worst that is still possible stays within the harm budget; it is promoted when treatment is within the margin, not
beyond the limits, and, unless "no worse" is enough, better in something.
"""

import math
from typing import Final, Literal, NamedTuple

Status = Literal["ramping", "paused", "promoted", "rolled_back", "inconclusive"]

_DAY_SECONDS: Final = 86_400.0


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

    def loss_allowed_at(self, step: int) -> float:
        """Return the loss of success that must be excluded before a step, 0 to 1."""
        return self.harm_budget / self.steps[step]


class Stage(NamedTuple):
    """How far a canary is. Times are in seconds of one clock.

    Attributes:
        step: place in the plan's steps.
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


def start(now: float) -> Stage:
    """Return the stage of a canary that begins."""
    return Stage("ramping", 0, now, now)


def advance(plan: CanaryPlan, stage: Stage, facts: Facts, now: float) -> Stage:
    """Return the next stage, or the same one. A stage that has ended stays."""
    if stage.has_ended:
        return stage
    if stage.status == "paused":
        if now - stage.since < plan.retry_pause_seconds:
            return stage
        return stage._replace(status="ramping", step=0, since=now, retries=stage.retries + 1, reason="tried again")
    if (reason := _why_worse(plan, facts)) is not None:
        if stage.retries < plan.retries:
            return stage._replace(status="paused", since=now, reason=reason)
        return stage._replace(status="rolled_back", since=now, reason=reason)
    if now - stage.began >= plan.horizon_seconds or facts.outcomes >= plan.horizon_outcomes:
        return stage._replace(status="inconclusive", since=now, reason="not decided by the horizon")
    if now - stage.since < plan.dwell_seconds or facts.treated < plan.least_treated:
        return stage
    needed = math.log(1 / plan.alpha)
    if stage.step + 1 < len(plan.steps):
        if facts.loss_excluded[stage.step + 1] < needed:
            return stage
        return stage._replace(step=stage.step + 1, since=now, reason="the next share is within the harm budget")
    if not _may_be_promoted(plan, facts):
        return stage
    return stage._replace(status="promoted", since=now, reason="better" if plan.win_needed else "no worse")


def _why_worse(plan: CanaryPlan, facts: Facts) -> str | None:
    needed = math.log(1 / plan.rollback_alpha)
    for evidence, reason in (
        (max(facts.worse, facts.worse_promptly), "fewer successes"),
        (facts.slower, "slower beyond the limit"),
        (facts.dearer, "dearer beyond the limit"),
        (facts.less_feedback, "less feedback"),
    ):
        if evidence >= needed:
            return reason
    return None


def _may_be_promoted(plan: CanaryPlan, facts: Facts) -> bool:
    """All conditions must hold, so that none needs a correction; that one of several wins is corrected (Bonferroni)."""
    needed = math.log(1 / plan.alpha)
    conditions = [facts.within_margin, *(each for each in (facts.within_time, facts.within_cost) if each is not None)]
    if min(conditions) < needed:
        return False
    return not plan.win_needed or max(facts.wins) >= needed + math.log(len(facts.wins))
