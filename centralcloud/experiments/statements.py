"""Statements on a treatment, metric by metric: a sentence, a state, and what it has cost. Pure.

Everything follows from the facts of `centralcloud.experiments.results`, so that commands, gateways and pages say the same.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from centralcloud.contracts.fleet_configuration import CONTROL, Experiment, to_nano_usd
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.false_discovery import two_sided
from centralcloud.experiments.sentences import (
    Amount,
    Interval,
    about_duration,
    about_ratio,
    about_rollback,
    about_success,
)
from centralcloud.runtime.wording import decimals, usd

State = Literal["better", "worse", "open", "changed", "unknown"]

#: The facts of one treatment by metric.
Facts: TypeAlias = Mapping[str, Mapping[str, Any]]

#: Metrics in the order of importance.
ORDER: Final = ("success", "request_success", "latency", "cost", "slo", "arrived")
#: Less is better in these.
_LESS_IS_BETTER: Final = frozenset({"latency", "cost", "slo"})
#: These are compared as ratios.
RATIOS: Final = frozenset({"latency", "cost"})
#: Guards that may roll a canary back, each with the same probability of an error.
_GUARDS: Final = 4
#: An end of an interval that is not known yet.
_UNKNOWN: Final = 1.0


class Statement(NamedTuple):
    """The knowledge about one metric of a treatment.

    Attributes:
        state: ``better`` or ``worse`` than control; ``open``: not decided; ``changed``: no difference fits all of the time;
            ``unknown``: nothing is excluded yet.
        low, high: of the difference of treatment and control, in parts of 1, of time and cost as a ratio less 1; None: that
            end is not known yet.
        log_value: the log of the e-value that there is any difference.
    """

    metric: str
    state: State
    sentence: str
    low: float | None
    high: float | None
    outcomes: int
    log_value: float


class Price(NamedTuple):
    """The price of a treatment in traffic, against control.

    Attributes:
        outcomes: requests of treatment that are compared.
        failures: of them, those without success.
        extra_failures: about so many failed for the treatment; negative: it has saved so many.
        least, most: as far as the interval tells; None: not known yet.
        extra_usd: its requests cost about so much more, each capped; None: no cost is known.
    """

    outcomes: int
    failures: int
    extra_failures: float
    least: float | None
    most: float | None
    extra_usd: float | None


def statements_of(experiment: Experiment, treatment: int, facts: Facts, at: datetime) -> tuple[Statement, ...]:
    """Return what is known about each metric of a treatment that has outcomes, the most important first.

    Args:
        treatment: its number, from 0.
        at: when the facts were written.
    """
    found = (
        statement_of(experiment, treatment, metric, facts, at)
        for metric in ORDER
        if metric in facts and _outcomes(facts[metric])
    )
    return tuple(each for each in found if each is not None)


def statement_of(experiment: Experiment, treatment: int, metric: str, facts: Facts, at: datetime) -> Statement | None:
    """Return what is known about one metric; None where nothing was folded for it."""
    if (of_metric := facts.get(metric)) is None:
        return None
    plan, name = experiment.plan, experiment.treatments[treatment].name
    low, high = (float(each) for each in of_metric["possible"])
    interval = Interval(low, high, float(of_metric["alpha"]))
    amount = Amount(_outcomes(of_metric), _sessions(facts))
    if metric == "latency":
        cap = f"{decimals(plan.latency_cap_ms / 1000, 1).removesuffix('.0')} s"
        sentence = about_ratio(name, CONTROL, interval, amount, less="faster", more="slower", cap=cap)
    elif metric == "cost":
        cap = usd(to_nano_usd(plan.cost_cap_usd))
        sentence = about_ratio(name, CONTROL, interval, amount, less="cheaper", more="dearer", cap=cap)
    elif metric == "slo":
        within = Interval(-high, -low, interval.alpha)
        of = f"answers within {decimals((plan.slo_ms or 0.0) / 1000, 1).removesuffix('.0')} s"
        sentence = about_success(name, CONTROL, within, amount, of=of)
    elif metric == "arrived":
        sentence = about_success(name, CONTROL, interval, amount, of="outcomes that arrived in time")
    elif metric == "request_success":
        sentence = about_success(name, CONTROL, interval, amount, of="success with all attempts")
    else:
        sentence = about_success(name, CONTROL, interval, amount, hint=_hint(experiment, of_metric, facts, at))
    return Statement(
        metric,
        state_of(interval, less_is_better=metric in _LESS_IS_BETTER),
        sentence,
        None if low <= -_UNKNOWN else low,
        None if high >= _UNKNOWN else high,
        amount.outcomes,
        difference_evidence(of_metric),
    )


def state_of(interval: Interval, *, less_is_better: bool = False) -> State:
    """Return in which state an interval is."""
    if interval.is_empty:
        return "changed"
    if not interval.is_known:
        return "unknown"
    if interval.low > 0:
        return "worse" if less_is_better else "better"
    if interval.high < 0:
        return "better" if less_is_better else "worse"
    return "open"


def difference_evidence(facts: Mapping[str, Any]) -> float:
    """Return the log of the e-value of a metric that there is any difference, as of now; for `sentences.odds` and e-BH."""
    return two_sided(float(facts["log_above"]), float(facts["log_below"]))


def price_of(experiment: Experiment, facts: Facts) -> Price | None:
    """Return what a treatment has cost in traffic; None where no outcome of both arms was folded."""
    if (success := facts.get("success")) is None:
        return None
    treated, control = success["treatment"], success["control"]
    outcomes = int(treated["outcomes"])
    if not outcomes or control["mean"] is None:
        return None
    low, high = (float(each) for each in success["possible"])
    return Price(
        outcomes,
        max(0, round(outcomes - treated["sum"])),
        outcomes * control["mean"] - treated["sum"],
        None if low > high or high >= _UNKNOWN else -high * outcomes,
        None if low > high or low <= -_UNKNOWN else -low * outcomes,
        _extra_usd(facts.get("cost"), experiment.plan.cost_cap_usd),
    )


def rollback_sentence(experiment: Experiment, treatment: int, facts: Facts, at: datetime) -> str | None:
    """Return the sentence on an experiment that was rolled back; None where no outcome of both arms was folded.

    Args:
        at: when it was, in the zone of the reader.
    """
    if (price := price_of(experiment, facts)) is None:
        return None
    expected = 1 - float(facts["success"]["control"]["mean"])
    name = experiment.treatments[treatment].name
    alpha = min(1.0, _GUARDS * experiment.plan.rollback_alpha)
    return about_rollback(at, name, CONTROL, experiment.stage.reason, alpha, price.outcomes, price.failures, expected)


def _hint(experiment: Experiment, success: Mapping[str, Any], facts: Facts, at: datetime) -> str | None:
    """Return when a difference of the margin most likely shows, at the largest share of the plan."""
    if experiment.stage.status != "running" or experiment.is_held:
        return None
    control, treated = (int(success[arm]["outcomes"]) for arm in ("control", "treatment"))
    mean = success["control"]["mean"]
    comparison = facts.get(COMPARISON)
    if mean is None or comparison is None:
        return None
    plan = experiment.plan
    seen_seconds = (at - experiment.stage.began).total_seconds() - plan.outcome_within_seconds
    requests = sum(int(comparison[arm]["requests"]) for arm in ("control", "treatment"))
    per_second = requests / seen_seconds if seen_seconds > 0 else 0.0
    share = plan.steps[-1]
    of_two = share / (share + 1 - len(experiment.treatments) * share)
    # Outcomes at a small share tell less: so many at the largest one tell as much.
    equal = 4 * control * treated / (control + treated) if control + treated else 0.0
    folded = equal * 0.25 / (of_two * (1 - of_two))
    return about_duration(plan.margin, float(mean), of_two, folded, per_second)


def _extra_usd(cost: Mapping[str, Any] | None, cap: float) -> float | None:
    if cost is None:
        return None
    treated, control = cost["treatment"], cost["control"]
    if treated["mean"] is None or control["mean"] is None:
        return None
    extra = (treated["mean"] - control["mean"]) * treated["outcomes"] * cap
    return float(extra) if math.isfinite(extra) else None


def _outcomes(facts: Mapping[str, Any]) -> int:
    return sum(int(facts[arm]["outcomes"]) for arm in ("control", "treatment"))


def _sessions(facts: Facts) -> int:
    comparison = facts.get(COMPARISON)
    return sum(int(comparison[arm]["folded_sessions"]) for arm in ("control", "treatment")) if comparison else 0


def facts_by_treatment(results: Sequence[Any]) -> dict[tuple[str, int], dict[str, Mapping[str, Any]]]:
    """Return the facts by metric of each treatment, by the id of the experiment and its number.

    Args:
        results: rows of `centralcloud.experiments.results.ComparisonResult`.
    """
    found: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for each in results:
        found.setdefault((each.experiment_id, each.treatment), {})[each.metric] = each.facts
    return found
