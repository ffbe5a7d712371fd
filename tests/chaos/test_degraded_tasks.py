"""Surprises in the database, and in installed code: the task concerned fails alone, says so everywhere, and recovers."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.events import outcomes, send
from support.load import records
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.daemon import Daemon
from centralcloud.ingest.drain import drain
from centralcloud.monitoring.status import fleet_status
from centralcloud.monitoring.task_health import check_tasks, read_degraded_tasks
from centralcloud.monitoring.upkeep_checks import check_partitions
from centralcloud.runtime.diagnostics import CheckResult, Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings
from centralcloud.store.partitions import ensure_partitions, missing_weeks

_RULE = '''
class Broken:
    """A rule that an operator has installed, with a fault that shows later."""

    name = "broken"
    fails = False

    @property
    def eager(self):
        if self.fails:
            raise LookupError("no weights for this fleet")
        return False

    def exclude(self, *_): return {}
    def evaluate(self, *_): raise NotImplementedError
    recompute = reset = evaluate
'''


def partitions(url: str) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass ORDER BY 1"
    return [name for (name,) in execute(url, query)]


def detach(url: str, name: str) -> None:
    execute(url, f"ALTER TABLE routing_records DETACH PARTITION {name}")


def partition_check(database: Database) -> CheckResult:
    with database.transaction() as connection:
        return check_partitions(connection)


def degraded(database: Database) -> dict[str, str]:
    """The degraded tasks and their reasons, as `doctor` and `status` of another process read them."""
    with database.transaction() as connection:
        found = read_degraded_tasks(connection)
        verdict = check_tasks(found).verdict
    assert verdict == (Verdict.WARN if found else Verdict.OK)
    return {each.task: each.reason for each in found}


def test_a_detached_partition_of_a_coming_week_is_attached_again(
    start_worker: Callable[..., Program], database: Database, database_url: str
) -> None:
    """Detached before a start, and under a running daemon."""
    before = partitions(database_url)
    detach(database_url, before[3])
    check = partition_check(database)
    assert check.verdict == Verdict.WARN, "the doctor looks at every coming week, not at the newest partition"
    assert re.match(r"routing_records has no partition for the weeks of 20\d\d-\d\d-\d\d$", check.found)
    worker = start_worker(database_url, CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="1")
    eventually(lambda: partitions(database_url) == before)
    detach(database_url, before[4])
    eventually(lambda: partitions(database_url) == before)
    assert partition_check(database).verdict == Verdict.OK
    send(database_url, outcomes(10, 0))
    eventually(lambda: records(database_url) == 10)
    assert "background_task_degraded" not in worker.events()
    assert worker.process.poll() is None


def test_a_table_with_the_name_of_a_partition_is_sidestepped_and_named(database: Database, database_url: str) -> None:
    """Whatever it is: records that were detached with it, another table, or a view."""
    send(database_url, outcomes(5, 0))
    drain(database, batch_size=10)
    this_week, *coming = partitions(database_url)
    for name in (this_week, *coming[:3]):
        detach(database_url, name)
    execute(
        database_url,
        f"""
        DROP TABLE {coming[0]}, {coming[1]}, {coming[2]};
        CREATE TABLE {coming[0]} (note text);
        CREATE VIEW {coming[1]} AS SELECT 1;
        CREATE TYPE {coming[2]} AS (a int)
        """,
    )
    send(database_url, outcomes(7, 0))
    assert drain(database, batch_size=10).result.records == 7
    assert records(database_url) == 7
    assert partitions(database_url)[:4] == [f"{name}_2" for name in (this_week, *coming[:3])]
    with database.transaction() as connection:
        assert missing_weeks(connection) == []
    check = partition_check(database)
    assert check.verdict == Verdict.WARN
    assert f"in spite of the name: {this_week}, {coming[0]}, {coming[1]};" in check.found
    assert execute(database_url, f"SELECT count(*) FROM {this_week}") == [(5,)], "left alone"
    # The advice gives the detached records back.
    execute(database_url, check.advice.partition(": ")[2])
    execute(database_url, f"DROP TABLE {this_week}")
    assert verify(database).differences == []


def test_a_week_that_cannot_be_created_prevents_no_other(database: Database, database_url: str) -> None:
    names = partitions(database_url)
    for name in names[-2:]:
        execute(database_url, f"DROP TABLE {name}")
    week = missing(database)[0]
    overlap(database_url, week)
    assert ensure_partitions(database) == 1
    assert missing(database) == [week]
    assert partitions(database_url)[-1] == names[-1]


def missing(database: Database) -> list[str]:
    with database.transaction() as connection:
        return missing_weeks(connection)


def overlap(url: str, week: str) -> None:
    """Attach a partition of an operator's own, for one day of a week: that of the week cannot be attached."""
    bounds = f"FOR VALUES FROM ('{week} 00:00Z') TO ('{week} 23:00Z')"
    execute(url, f"CREATE TABLE one_day PARTITION OF routing_records {bounds}")


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """The class of a rule that is installed as an operator installs one."""
    (tmp_path / "broken_rule.py").write_text(_RULE)
    information = tmp_path / "broken_rule-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_rule\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[centralcloud.rules]\nbroken = broken_rule:Broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import broken_rule

    yield broken_rule.Broken
    del sys.modules["broken_rule"]


def test_a_surprise_degrades_one_task_while_ingest_goes_on(rule: type, database: Database, database_url: str) -> None:
    """Maintenance that cannot create a partition or roll up an hour; the learner with a rule that raises."""
    settings = Settings(
        database_url=database_url, rule="broken", poll_interval_seconds=0.05, learn_interval_seconds=0.2,
        maintenance_interval_seconds=1, table_metrics_interval_seconds=0.2,
    )  # fmt: skip

    def shown(task: str, reason: str) -> None:
        """Assert that a task is degraded wherever an operator looks, and that events are ingested."""
        eventually(lambda: reason in degraded(database).get(task, ""), what=f"{task}: {reason}")
        assert list(degraded(database)) == [task]
        (line,) = daemon._supervisor.degraded_tasks()
        assert re.match(rf"{task}: degraded for .*{reason}", line)
        assert daemon.registry.get_sample_value("centralcloud_background_task_degraded", {"task": task}) == 1.0
        warnings = {each["check"]: each["found"] for each in fleet_status(database, measure_seconds=0.01)["warnings"]}
        assert reason in warnings["tasks"]
        before = records(database_url)
        send(database_url, outcomes(10, 0))
        eventually(lambda: records(database_url) == before + 10)

    def restored() -> None:
        eventually(lambda: not degraded(database), within_seconds=30)
        assert daemon._supervisor.degraded_tasks() == []

    with Database(database_url, application_name="tests", own_connections=0) as own:
        daemon = Daemon(settings, own)
        daemon.start()
        try:
            send(database_url, outcomes(10, 0))
            eventually(lambda: records(database_url) == 10)
            rule.fails = True
            shown("learner", "LookupError: no weights for this fleet")
            rule.fails = False
            restored()
            execute(database_url, "ALTER TABLE model_performance RENAME TO renamed")
            shown("maintenance", "UndefinedTable")
            execute(database_url, "ALTER TABLE renamed RENAME TO model_performance")
            restored()
            execute(database_url, f"DROP TABLE {partitions(database_url)[2]}")
            week = missing(database)[0]
            overlap(database_url, week)
            shown("maintenance", f"no partition for 1 coming week, from {week} on")
            execute(database_url, "DROP TABLE one_day")
            restored()
        finally:
            daemon.stop()
    assert verify(database).differences == []
