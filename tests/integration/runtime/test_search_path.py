"""The whole loop under a search_path that leads nowhere: no statement may depend on it."""

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from psycopg.conninfo import make_conninfo
from support.commands import run_command
from support.events import outcomes, send
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.verification import repair, verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.monitoring.doctor import Expectations, examine, preflight
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.monitoring.status import fleet_status
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres import session
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import migrate
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater


def test_every_part_works_without_a_search_path(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is overridden here: each statement alone names its tables."""
    monkeypatch.setitem(session.OVERRIDDEN, "search_path", "pg_catalog, pg_temp")
    with Database(empty_url, application_name="tests") as database:
        migrate(database)
        Maintenance(database).run_once()
        preflight(database)
        send(empty_url, outcomes(100, 3))
        assert drain(database, batch_size=50).result.records == 103
        assert Learner(database, [ThresholdRule()]).learn() is not None
        FindingDetector(database).run_once()
        collector = TableMetricsCollector(database, interval_seconds=5, registry=CollectorRegistry())
        collector.run_once()
        Maintenance(database).run_once()
        assert not verify(database).differences
        repair(database, OPERATOR)
        assert fleet_status(database, measure_seconds=0.01)["running_workers"] == 0
        failed = [each for each in examine(database, Expectations()) if each.verdict == Verdict.FAIL]
        assert not failed
        with database.transaction() as connection:
            list_findings(connection)
        updater = ScoreUpdater(database, instance_id="i-1", file=LearnedScoresFile(tmp_path))
        updater.run_once()
        assert updater.learned.version > 0
        collector.on_stop()
        updater.on_stop()


def test_commands_work_for_a_role_whose_search_path_lacks_public(database_url: str) -> None:
    role = f"cc_elsewhere_{time.monotonic_ns()}"
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER")
    execute(database_url, f"ALTER ROLE {role} SET search_path = app; ALTER ROLE {role} SET statement_timeout = '40ms'")
    env = {"DATABASE_URL": make_conninfo(database_url, user=role)}
    try:
        for command in (["migrate"], ["status", "--seconds", "0.1"], ["scores"], ["verify"], ["doctor"]):
            result = run_command("centralcloud", *command, env=env)
            assert result.returncode == 0, result.stdout + result.stderr
        assert "statement_timeout=40ms" in result.stdout
        assert "search_path=app" in result.stdout
    finally:
        execute(database_url, f"DROP ROLE {role}")
