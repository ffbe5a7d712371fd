"""Experiments for an operator: their stages, what is known about each treatment, and what was decided."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from centralcloud.contracts.experiment_changes import STATUS_WORDS
from centralcloud.contracts.fleet_configuration import CONTROL, Experiment, to_body
from centralcloud.experiments.false_discovery import discoveries, two_sided
from centralcloud.experiments.sentences import (
    about_duration,
    about_ratio,
    about_rollback,
    about_success,
    leader,
    odds,
)
from centralcloud.monitoring.experiment_results import (
    NOTHING_KNOWN,
    TreatmentResult,
    is_silent,
    read_treatments,
)
from centralcloud.runtime.configuration.experiments import find_experiment, read_experiments
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, ago, decimals, percent
from centralcloud.store.operator_actions import list_actions

_LIST_VERDICTS = Query(__package__, "list_experiment_verdicts", row=dict)
_EXPERIMENTS_SEEN: Query[Any] = Query(__package__, "experiments_seen", row=datetime)
#: Gateways treat no session once no daemon has looked for so long.
_SILENT_SECONDS: Final = 900.0
#: A difference that the sentence of an undecided comparison speaks of.
_HINTED: Final = 0.02
_MOST_ACTIONS: Final = 1000
_GUARDS: Final = 4
_METRICS: Final = ("success", "latency", "cost", "request_success", "slo", "arrived")


def list_experiments(
    connection: psycopg.Connection[Any], *, with_ended: bool = False, rate: float | None = None
) -> list[dict[str, Any]]:
    """Return a row for each treatment of each experiment, by id.

    Args:
        with_ended: also experiments that have ended.
        rate: mark those that differ, so that at most this share of the marked ones is expected to be wrong; None: mark none.
    """
    now, known = datetime.now(UTC), read_treatments(connection)
    experiments = [each.experiment for each in read_experiments(connection)]
    rows = []
    for experiment in experiments:
        if not (experiment.is_open or with_ended):
            continue
        for number, treatment in enumerate(experiment.treatments):
            result = known.get((experiment.id, number), NOTHING_KNOWN)
            rows.append(_row(experiment, number, treatment.name, result, now))
    if rate is not None:
        found = discoveries({number: row["log_e"] for number, row in enumerate(rows)}, rate)
        rows = [{**row, "differs": number in found} for number, row in enumerate(rows)]
    return rows


def show_experiment(connection: psycopg.Connection[Any], name: str) -> dict[str, Any]:
    """Return an experiment with its results, its verdicts and its history.

    Raises:
        UnknownExperimentError: there is no such experiment.
    """
    now = datetime.now(UTC)
    experiment, version = find_experiment(connection, name)
    known = read_treatments(connection, experiment.id)
    seen_at = _EXPERIMENTS_SEEN.one(connection)
    verdicts = _LIST_VERDICTS.all(connection, {"experiment_id": experiment.id})
    actions = list_actions(connection, subject=f"experiment/{experiment.id}", limit=_MOST_ACTIONS)
    results = [known.get((experiment.id, number), NOTHING_KNOWN) for number in range(len(experiment.treatments))]
    return {
        "version": version,
        "experiment": to_body(experiment),
        "sentences": list(_sentences(experiment, results, now, seen_at)),
        "results": [
            {"treatment": treatment.name, **row}
            for treatment, result in zip(experiment.treatments, results, strict=True)
            for row in _metric_rows(result)
        ],
        "verdicts": verdicts,
        "history": [{name: each[name] for name in ("at", "who", "via", "reason")} for each in reversed(actions)],
        "seen_at": seen_at,
    }


def _row(experiment: Experiment, number: int, name: str, result: TreatmentResult, now: datetime) -> dict[str, Any]:
    stage, success = experiment.stage, result.success
    log_e = two_sided(success.log_above, success.log_below)
    return {
        "id": experiment.id,
        "name": experiment.name,
        "kind": experiment.kind,
        "status": STATUS_WORDS[stage.status],
        "by_hand": stage.by_hand,
        "since": stage.since,
        "share": stage.share,
        "treatment": name,
        "outcomes": success.outcomes,
        "sessions": result.sessions,
        "low": success.now.low,
        "high": success.now.high,
        "log_e": log_e,
        "odds": odds(log_e),
        "differs": None,
        "result": _about(experiment, number, result, now),
    }


def _sentences(
    experiment: Experiment, results: list[TreatmentResult], now: datetime, seen_at: datetime | None
) -> Iterator[str]:
    yield _about_stage(experiment, now)
    if experiment.is_open and is_silent(seen_at, now, _SILENT_SECONDS):
        since = "yet" if seen_at is None else f"for {age((now - seen_at).total_seconds())}"
        yield f"no daemon has looked after it {since}: gateways send every session to control"
    for number, (treatment, result) in enumerate(zip(experiment.treatments, results, strict=True)):
        said = _about(experiment, number, result, now)
        yield said if said.startswith(f"{treatment.name} ") else f"{treatment.name}: {said}"
        yield from _about_costs(experiment, treatment.name, result)
    if experiment.kind == "ab":
        intervals = {each.name: result.success.now for each, result in zip(experiment.treatments, results, strict=True)}
        if (found := leader(intervals)) is not None:
            yield f"{found} leads: every other arm's interval is below its own"


def _about_stage(experiment: Experiment, now: datetime) -> str:
    stage, plan = experiment.stage, experiment.plan
    kind = "canary" if experiment.kind == "canary" else "A/B test"
    since = ago((now - stage.since).total_seconds())
    said = f"{kind} {experiment.id}: {STATUS_WORDS[stage.status]}"
    if stage.status == "running":
        of = f", step {stage.step + 1} of {len(plan.steps)}" if experiment.kind == "canary" else ""
        waits = ", once the sessions from before have ended" if stage.before is not None else ""
        said = f"{said} with {percent(stage.share)} of the sessions for each treatment{of}{waits}"
    return f"{said}, since {since}: {stage.reason}"


def _about(experiment: Experiment, number: int, result: TreatmentResult, now: datetime) -> str:
    """Return the sentence on the success of a treatment; of one that was rolled back, what that has cost."""
    stage, name, success = experiment.stage, experiment.treatments[number].name, result.success
    if stage.status == "rolledBack" and len(experiment.treatments) == 1:
        expected = 0.0 if success.control is None else 1 - success.control
        alpha = _GUARDS * experiment.plan.rollback_alpha
        local = stage.since.astimezone()
        return about_rollback(local, name, CONTROL, stage.reason, alpha, result.served, result.failed, expected)
    interval = success.possible if success.possible.is_empty else success.now
    return about_success(name, CONTROL, interval, result.amount, hint=_hint(experiment, result, now))


def _hint(experiment: Experiment, result: TreatmentResult, now: datetime) -> str | None:
    """Return when a difference most likely shows at this traffic; None while no session is treated."""
    share = experiment.split.share
    control = 1 - len(experiment.treatments) * share
    seconds = (now - experiment.stage.began).total_seconds()
    success = result.success
    if share <= 0 or control <= 0 or success.control is None or seconds <= 0:
        return None
    weight = share / (share + control)
    return about_duration(_HINTED, success.control, weight, success.outcomes, success.outcomes / seconds)


def _about_costs(experiment: Experiment, name: str, result: TreatmentResult) -> Iterator[str]:
    plan = experiment.plan
    latency, cost = result.metrics.get("latency"), result.metrics.get("cost")
    if latency is not None and latency.now.is_known:
        cap = f"{decimals(plan.latency_cap_ms / 1000)} s"
        yield about_ratio(name, CONTROL, latency.now, result.amount, less="faster", more="slower", cap=cap)
    if cost is not None and cost.now.is_known:
        cap = f"{plan.cost_cap_usd:g} USD"
        yield about_ratio(name, CONTROL, cost.now, result.amount, less="cheaper", more="dearer", cap=cap)
    control, treated = result.per_session
    if control is not None and treated is not None:
        yield f"requests a session: {decimals(treated, 2)} of {name}, {decimals(control, 2)} of {CONTROL}"
    if any(result.aborts):
        yield f"left out, as the client went away: {result.aborts[1]:,} of {name}, {result.aborts[0]:,} of {CONTROL}"


def _metric_rows(result: TreatmentResult) -> Iterator[dict[str, Any]]:
    for each in sorted(result.metrics.values(), key=lambda each: _place(each.metric)):
        log_e = two_sided(each.log_above, each.log_below)
        yield {
            "metric": each.metric,
            "control": _rounded(each.control),
            "treated": _rounded(each.treated),
            "low": _rounded(each.now.low),
            "high": _rounded(each.now.high),
            "odds": odds(log_e),
            "facts": each.facts,
        }


def _place(metric: str) -> tuple[int, str]:
    """Return the place of a metric in a table: those that a canary is decided on come first."""
    return _METRICS.index(metric) if metric in _METRICS else len(_METRICS), metric


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
