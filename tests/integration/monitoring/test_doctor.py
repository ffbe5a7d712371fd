"""`doctor` and `status`: each problem is found and named, with advice on how to fix it."""

import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import outcomes, send
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.upkeep_checks import check_retention
from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.postgres.database import Database

Examine = Callable[..., dict[str, NamedCheckResult]]


@pytest.fixture
def look(database: Database) -> Examine:
    def examine_all(**expectations: object) -> dict[str, NamedCheckResult]:
        return {result.check: result for result in examine(database, Expectations(**expectations))}  # type: ignore[arg-type]

    return examine_all


def test_a_working_fleet_passes_every_check(look: Examine, database: Database, database_url: str) -> None:
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=100)
    Learner(database, [ThresholdRule()]).learn()
    execute(database_url, "SELECT centralcloud.acknowledge('i', 1)")
    execute(database_url, "INSERT INTO ingest_workers (host, process, batch_size) VALUES ('h', 'p', 1000)")
    results = look()
    durable = execute(database_url, "SELECT current_setting('fsync') || current_setting('full_page_writes')") == [
        ("onon",)
    ]
    assert (results.pop("durability").verdict == Verdict.OK) == durable, "the server of the tests writes to no disk"
    assert {result.verdict for result in results.values()} == {Verdict.OK}, results
    assert len(results) >= 12


@pytest.mark.parametrize(
    ("check", "damage", "verdict", "found"),
    [
        (
            "schema",
            "UPDATE centralcloud.schema_revision SET version_num = '0001'",
            "FAIL",
            "run `centralcloud migrate`",
        ),
        ("schema", "DROP TABLE findings", "FAIL", "at revision 0031, but lacks findings"),
        ("pgmq", "DROP FUNCTION pgmq.pop(text, integer)", "FAIL", "older than 1.6.2"),
        ("queues", "SELECT pgmq.drop_queue('model_score_updates')", "FAIL", "missing: model_score_updates"),
        ("message ledger", "DELETE FROM accounting", "FAIL", "the table accounting or learning_control is empty"),
        (
            "autovacuum",
            "ALTER TABLE pgmq.q_model_routing_decisions RESET (autovacuum_vacuum_scale_factor)",
            "WARN",
            "server's default autovacuum settings",
        ),
        ("instances", "SELECT 1", "WARN", "a gateway that stops leaves the register"),
        (
            "instances",
            """
            INSERT INTO instances VALUES ('slow', 0, now(), now() - interval '1 hour');
            INSERT INTO model_scores VALUES ('m', 'simple', 2, 7, 'r', 't', NULL, NULL, 1, 1)
            """,
            "WARN",
            r"1 of 1 instance behind and silent: slow \(7 versions behind, seen 60 minutes ago\)",
        ),
        ("daemon", "SELECT 1", "WARN", "no daemon is running that ingests events"),
        (
            "daemon",
            """
            INSERT INTO ingest_workers (host, process, batch_size, seen_at)
            VALUES ('killed', 'p', 1000, now() - interval '20 minutes')
            """,
            "WARN",
            "the last worker, on killed, was seen 20 minutes ago",
        ),
        (
            "learning",
            """
            INSERT INTO learning_runs
                (rule, through_slice, started_at, finished_at, pairs_evaluated, pairs_changed, samples)
            VALUES ('threshold', 1, now(), now() - interval '10 minutes', 0, 0, 0)
            """,
            "WARN",
            "the learner is late: last run 10 minutes ago",
        ),
        ("dead letters", "SELECT pgmq.send('model_routing_decisions', '{}')", "WARN", "1 dead letter open"),
        ("learning", "UPDATE learning_control SET frozen_at = now(), frozen_reason = 'audit'", "WARN", "frozen: audit"),
        (
            "queue depth",
            """
            SELECT pgmq.send('model_routing_decisions', '{}', 600);
            UPDATE pgmq.q_model_routing_decisions SET read_ct = 1, enqueued_at = now() - interval '1 hour'
            """,
            "WARN",
            "1 message, the oldest 60 minutes old",
        ),
        (
            "queue depth",
            "SELECT pgmq.send('model_routing_decisions', '{}', 30 * 86400)",
            "WARN",
            "1 message, 1 delayed for 30 days at most",
        ),
    ],
)
def test_each_problem_is_found(
    look: Examine, database: Database, database_url: str, check: str, damage: str, verdict: str, found: str
) -> None:
    execute(database_url, damage)
    if check == "dead letters":
        drain(database, batch_size=10)
    result = look()[check]
    assert result.verdict == verdict, result
    assert re.search(found, result.found), result
    assert result.advice


def test_a_new_database_fails_nothing(empty_url: str) -> None:
    run_command("centralcloud", "migrate", env={"DATABASE_URL": empty_url})
    result = run_command("centralcloud", "doctor", env={"DATABASE_URL": empty_url})
    assert (result.returncode, result.stderr) == (0, "")
    assert "FAIL" not in result.stdout


