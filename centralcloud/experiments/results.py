"""The results of experiments as people and programs read them: written at each fold, nothing else decodes evidence."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.comparison_state import COMPARISON, COUNTED, METRICS, TIME_CLASS_GROWTH, Comparison
from centralcloud.experiments.e_process import log_mean_exp
from centralcloud.experiments.interval import intersect, interval
from centralcloud.runtime.arrays import Floats, np
from centralcloud.runtime.postgres.query import Query

_ARMS: Final = ("control", "treatment")


class ComparisonResult(NamedTuple):
    """The facts that are known now about a metric of a treatment against control.

    Attributes:
        treatment: its number in the experiment.
        metric: one of `METRICS`, or `COMPARISON`.
        facts: of a metric `interval` and `possible` (the interval now, and the intersection of all so far: low and high; -1
            and 1 are not known yet), `alpha`, `log_above` and `log_below` (logs of the evidence that treatment is higher,
            and lower), and, by arm, `outcomes`, `sum` and `mean`; time and cost are divided by their cap.
            Those of `COMPARISON` are, for each arm, its counts (`requests`, `sessions`, `folded_sessions`, `aborts`,
            `missing`, `feedback_cut`), `requests_per_session`, and `p50_ms` and `p95_ms` of its requests; `sample_ratio`
            (log of the evidence that sessions are split otherwise), `sample_ratio_alarm`, `bad_minutes` of the newest
            hours, `late_dropped`, and `evidence`, which the stages follow.
    """

    experiment_id: str
    treatment: int
    metric: str
    facts: dict[str, Any]
    updated_at: datetime


class Verdict(NamedTuple):
    """A decision about an experiment. `treatment` None: about the experiment as a whole."""

    id: int
    experiment_id: str
    treatment: int | None
    at: datetime
    verdict: str
    facts: dict[str, Any]


_UPSERT_RESULT = Query(__package__, "upsert_result")
_READ_RESULTS = Query(__package__, "read_results", row=ComparisonResult)
_READ_VERDICTS = Query(__package__, "read_verdicts", row=Verdict)


def read_results(connection: psycopg.Connection[Any], experiment: str | None = None) -> list[ComparisonResult]:
    """Return the results of an experiment, by its id, or of all, by treatment and metric."""
    return _READ_RESULTS.all(connection, {"experiment_id": experiment})


def read_verdicts(connection: psycopg.Connection[Any], experiment: str | None = None) -> list[Verdict]:
    """Return the verdicts on an experiment, by its id, or on all, oldest first."""
    return _READ_VERDICTS.all(connection, {"experiment_id": experiment})


def store_results(
    connection: psycopg.Connection[Any],
    experiment: Experiment,
    comparisons: Sequence[Comparison],
    facts: Sequence[Facts],
    *,
    late_dropped: int,
) -> None:
    """Store what is known now about each treatment, in the transaction of the evidence."""
    alpha = experiment.plan.alpha / len(comparisons)
    rows = []
    for number, (comparison, each) in enumerate(zip(comparisons, facts, strict=True)):
        found = {**metric_facts(comparison, alpha), COMPARISON: comparison_facts(comparison, each, late_dropped)}
        if experiment.plan.slo_ms is None:
            del found["slo"]
        for metric, values in found.items():
            key = {"experiment_id": experiment.id, "treatment": number, "metric": metric}
            rows.append({**key, "facts": Jsonb(values)})
    _UPSERT_RESULT.run_each(connection, rows)


def metric_facts(comparison: Comparison, alpha: float) -> dict[str, dict[str, Any]]:
    """Return the facts of each metric, in the form of `ComparisonResult`."""
    now = interval(comparison.intervals, alpha=alpha)
    possible = intersect(comparison.possible, now)
    zero = int(np.flatnonzero(comparison.intervals.nulls == 0.0)[0])
    above, below = comparison.intervals.log_above()[:, zero], comparison.intervals.log_below()[:, zero]
    return {
        metric: {
            "interval": now[row].tolist(),
            "possible": possible[row].tolist(),
            "alpha": alpha,
            "log_above": float(above[row]),
            "log_below": float(below[row]),
            **{arm: _outcomes(*comparison.sums[place, row].tolist()) for place, arm in enumerate(_ARMS)},
        }
        for row, metric in enumerate(METRICS)
    }


def comparison_facts(comparison: Comparison, facts: Facts, late_dropped: int) -> dict[str, Any]:
    """Return the facts that are not of one metric."""
    found: dict[str, Any] = {}
    for place, arm in enumerate(_ARMS):
        counts = dict(zip(COUNTED, (int(each) for each in comparison.counts[place]), strict=True))
        sessions = counts["sessions"]
        p50, p95 = (_time_at(comparison.times[place], share) for share in (0.5, 0.95))
        per_session = counts["requests"] / sessions if sessions else None
        found[arm] = {**counts, "requests_per_session": per_session, "p50_ms": p50, "p95_ms": p95}
    return {
        **found,
        "sample_ratio": float(log_mean_exp(comparison.sample_ratio.wealth)[0]),
        "sample_ratio_alarm": bool(comparison.sample_ratio.alarms()[0]),
        "bad_minutes": len(comparison.bad_minutes),
        "late_dropped": late_dropped,
        "evidence": {name: _finite(value) for name, value in facts._asdict().items()},
    }


def _outcomes(count: float, total: float) -> dict[str, Any]:
    return {"outcomes": int(count), "sum": total, "mean": total / count if count else None}


def _time_at(classes: Floats, share: float) -> float | None:
    """Return the upper end of the class of response times that holds a quantile, in ms; None without any."""
    total = float(classes.sum())
    if not total:
        return None
    place = int(np.searchsorted(np.cumsum(classes), share * total))
    return round(TIME_CLASS_GROWTH**place, 1)


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(each) for each in value]
    return value if value is None or math.isfinite(value) else None
