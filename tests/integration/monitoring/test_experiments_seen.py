"""Experiments as operators see them, from the tables: metrics, findings, doctor and status read what the daemon folds."""

import re
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from psycopg.types.json import Jsonb
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.experiments import start
from centralcloud.cli.status import status_lines
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.stages import SAMPLE_RATIO
from centralcloud.experiments.task import ExperimentTask
from centralcloud.monitoring.daemon_activity import LearnerSchedule
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.monitoring.status import fleet_status
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.monitoring.work_checks import work_checks
from centralcloud.runtime.diagnostics import CheckResult, Verdict
from centralcloud.runtime.postgres.database import Database


def started(database: Database, **more: Any) -> Experiment:
    asked = {"name": "Try b", "treatments": [{"model": "b"}], **more}
    return start(database, asked, OPERATOR, field="experiment", any_model=True).experiment


def folded(database: Database) -> None:
    """Let the daemon look at the experiments once; it has no record to fold."""
    ExperimentTask(database, advance=lambda *_: None).run_once()


def set_facts(url: str, metric: str, path: str, value: Any) -> None:
    """Change one fact in place: what is not there before stays out, so that its name must be the fold's."""
    changed = execute(
        url,
        "UPDATE experiment_results SET facts = jsonb_set(facts, %s::text[], %s, false) WHERE metric = %s "
        "RETURNING facts #> %s::text[] = %s",
        (path, Jsonb(value), metric, path, Jsonb(value)),
    )
    assert changed == [(True,)], f"the fold writes no {metric} {path}"


def set_stage(url: str, **fields: Any) -> None:
    execute(
        url, "UPDATE configuration_entries SET body = jsonb_set(body, '{stage}', body->'stage' || %s)", (Jsonb(fields),)
    )


def open_findings(database: Database) -> dict[str, str]:
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        return {row["kind"]: row["message"] for row in list_findings(connection)}


def the_check(database: Database) -> CheckResult | None:
    (check,) = [each for each in work_checks(database, LearnerSchedule()) if each.name == "experiments"]
    return check.make()


def test_the_metrics_of_an_experiment_come_from_what_is_folded_and_go_with_its_end(
    database: Database, database_url: str
) -> None:
    registry = CollectorRegistry()
    collector = TableMetricsCollector(database, interval_seconds=60, registry=registry)

    def value(name: str, **labels: str) -> float | None:
        collector.run_once()
        return registry.get_sample_value(f"centralcloud_experiment{name}", labels)

    assert value("s_unattended_seconds") is None
    assert value("_verdicts_total", verdict="rolledBack") == 0, "an increase from nothing is not seen"
    experiment = started(database)
    key = {"experiment": experiment.id}
    assert value("_outcomes_total", **key, arm="b") is None
    folded(database)
    set_facts(database_url, "success", "{treatment,outcomes}", 80)
    set_facts(database_url, "success", "{control,outcomes}", 900)
    set_facts(database_url, "success", "{log_below}", 5.5)
    execute(
        database_url,
        "UPDATE experiment_progress SET late_dropped = 7, folded_until = folded_until - interval '1 hour';"
        "UPDATE experiment_heartbeat SET seen_at = now() - interval '40 seconds';"
        "INSERT INTO experiment_verdicts (experiment_id, verdict) VALUES ('e', 'rolledBack'), ('e', 'step'), ('f', 'step')",
    )
    assert value("_outcomes_total", **key, arm="b") == 80
    assert value("_outcomes_total", **key, arm="control") == 900
    assert value("_evidence", **key, treatment="b", direction="worse") == 5.5
    assert value("_late_dropped_total", **key) == 7
    assert value("_share", **key) == 0.01
    assert 2500 < (value("_folding_behind_seconds", **key) or 0) < 2800
    assert 0 <= (value("s_unattended_seconds") or 0) < 30, "at most since it began"
    assert [value("_verdicts_total", verdict=each) for each in ("rolledBack", "step")] == [1, 2]
    execute(database_url, "INSERT INTO experiment_verdicts (experiment_id, verdict) VALUES ('f', 'step')")
    assert value("_verdicts_total", verdict="step") == 3, "each is counted once"
    set_stage(database_url, status="rolledBack", share=0)
    assert value("_outcomes_total", **key, arm="b") is None
    assert value("s_unattended_seconds") is None


