"""Why a pair has its score: its parts, and what each rule says. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.charts.parts import Part, parts
from centralcloud.dashboard.pages.estimates import BEST_SCORE, estimate
from centralcloud.dashboard.sources.pair import Opinion, PairState
from centralcloud.dashboard.web import formats
from centralcloud.runtime.wording import counted, percent

_BY_OPERATOR: Final = {
    "pin": "An operator has pinned this score: it does not follow from outcomes.",
    "rollback": "An operator rolled the scores back: this one stood earlier, and its parts are those of then.",
    "experiment": "An experiment promoted the score table that this score is of: it was frozen when the experiment began.",
    "renamed": "The model was renamed, and took this score along.",
    "reinstated": "The model was reinstated with this score.",
    "retired": "The model is retired.",
}


class Reasons(NamedTuple):
    """Why the score is what it is. `chart`: None where the rule does not add it up; `text` says how it came about then."""

    chart: Markup | None
    text: str
    checks: str


class RuleRow(NamedTuple):
    """The opinion of a rule, as a row of a table. `own`: whether the rule estimates the interval itself."""

    rule: str
    role: str
    score: float
    difference: float | None
    rate: float | None
    low: float | None
    high: float | None
    samples: int
    latency_ms: float | None
    reason: str
    own: bool


def reasons(state: PairState, active: str | None, label: str) -> Reasons | None:
    """Return the parts of the published score: 5 times the estimated success rate, less latency and cost.

    For a score that an operator has set: the parts of the one that the active rule would publish.
    """
    score = state.published
    if score is None:
        return None
    text = _BY_OPERATOR.get(score.rule, "")
    if score.mean is None and text:
        of_rule = next((each for each in state.rules if each.rule == active and each.mean is not None), None)
        if of_rule is not None:
            text += f" The rule {active} would publish {formats.score(of_rule.score)}:"
            label = f"The score of the rule {active}"
            score = of_rule
    if score.mean is None:
        return Reasons(None, text or _steps_text(score), "")
    latency, cost = score.latency_penalty or 0.0, score.cost_penalty or 0.0
    shown = [
        Part("Success", BEST_SCORE * score.mean, _success_text(score)),
        Part("Latency", -BEST_SCORE * latency, _latency_text(state, score)),
        Part("Cost", -BEST_SCORE * cost, "" if cost else "takes nothing off"),
    ]
    finding = f"{label}: {formats.score(score.score)} is {formats.score(BEST_SCORE * score.mean)} for success"
    finding += (
        f", less {formats.score(BEST_SCORE * latency)} for latency and {formats.score(BEST_SCORE * cost)} for cost"
    )
    checks = ""
    if score.probe_share:
        checks = f"{percent(score.probe_share, 2)} of the tasks go to it as probes, to notice when it becomes better."
    return Reasons(parts(shown, total=score.score, label=finding), text, checks)


def _success_text(score: Opinion) -> str:
    interval = f", between {percent(score.low)} and {percent(score.high)}" if score.low and score.high else ""
    return f"{percent(score.mean or 0.0)} of {counted(score.samples, 'outcome')}{interval}"


def _latency_text(state: PairState, score: Opinion) -> str:
    if not score.latency_penalty:
        return "takes nothing off"
    by_rule = {each.rule: each.avg_response_time_ms for each in state.rules}
    mean = by_rule.get(score.rule)
    return "" if mean is None else f"an answer takes {mean:,.0f} ms"


def _steps_text(score: Opinion) -> str:
    return (
        f"The rule {score.rule} does not add a score up from parts: it moves the one before by steps, after each"
        f" evaluation of the newest outcomes."
    )


def rule_rows(state: PairState, active: str | None) -> tuple[RuleRow, ...]:
    """Return what each rule says, the active one first."""
    published = state.published
    rows = []
    for each in sorted(state.rules, key=lambda each: (each.rule != active, each.rule)):
        rate, low, high = estimate(each.mean, each.low, each.high, each.success_rate, each.samples)
        rows.append(
            RuleRow(
                each.rule,
                "active" if each.rule == active else "shadow",
                each.score,
                None if published is None else round(each.score - published.score, 2) + 0.0,
                rate,
                low,
                high,
                each.samples,
                each.avg_response_time_ms,
                each.reason,
                each.low is not None,
            )
        )
    return tuple(rows)


def rule_names(rows: Sequence[RuleRow]) -> tuple[str, ...]:
    """Return the rules that estimate no interval: theirs is computed from the outcomes."""
    return tuple(row.rule for row in rows if not row.own and row.low is not None)
