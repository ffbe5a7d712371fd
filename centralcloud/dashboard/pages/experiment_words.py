"""Experiments in words: statuses, scopes, treatments, plans, verdicts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from centralcloud.contracts.experiment_changes import status_words
from centralcloud.contracts.fleet_configuration import (
    Experiment,
    ExperimentPlan,
    ExperimentScope,
    ExperimentStage,
    Treatment,
)
from centralcloud.contracts.limits import EXPERIMENTS_SILENT_SECONDS
from centralcloud.dashboard.pages.words import State, spoken
from centralcloud.dashboard.web import formats
from centralcloud.experiments.statements import State as Finding
from centralcloud.runtime.wording import age, counted

#: Gateways treat no session once no daemon has looked after the experiments for so long.
SILENT: Final = timedelta(seconds=EXPERIMENTS_SILENT_SECONDS)
_MOST_NAMES: Final = 6

_STATES: Final[Mapping[str, State]] = {"running": "note", "paused": "look", "promoted": "good", "rolledBack": "look"}
_FINDINGS: Final[Mapping[Finding, tuple[State, str]]] = {
    "better": ("good", "better"),
    "worse": ("bad", "worse"),
    "open": ("neutral", "open"),
    "changed": ("look", "changed over time"),
    "unknown": ("neutral", "open"),
}
_METRICS: Final = {
    "success": "Success at the first attempt",
    "request_success": "Success with all attempts",
    "latency": "Time",
    "cost": "Cost",
    "arrived": "Outcomes that arrived in time",
}
_VERDICTS: Final[Mapping[str, tuple[State, str]]] = {
    "step": ("good", "stepped up"),
    "retry": ("note", "began again"),
    "paused": ("look", "paused itself"),
    "rolledBack": ("look", "was rolled back"),
    "promoted": ("good", "was promoted"),
    "confirmed": ("good", "is final: no guard was reached in the hold"),
    "undecided": ("neutral", "ended undecided"),
    "stopped": ("look", "was stopped"),
    "better": ("good", "is better in success"),
    "worse": ("bad", "is worse in success"),
    "published": ("good", "was published: its scores are those of the fleet"),
}


def status_badge(stage: ExperimentStage) -> tuple[State, str]:
    """Return the state and the words of a status: "paused by hand"."""
    words = status_words(stage)
    by_hand = stage.by_hand and stage.status in ("paused", "stopped", "promoted")
    return _STATES.get(stage.status, "neutral"), f"{words} by hand" if by_hand else words


def finding_badge(found: Finding) -> tuple[State, str]:
    """Return the state and the words of what is known about a metric."""
    return _FINDINGS[found]


def verdict_words(verdict: str) -> tuple[State, str]:
    """Return the state and the words of a verdict, as the rest of a sentence about a treatment or the experiment."""
    return _VERDICTS.get(verdict, ("neutral", spoken(verdict).lower()))


def metric_title(metric: str, plan: ExperimentPlan) -> str:
    """Return the title of a metric: "Slower than 5.0 s"."""
    if metric == "slo":
        return f"Slower than {formats.milliseconds(plan.slo_ms)}"
    return _METRICS.get(metric, spoken(metric))


def kind_words(experiment: Experiment) -> str:
    """Return the kind: "canary", or "A/B test"; "A/B/n test" with several treatments."""
    if experiment.kind == "canary":
        return "canary"
    return "A/B test" if len(experiment.treatments) == 1 else "A/B/n test"


def share_words(experiment: Experiment) -> str:
    """Return the share of the sessions that are treated now: "5%", "20% each", "100%"; "none"."""
    if experiment.stage.status == "promoted":
        return "100%"
    share = experiment.split.share
    if not share:
        return "none"
    each = " each" if len(experiment.treatments) > 1 else ""
    return f"{_percent(share)}{each}"


def sessions_words(experiment: Experiment) -> str:
    """Return the sessions that are treated while it runs: "25% of the sessions for each treatment"."""
    each = " for each treatment" if len(experiment.treatments) > 1 else ""
    return f"{_percent(experiment.split.share)} of the sessions{each}"


def stage_words(experiment: Experiment) -> str:
    """Return where an experiment stands, as the rest of a sentence: "runs with 5% of the sessions"."""
    stage = experiment.stage
    if experiment.is_held:
        return f"has promoted {stage.winner}, on hold: {sessions_words(experiment)}"
    if stage.status == "running":
        return f"runs with {sessions_words(experiment)}"
    if stage.status == "promoted":
        return f"has promoted {stage.winner}{' by hand' if stage.by_hand else ''}"
    if stage.status == "undecided":
        return "ended undecided"
    reason = f": {stage.reason}" if stage.reason and not stage.by_hand else ""
    return f"{'is' if stage.status == 'paused' else 'was'} {status_badge(stage)[1]}{reason}"


def treatment_words(treatment: Treatment) -> str:
    """Return what a treatment is: "the model gpt-x is tried first"."""
    if treatment.model is not None:
        return f"the model {treatment.model} is tried first"
    if treatment.policy is not None:
        return f"the policy {treatment.policy} serves the requests"
    return f"a table of {counted(len(treatment.score_table), 'score')} in place of the learned ones"


def scope_words(scope: ExperimentScope) -> str:
    """Return the requests of an experiment: "complex requests, task type code or fix_bug"."""
    complexities = " or ".join(scope.complexities)
    requested = " or ".join(scope.requested_models) or "auto"
    parts = [f"{complexities + ' ' if complexities else ''}requests for {requested}"]
    for noun, names in (
        ("task type", scope.task_types),
        ("served by the policy", scope.policies),
        ("workspace", scope.workspaces),
    ):
        if names:
            parts.append(f"{noun} {' or '.join(names[:_MOST_NAMES])}{_more(names)}")
    return ", ".join(parts)


def plan_facts(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Yield the names and the words of a plan."""
    plan = experiment.plan
    if experiment.kind == "canary":
        yield "Steps", ", ".join(_percent(each) for each in plan.steps)
        yield "Shortest time on a step", f"{age(plan.dwell_seconds)}, and {counted(plan.least_treated, 'outcome')}"
        need = "better in success, time or cost" if plan.require_better else "no worse"
        yield "Promoted when", f"{need}, and within the limits"
        yield "Final", f"{age(plan.hold_seconds)} after a promotion" if plan.hold_seconds else "with the promotion"
    else:
        yield "Share of each treatment", _percent(plan.steps[-1])
    yield "Margin of success", _points(plan.margin)
    yield "May take and cost", f"{_percent(plan.ratio_limit)} more"
    yield "Wrong promotions", f"at most {_percent(plan.alpha)}"
    yield "Wrong roll backs", f"at most {_percent(plan.rollback_alpha)} for each guard"
    if experiment.kind == "canary":
        yield "Harm budget", _points(plan.harm_budget)
    yield "Begins again", f"{counted(plan.retries, 'time')}, {age(plan.retry_pause_seconds)} after a pause"
    yield "Ends undecided after", f"{age(plan.horizon_seconds)}, or {counted(plan.horizon_outcomes, 'outcome')}"
    yield "A request has failed", f"without an outcome within {age(plan.outcome_within_seconds)}"
    yield "A session has ended", f"{age(plan.idle_seconds)} after its last request"
    yield (
        "Times and costs count up to",
        f"{formats.milliseconds(plan.latency_cap_ms)}, {formats.usd(plan.cost_cap_usd)}",
    )
    if plan.slo_ms is not None:
        yield "Objective", f"answers within {formats.milliseconds(plan.slo_ms)}"


def is_silent(experiments: Sequence[Experiment], seen_at: datetime | None, now: datetime) -> bool:
    """Whether experiments are open and no daemon looks after them, so that gateways treat no session."""
    return any(each.is_open for each in experiments) and (seen_at is None or now - seen_at > SILENT)


def reason_of(facts: Mapping[str, Any]) -> str:
    """Return the reason of a verdict's facts; empty without one."""
    reason = facts.get("reason")
    return reason if isinstance(reason, str) else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _points(share: float) -> str:
    points = f"{100 * share:.3g}"
    return f"{points} point{'' if points == '1' else 's'}"


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