def test_the_evidence_of_an_earlier_experiment_under_the_same_id_is_not_shown(
    database: Database, database_url: str
) -> None:
    started(database)
    folded(database)
    with database.transaction() as connection:
        (state,) = read_experiment_states(connection).states
        assert (state.outcomes(), state.folded_until is None) == ({"control": 0, "b": 0}, False)
    execute(database_url, "UPDATE experiment_progress SET began = began - interval '1 day'")
    with database.transaction() as connection:
        (state,) = read_experiment_states(connection).states
    assert (state.outcomes(), state.folded_until) == ({}, None)


def test_findings_about_experiments_open_and_close_with_their_conditions(database: Database, database_url: str) -> None:
    assert open_findings(database) == {}
    experiment = started(database)
    folded(database)
    assert open_findings(database) == {}
    execute(
        database_url,
        "UPDATE experiment_progress SET late_dropped = 50, folded_until = folded_until - interval '1 hour'",
    )
    set_facts(database_url, "comparison", "{control,requests}", 900)
    set_facts(database_url, "arrived", "{interval}", [-0.5, -0.2])
    for arm, mean in (("control", 1.0), ("treatment", 0.6)):
        set_facts(database_url, "arrived", f"{{{arm},mean}}", mean)
    found = open_findings(database)
    assert found.keys() == {
        "experiment_folding_behind", "experiment_outcomes_late", "experiment_arrival_differs"
    }  # fmt: skip
    assert "60.0% of those of b did, and 100.0% of those of control" in found["experiment_arrival_differs"]
    assert "had 50 records that came after their time was folded (5.3% of all)" in found["experiment_outcomes_late"]
    set_facts(database_url, "comparison", "{treatment,sessions}", 20)
    now = datetime.now(experiment.stage.began.tzinfo)
    set_stage(database_url, status="stopped", share=0, reason=SAMPLE_RATIO, since=now.isoformat(), byHand=False)
    found = open_findings(database)
    assert found.keys() == {"experiment_sample_ratio"}
    assert "20 sessions of b, 0 of control" in found["experiment_sample_ratio"]
    set_stage(database_url, since=(now - timedelta(days=8)).isoformat())
    assert open_findings(database) == {}


def test_the_doctor_and_the_status_have_a_line_on_experiments_once_there_are_any(
    database: Database, database_url: str
) -> None:
    def lines() -> str:
        return "\n".join(line.text for line in status_lines(fleet_status(database, measure_seconds=0.01)))

    assert "experiments" not in {each.check for each in examine(database, Expectations())}
    assert "experiment" not in lines()
    experiment = started(database)
    folded(database)
    result = the_check(database)
    assert result is not None
    assert result.verdict == Verdict.OK
    assert re.fullmatch(r"1 experiment: 1 running; folded until \d+ seconds ago", result.found)
    assert "1 experiment: 1 running; folded until " in lines()
    set_stage(database_url, began=(experiment.stage.began - timedelta(hours=1)).isoformat())
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '20 minutes'")
    result = the_check(database)
    assert result is not None
    assert result.verdict == Verdict.WARN
    assert "a daemon looked after them 20 minutes ago, expected within 2 minutes" in result.found
    assert "a daemon looked after them 20 minutes ago" in lines()


def test_an_experiment_that_this_version_cannot_read_stops_nothing_else(database: Database, database_url: str) -> None:
    experiment = started(database)
    execute(database_url, 'UPDATE configuration_entries SET body = body || \'{"kind": "bandit"}\'')
    result = the_check(database)
    assert result is not None
    assert (result.verdict, result.found) == (Verdict.WARN, f"this version cannot read {experiment.id}")
    assert open_findings(database) == {}
    seen = fleet_status(database, measure_seconds=0.01)["experiments"]
    assert (seen["experiments"], seen["found"]) == ([], None)