def test_before_the_migration_one_check_fails_and_names_what_needs_it(empty_url: str, tmp_path: Path) -> None:
    expected = {"centralcloud": "schema", "instance-agent": "functions"}
    for program, cause in expected.items():
        env = {"DATABASE_URL": empty_url, "INSTANCE_AGENT_STATE_DIR": str(tmp_path)}
        result = run_command(program, "doctor", "--json", env=env)
        checks = json.loads(result.stdout)["checks"]
        assert [each["check"] for each in checks if each["verdict"] == "FAIL"] == [cause], checks
        assert "run `centralcloud migrate`" in checks[0]["found"] + checks[0]["advice"]
        assert {each["cause"] for each in checks if each["verdict"] == "SKIP"} == {cause}
        raw = re.compile(r"(relation|schema|function) .*does not exist")
        assert not [each for each in checks if raw.search(each["found"])], checks
        assert result.returncode == 1


def test_a_missing_partition_and_an_old_snapshot_are_found(
    look: Examine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("centralcloud.monitoring.doctor._OLD_SNAPSHOT_SECONDS", 0.0)
    for (name,) in execute(
        database_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass"
    ):
        execute(database_url, f"DROP TABLE {name}")
    with psycopg.connect(database_url) as idle:
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        idle.execute("SELECT 1 FROM routing_records")
        pid = idle.info.backend_pid
        results = look()
    assert results["partitions"].verdict == Verdict.FAIL
    assert results["oldest snapshot"].verdict == Verdict.WARN
    assert f"process {pid}" in results["oldest snapshot"].found


def test_a_read_only_server_is_found(database: Database, database_url: str, tmp_path: Path) -> None:
    (name,) = execute(database_url, "SELECT current_database()")[0]
    execute(database_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    env = {"DATABASE_URL": database_url, "INSTANCE_AGENT_STATE_DIR": str(tmp_path)}
    for program in ("centralcloud", "instance-agent"):
        result = run_command(program, "doctor", env=env)
        assert "FAIL  writes: default_transaction_read_only is on, set by: database\n" in result.stdout
        assert result.returncode == 1


def test_the_holder_of_a_blocking_lock_is_named_before_the_checks_that_wait_for_it(
    look: Examine, database_url: str
) -> None:
    with psycopg.connect(database_url, application_name="forgotten") as holder:
        holder.execute("LOCK TABLE dead_letters IN SHARE ROW EXCLUSIVE MODE")
        found = look()["locks"]
        assert found.verdict == Verdict.WARN
        assert f"process {holder.info.backend_pid}, forgotten" in found.found
        assert "ShareRowExclusiveLock on dead_letters" in found.found
        holder.rollback()
        assert look()["locks"].verdict == Verdict.OK
        holder.execute(
            "UPDATE accounting SET records = records"
        )  # a lock on a row: found by the transaction that waits for it
        with psycopg.connect(database_url, autocommit=True) as waiter:
            thread = threading.Thread(target=waiter.execute, args=("UPDATE accounting SET records = records",))
            thread.start()
            eventually(lambda: execute(database_url, "SELECT 1 FROM pg_locks WHERE NOT granted"))
            found = look()["locks"]
            holder.rollback()
            thread.join(timeout=10)
        assert found.found == (
            f"blocking locks: process {holder.info.backend_pid}, forgotten, "
            f"{holder.info.user}, idle in transaction, 1 waiting"
        )


@pytest.mark.parametrize(
    ("other", "models", "hours_ago", "verdict"),
    [(100, 399, 1, "WARN"), (100, 400, 1, "OK"), (99, 1, 1, "OK"), (100, 1, 25, "OK"), (100, 1, -48, "OK")],
)
def test_a_large_share_of_requests_without_a_model_is_named(
    look: Examine, database_url: str, other: int, models: int, hours_ago: int, verdict: str
) -> None:
    for model, requests in (("(other)", other), ("gpt-4o", models)):
        execute(
            database_url,
            """
            INSERT INTO model_performance (
                window_start, window_end, model_name, complexity_level, provider, instance_id, total_requests,
                successful_requests, failed_requests, blameless_requests, total_cost, total_tokens
            )
            SELECT since, since + interval '1 hour', %s, 'simple', 'p', 'i', %s, 0, 0, 0, 0, 0
            FROM (SELECT date_trunc('hour', now(), 'UTC') - %s * interval '1 hour') AS hour (since)
            """,
            (model, requests, hours_ago),
        )
    result = look()["model names"]
    assert result.verdict == verdict, result
    if verdict == "WARN":
        assert result.found.startswith(
            "20.04% of the requests of the last 24 hours (100 of 499) are under the model (other)"
        )
        assert "names.new_per_instance" in result.advice
        assert "names.new_per_fleet" in result.advice


def test_a_taken_port_is_found(look: Examine) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        result = look(http_port=port)["HTTP port"]
    assert result.verdict == Verdict.WARN
    assert result.found == f"127.0.0.1:{port} cannot be opened: Address already in use, and not by centralcloud"


def test_an_unavailable_database_is_reported_first(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "postgresql://127.0.0.1:1/db", "INSTANCE_AGENT_STATE_DIR": str(tmp_path)}
    for program in ("centralcloud", "instance-agent"):
        result = run_command(program, "doctor", env=env)
        assert result.returncode == 1
        assert "FAIL  database: connection" in result.stdout.splitlines()[0]
        assert " further checks need this: " in result.stdout
        assert "skipped" not in result.stdout
        assert "Traceback" not in result.stderr


def test_the_status_fits_on_one_screen(database: Database, database_url: str) -> None:
    send(database_url, [*outcomes(100, 0, complexity_score=2.0), {"no": "event"}])
    drain(database, batch_size=100)
    Learner(database, [ThresholdRule()]).learn()
    execute(database_url, "SELECT centralcloud.acknowledge('late-one', 0)")
    env = {"DATABASE_URL": database_url}
    shown = run_command("centralcloud", "status", "--seconds", "0.1", env=env).stdout
    for part in (
        "queue      0 messages",
        "learning   threshold, last run ",
        "instances  1 seen within a day, 1 behind version 1",
        "late-one is at version 0, seen ",
        "letters    1 dead letter open: 1 for timestamp",
        "gpt-4o (complex): 2.000 -> 2.300",
    ):
        assert part in shown, shown
    assert len(shown.splitlines()) < 24
    found = json.loads(run_command("centralcloud", "status", "--json", "--seconds", "0.1", env=env).stdout)
    assert found["dead_letters"] == {"timestamp": 1}


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        (-7200, "the server's clock was 2 hours behind the expected time"),
        (
            172_800,
            "the server's clock was 2 days ahead of the expected time, or no daemon had looked at it for that long",
        ),
    ],
)
def test_retention_that_waits_says_why(database: Database, database_url: str, seconds: float, found: str) -> None:
    execute(
        database_url,
        "UPDATE server_clock SET jumped_at = now(), jump_seconds = %s, steady_from = now() + interval '1 day'",
        (seconds,),
    )
    with database.transaction() as connection:
        assert check_retention(connection).found.endswith(found)


