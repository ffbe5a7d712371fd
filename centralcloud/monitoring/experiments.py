"""Experiments for an operator: their stages, what is known about each treatment, and what was decided."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from centralcloud.contracts.experiment_changes import status_words
from centralcloud.contracts.experiment_conditions import Conditions, waiting_in_json
from centralcloud.contracts.experiment_overlaps import overlap_notes
from centralcloud.contracts.fleet_configuration import CONTROL, Experiment, to_body
from centralcloud.contracts.limits import EXPERIMENTS_SILENT_SECONDS
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.false_discovery import discoveries
from centralcloud.experiments.results import read_results, read_verdicts
from centralcloud.experiments.sentences import Interval, leader, odds
from centralcloud.experiments.statements import (
    ORDER,
    difference_evidence,
    facts_by_treatment,
    rollback_sentence,
    statement_of,
    statements_of,
)
from centralcloud.experiments.waiting import read_conditions, waiting_lines
from centralcloud.runtime.configuration.experiments import find_experiment, read_experiments, read_usable_experiments
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, ago, counted, decimals, percent
from centralcloud.store.operator_actions import list_actions

_EXPERIMENTS_SEEN: Query[Any] = Query(__package__, "experiments_seen", row=datetime)
_MOST_ACTIONS: Final = 1000
_SUCCESS: Final = "success"
_NOTHING: Final = "nothing is folded yet"

#: The facts of a treatment, by metric.
_Facts = Mapping[str, Mapping[str, Any]]


def list_experiments(
    connection: psycopg.Connection[Any], *, with_ended: bool = False, rate: float | None = None
) -> list[dict[str, Any]]:
    """Return a row for each treatment of each experiment, by id.

    Args:
        with_ended: also experiments that have ended.
        rate: mark those that differ, so that at most this share of the marked ones is expected to be wrong; None: mark none.
    """
    now = datetime.now(UTC)
    known = facts_by_treatment(read_results(connection))
    rows = [
        _row(experiment, number, known.get((experiment.id, number), {}), now)
        for experiment, _ in read_experiments(connection)
        if experiment.is_open or with_ended
        for number in range(len(experiment.treatments))
    ]
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
    known = facts_by_treatment(read_results(connection, experiment.id))
    facts = [known.get((experiment.id, number), {}) for number in range(len(experiment.treatments))]
    waiting = read_conditions(experiment, dict(enumerate(facts)), now)
    seen_at = _EXPERIMENTS_SEEN.one(connection)
    usable, _ = read_usable_experiments(connection)
    overlaps = overlap_notes(experiment, [each.experiment for each in usable]) if experiment.is_routed else []
    actions = list_actions(connection, subject=f"experiment/{experiment.id}", limit=_MOST_ACTIONS)
    verdicts = [each._asdict() for each in read_verdicts(connection, experiment.id)]
    return {
        "version": version,
        "experiment": to_body(experiment),
        "sentences": [*_sentences(experiment, facts, waiting, now, seen_at), *overlaps],
        **waiting_in_json(waiting, experiment.treatments),
        "results": [
            {"treatment": treatment.name, **row}
            for treatment, each in zip(experiment.treatments, facts, strict=True)
            for row in _metric_rows(each)
        ],
        "verdicts": [{name: value for name, value in each.items() if name != "experiment_id"} for each in verdicts],
        "history": [{name: each[name] for name in ("at", "who", "via", "reason")} for each in reversed(actions)],
        "seen_at": seen_at,
    }


def _row(experiment: Experiment, number: int, facts: _Facts, now: datetime) -> dict[str, Any]:
    stage = experiment.stage
    statement = statement_of(experiment, number, _SUCCESS, facts, now)
    log_e = 0.0 if statement is None else statement.log_value
    is_all = stage.status == "promoted" and stage.winner == experiment.treatments[number].name  # not in the hold
    return {
        "id": experiment.id,
        "name": experiment.name,
        "kind": experiment.kind,
        "status": status_words(stage),
        "by_hand": stage.by_hand,
        "since": stage.since,
        "share": 1.0 if is_all else stage.share,
        "treatment": experiment.treatments[number].name,
        "outcomes": 0 if statement is None else statement.outcomes,
        "sessions": _sessions(facts),
        "low": None if statement is None else statement.low,
        "high": None if statement is None else statement.high,
        "log_e": log_e,
        "odds": odds(log_e),
        "differs": None,
        "result": _about_success(experiment, number, facts, now),
    }


def _sentences(
    experiment: Experiment, facts: Sequence[_Facts], waiting: Conditions, now: datetime, seen_at: datetime | None
) -> Iterator[str]:
    yield _about_stage(experiment, now)
    if experiment.is_open and (seen_at is None or (now - seen_at).total_seconds() > EXPERIMENTS_SILENT_SECONDS):
        since = "yet" if seen_at is None else f"for {age((now - seen_at).total_seconds())}"
        yield f"no daemon has looked after it {since}: gateways send every session to control"
    yield from waiting_lines(experiment, waiting, now)
    intervals = {}
    for number, (treatment, each) in enumerate(zip(experiment.treatments, facts, strict=True)):
        said = _about_success(experiment, number, each, now)
        yield said if said.startswith(f"{treatment.name} ") else f"{treatment.name}: {said}"
        for statement in statements_of(experiment, number, each, now):
            if statement.metric != _SUCCESS and statement.state != "unknown":
                yield f"{statement.metric.replace('_', ' ')}: {statement.sentence}"
            elif statement.metric == _SUCCESS:
                low, high = (
                    (-1.0 if statement.low is None else statement.low),
                    (1.0 if statement.high is None else statement.high),
                )
                intervals[treatment.name] = Interval(low, high)
        yield from _about_requests(treatment.name, each)
    if experiment.kind == "ab" and (found := leader(intervals)) is not None:
        yield f"{found} leads: the interval of every other treatment is below its own"


def _about_stage(experiment: Experiment, now: datetime) -> str:
    stage, plan = experiment.stage, experiment.plan
    kind = "canary" if experiment.kind == "canary" else "A/B test"
    said = f"{kind} {experiment.id}: {status_words(stage)}"
    if experiment.is_held:
        said = f"{said}: {percent(stage.share)} of the sessions go to {stage.winner}"
    elif stage.status == "running":
        of = f", step {stage.step + 1} of {len(plan.steps)}" if experiment.kind == "canary" else ""
        each = " for each treatment" if len(experiment.treatments) > 1 else ""
        said = f"{said} with {percent(stage.share)} of the sessions{each}{of}"
    if stage.status == "running" and stage.before is not None:
        said = f"{said}, once the sessions from before have ended"
    if stage.status == "paused" and not stage.by_hand:
        said = f"{said}, to begin again after {age(plan.retry_pause_seconds)}"
    return f"{said}, {ago((now - stage.since).total_seconds())}: {stage.reason}"


def _about_success(experiment: Experiment, number: int, facts: _Facts, now: datetime) -> str:
    """Return the sentence on the success of a treatment; of one that was rolled back, what that has cost."""
    stage = experiment.stage
    if stage.status == "rolledBack" and len(experiment.treatments) == 1:
        said = rollback_sentence(experiment, number, facts, stage.since.astimezone())
        if said is not None:
            return said
    statement = statement_of(experiment, number, _SUCCESS, facts, now)
    return _NOTHING if statement is None else statement.sentence


def _about_requests(treatment: str, facts: _Facts) -> Iterator[str]:
    if (comparison := facts.get(COMPARISON)) is None:
        return
    control, treated = (comparison[arm]["requests_per_session"] for arm in ("control", "treatment"))
    if control is not None and treated is not None:
        yield f"requests a session: {decimals(treated, 2)} of {treatment}, {decimals(control, 2)} of {CONTROL}"
    control, treated = (comparison[arm]["aborts"] for arm in ("control", "treatment"))
    if control or treated:
        yield f"left out, as the client went away: {treated:,} of {treatment}, {control:,} of {CONTROL}"
    for name, words in (
        ("returned", "left out, of sessions that had ended before (a session name counts once)"),
        ("mismatched", "left out, in an arm or at a share that their session does not have"),
    ):
        control, treated = (comparison[arm].get(name, 0) for arm in ("control", "treatment"))
        if control or treated:
            yield f"{words}: {treated:,} of {treatment}, {control:,} of {CONTROL}"
    if comparison["late_dropped"]:
        yield f"too late to count: {counted(comparison['late_dropped'], 'record')}"


def _metric_rows(facts: _Facts) -> Iterator[dict[str, Any]]:
    for metric in (each for each in ORDER if each in facts):
        known = facts[metric]
        low, high = known["possible"]
        yield {
            "metric": metric,
            "control": _rounded(known["control"]["mean"]),
            "treated": _rounded(known["treatment"]["mean"]),
            "low": _rounded(low),
            "high": _rounded(high),
            "odds": odds(difference_evidence(known)),
            "facts": known,
        }


def _sessions(facts: _Facts) -> int:
    comparison = facts.get(COMPARISON)
    return 0 if comparison is None else sum(comparison[arm]["folded_sessions"] for arm in ("control", "treatment"))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
