"""The results of the treatments of experiments, from their readable rows."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.experiments.sentences import Amount, Interval
from centralcloud.runtime.postgres.query import Query

_LIST_RESULTS = Query(__package__, "list_experiment_results", row=dict)
#: The row of `experiment_results` with what is not of one metric.
_COMPARISON: Final = "comparison"
SUCCESS: Final = "success"


class MetricResult(NamedTuple):
    """The result of a metric of a treatment.

    Attributes:
        now: the interval as of now.
        possible: what all intervals so far leave.
        log_above, log_below: the logs of the e-values that treatment is above control, and below it.
        control, treated: the mean of each arm; None without an outcome.
        outcomes: of both arms.
        facts: as they are stored.
    """

    metric: str
    now: Interval
    possible: Interval
    log_above: float
    log_below: float
    control: float | None
    treated: float | None
    outcomes: int
    facts: Mapping[str, Any]


class TreatmentResult(NamedTuple):
    """The results of a treatment.

    Attributes:
        metrics: by name, in their order.
        sessions: that were folded, of both arms.
        served: requests of the treatment.
        failed: of them, first attempts without success, as far as they are folded.
        per_session: requests a session of control and of treatment; None without any.
        aborts: requests that the client broke off, of control and of treatment.
        late_dropped: records that came too late to count.
    """

    metrics: Mapping[str, MetricResult]
    sessions: int
    served: int
    failed: int
    per_session: tuple[float | None, float | None]
    aborts: tuple[int, int]
    late_dropped: int

    @property
    def success(self) -> MetricResult:
        """The metric that a canary is decided on; one about which nothing is known where it has no row yet."""
        return self.metrics.get(SUCCESS) or _metric({"metric": SUCCESS, "facts": {}})

    @property
    def amount(self) -> Amount:
        """How much the results are based on."""
        return Amount(self.success.outcomes, self.sessions)


NOTHING_KNOWN: Final = TreatmentResult({}, 0, 0, 0, (None, None), (0, 0), 0)


def read_treatments(
    connection: psycopg.Connection[Any], experiment: str | None = None
) -> dict[tuple[str, int], TreatmentResult]:
    """Return what is known, by experiment and number of the treatment; of one experiment or of all."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in _LIST_RESULTS.all(connection, {"experiment_id": experiment}):
        found.setdefault((row["experiment_id"], row["treatment"]), []).append(row)
    return {key: treatment_result(rows) for key, rows in found.items()}


def treatment_result(rows: Iterable[Mapping[str, Any]]) -> TreatmentResult:
    """Return what the rows of a treatment say."""
    metrics: dict[str, MetricResult] = {}
    comparison: Mapping[str, Any] = {}
    for row in rows:
        if row["metric"] == _COMPARISON:
            comparison = row["facts"]
        else:
            metrics[row["metric"]] = _metric(row)
    control, treated = comparison.get("control") or {}, comparison.get("treatment") or {}
    failed = 0
    if (success := metrics.get(SUCCESS)) is not None:
        arm = success.facts.get("treatment") or {}
        failed = round((arm.get("outcomes") or 0) - (arm.get("sum") or 0))
    return TreatmentResult(
        metrics=metrics,
        sessions=_whole(control, "folded_sessions") + _whole(treated, "folded_sessions"),
        served=_whole(treated, "requests"),
        failed=failed,
        per_session=(_per_session(control), _per_session(treated)),
        aborts=(_whole(control, "aborts"), _whole(treated, "aborts")),
        late_dropped=_whole(comparison, "late_dropped"),
    )


def _metric(row: Mapping[str, Any]) -> MetricResult:
    facts: Mapping[str, Any] = row["facts"]
    control, treated = facts.get("control") or {}, facts.get("treatment") or {}
    low, high = facts.get("low", -1.0), facts.get("high", 1.0)
    return MetricResult(
        metric=row["metric"],
        now=Interval(low, high),
        possible=Interval(facts.get("possible_low", low), facts.get("possible_high", high)),
        log_above=facts.get("log_above") or 0.0,
        log_below=facts.get("log_below") or 0.0,
        control=_mean(control),
        treated=_mean(treated),
        outcomes=_whole(control, "outcomes") + _whole(treated, "outcomes"),
        facts=facts,
    )


def _mean(arm: Mapping[str, Any]) -> float | None:
    outcomes = arm.get("outcomes")
    return float(arm.get("sum") or 0.0) / float(outcomes) if outcomes else None


def _per_session(arm: Mapping[str, Any]) -> float | None:
    sessions = _whole(arm, "sessions")
    return _whole(arm, "requests") / sessions if sessions else None


def _whole(facts: Mapping[str, Any], name: str) -> int:
    return round(facts.get(name) or 0)


def is_silent(seen_at: datetime | None, now: datetime, after_seconds: float) -> bool:
    """Return whether no daemon has looked after the experiments for so long, so that gateways treat no session."""
    return seen_at is None or (now - seen_at).total_seconds() > after_seconds