def test_a_delay_that_a_sender_chose_is_not_a_queue_that_waits(look: Examine, database_url: str) -> None:
    execute(database_url, "SELECT pgmq.send('model_routing_decisions', '{}', 600)")
    execute(database_url, "UPDATE pgmq.q_model_routing_decisions SET enqueued_at = now() - interval '1 hour'")
    result = look()["queue depth"]
    assert (result.verdict, result.advice) == (Verdict.OK, "")
    assert result.found.startswith("1 message, 1 delayed for 10 minutes at most, ")


def test_unlogged_tables_are_named(look: Examine, database_url: str) -> None:
    assert "unlogged" not in look()["durability"].found
    ((partition,),) = execute(
        database_url, "SELECT relid::text FROM pg_partition_tree('routing_records') OFFSET 1 LIMIT 1"
    )
    execute(database_url, f"ALTER TABLE decision_ids SET UNLOGGED; ALTER TABLE {partition} SET UNLOGGED")
    result = look()["durability"]
    assert result.verdict == Verdict.WARN
    assert f"a crash of the server empties unlogged tables: decision_ids, {partition}; " in result.found
    assert "SET LOGGED" in result.advice


def test_the_doctor_counts_the_open_findings_and_names_the_worst(look: Examine, database_url: str) -> None:
    assert look()["findings"].found == "no findings open"
    execute(
        database_url,
        """
        INSERT INTO findings (kind, subject, message, traffic_share, closed_at) VALUES
            ('slow', 'a', 'a is slow', 0.01, NULL), ('low_success_rate', 'b', 'b is weak', 0.62, NULL),
            ('newcomer', 'c', 'c is new', NULL, NULL), ('slow', 'd', 'd was slow', 0.9, now())
        """,
    )
    result = look()["findings"]
    assert (result.verdict, "centralcloud findings" in result.advice) == (Verdict.WARN, True)
    assert result.found == "3 findings open, above all low_success_rate, 62.0% of traffic: b is weak"


def test_task_types_that_come_too_late_are_named(look: Examine, database: Database, database_url: str) -> None:
    assert look()["task types"].found == "0 task types of at most 31 learned"
    execute(
        database_url,
        "INSERT INTO task_types (task_no, name, slice_no) SELECT n, 'type-' || n, 1 FROM generate_series(1, 31) AS n",
    )
    send(database_url, [*outcomes(2, 1, task_type="type-7"), *outcomes(2, 0, task_type="other"), *outcomes(5, 0)])
    drain(database, batch_size=100)
    assert look()["task types"].verdict == Verdict.OK, "the newest outcomes have a place, or ask for none"

    send(database_url, [*outcomes(1, 1, task_type="late"), *outcomes(3, 0, task_type="ticket-\x1b[1m")])
    drain(database, batch_size=100)
    result = look()["task types"]
    assert result.verdict == Verdict.WARN
    assert result.found == (
        "all 31 task types are taken, so 62.5% of the newest outcomes with a task type are learned as other: "
        '"ticket-\\x1b[1m", "late"; not among these outcomes: "type-1", "type-2", "type-3", "type-4", "type-5", and 25 more'
    )
    assert "no ids" in result.advice
