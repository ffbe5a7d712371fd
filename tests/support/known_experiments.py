"""Experiments in a database, with what is known about them, in the form in which folding stores it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.experiment_conditions import canary_plan
from centralcloud.contracts.fleet_configuration import Experiment, put
from centralcloud.experiments.comparison_state import COUNTED, METRICS, Comparison
from centralcloud.experiments.results import comparison_facts, metric_facts, store_results
from centralcloud.runtime.configuration.writing import Author, change_configuration
from centralcloud.runtime.postgres.database import Database
from support.experiments import NO_EVIDENCE, an_experiment
from support.servers import execute

_AUTHOR = Author(who="ann", via="cli", source="host", reason="a trial")


class Known(NamedTuple):
    """The knowledge of a treatment.

    Attributes:
        control, treatment: outcomes and successes.
        possible: by metric the lowest and highest difference.
        evidence: log of the evidence that the success of treatment differs, above 0: it is higher; below 0: lower.
        facts: what the stages follow.
        counts: of treatment, by the names of `COUNTED`.
    """

    control: tuple[int, int] = (12_000, 11_400)
    treatment: tuple[int, int] = (600, 580)
    possible: Mapping[str, tuple[float, float]] = {}
    evidence: float = 0.0
    facts: Facts = NO_EVIDENCE
    late: int = 0
    counts: Mapping[str, int] = {}


BETTER = Known(
    (9_000, 8_550),
    (9_240, 8_980),
    {"success": (0.012, 0.034), "latency": (-0.2, 0.1), "cost": (-0.4, -0.25), "request_success": (-0.01, 0.02)},
    8.2,
)
WORSE_KNOWN = Known((3_800, 3_610), (38, 25), {"success": (-0.4, -0.08)}, -5.4)


def facts_of(experiment: Experiment, known: Known = BETTER) -> dict[str, dict[str, Any]]:
    """Return the facts of a treatment by metric, as the table of results has them."""
    comparison = _comparison(experiment, known)
    alpha = experiment.plan.alpha / len(experiment.treatments)
    found = metric_facts(comparison, alpha)
    return {**found, "comparison": comparison_facts(comparison, known.facts, known.late)}


def configure(url: str, *experiments: Experiment) -> None:
    """Put experiments into the configuration, and let the daemon have looked after them just now."""
    with Database(url, application_name="tests") as database:
        for each in experiments:
            changes = [put(each)]
            change_configuration(database, _AUTHOR, lambda _, found=changes: found, is_known=lambda _: True)  # type: ignore[misc]
    execute(url, "UPDATE experiment_heartbeat SET seen_at = now()")


def store_known(url: str, experiment: Experiment, *known: Known) -> None:
    """Store what is known about each treatment."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO experiment_progress (experiment_id, began, folded_until, prompted_id, step, retries, state)"
            " VALUES (%s, %s, now(), 0, 0, 0, '\\x00') ON CONFLICT DO NOTHING",
            (experiment.id, experiment.stage.began),
        )
        comparisons = [_comparison(experiment, each) for each in known]
        facts: Sequence[Facts] = [each.facts for each in known]
        store_results(connection, experiment, comparisons, facts, late_dropped=max(each.late for each in known))


def store_verdicts(
    url: str, experiment: Experiment, *verdicts: tuple[int | None, str, datetime, dict[str, Any]]
) -> None:
    """Store verdicts: the number of the treatment, the verdict, its time, its facts."""
    with psycopg.connect(url) as connection:
        for treatment, verdict, at, facts in verdicts:
            connection.execute(
                "INSERT INTO experiment_verdicts (experiment_id, treatment, at, verdict, facts) VALUES (%s, %s, %s, %s, %s)",
                (experiment.id, treatment, at, verdict, Jsonb(facts)),
            )


def begun(hours_ago: float, **asked: Any) -> Experiment:
    """Return an experiment that began some hours ago; its stage began an hour after that, at the latest now."""
    now = datetime.now(UTC)
    began = now - timedelta(hours=hours_ago)
    since = min(now, began + timedelta(hours=1))
    stage = {"began": began, "since": since, "by_hand": False, **asked.pop("stage", {})}
    token = asked.pop("token", None)
    experiment = an_experiment(stage=stage, **asked)
    return experiment if token is None else replace(experiment, id=f"{experiment.id[:-6]}{token}", salt=token * 3)


def fill_with_experiments(url: str, *, name: str = "gpt-x on trial", model: str = "ember-reason") -> None:
    """Fill a database with an experiment in each state, and an A/B/n test."""
    now = datetime.now(UTC)
    running = begun(
        5,
        name=name,
        treatments=[{"model": model}],
        scope={"complexities": ["complex"]},
        plan={"sloMs": 5000},
        stage={"step": 3, "share": 0.5, "before": 0.25, "reason": "the next share is within the harm budget"},
    )
    worse = begun(
        30, name="a canary that failed", treatments=[{"model": "dune-flash"}],
        stage={"status": "rolledBack", "reason": "fewer successes", "retries": 1},
    )  # fmt: skip
    paused = begun(
        2, name="slow start", treatments=[{"model": "cedar-mini"}], stage={"status": "paused", "by_hand": True}
    )
    several = begun(
        9, kind="ab", name="three at once", treatments=[{"model": each} for each in ("birch-large", "cedar-mini", name)]
    )
    configure(url, running, worse, paused, several)
    guarded = NO_EVIDENCE._replace(worse=2.0, within_margin=3.2, within_time=1.0, within_cost=3.5, wins=(2.1, 0.3, 4.2))
    store_known(url, running, BETTER._replace(facts=guarded, late=3, counts={"aborts": 12, "missing": 4}))
    store_known(url, worse, WORSE_KNOWN)
    store_known(url, several, BETTER, Known(possible={"success": (-0.01, 0.02)}), Known())
    step = {"status": "running", "step": 1, "share": 0.05, "reason": "the next share is within the harm budget"}
    store_verdicts(url, running, *((0, "step", now - timedelta(hours=4 - n), step) for n in range(3)))
    store_verdicts(url, worse, (0, "paused", now - timedelta(hours=29), {"reason": "fewer successes"}))
    store_verdicts(url, worse, (0, "rolledBack", now - timedelta(hours=20), {"reason": "fewer successes"}))
    store_verdicts(url, several, (0, "better", now - timedelta(hours=1), {"share": 0.25}))


def _comparison(experiment: Experiment, known: Known) -> Comparison:
    found = Comparison(canary_plan(experiment))
    for arm, (outcomes, successes) in enumerate((known.control, known.treatment)):
        sums = {"success": successes, "request_success": successes + (outcomes - successes) / 2, "arrived": outcomes}
        for row, metric in enumerate(METRICS):
            found.sums[arm, row] = outcomes, sums.get(metric, 0.2 * outcomes)
        counts = {"requests": outcomes, "sessions": outcomes // 4, "folded_sessions": outcomes // 4}
        for name, count in {**counts, **(known.counts if arm else {})}.items():
            found.counts[arm, COUNTED.index(name)] = count
        found.times[arm, 30] = outcomes
    for metric, (low, high) in known.possible.items():
        found.possible[METRICS.index(metric)] = low, high
    # Evidence is never the same against two differences: intervals are interpolated between them.
    slope = 1e-6 * found.intervals.nulls[None, :, None]
    found.intervals.above[:], found.intervals.below[:] = -slope, slope
    found.intervals.above[0] += known.evidence
    found.intervals.below[0] -= known.evidence
    return found
