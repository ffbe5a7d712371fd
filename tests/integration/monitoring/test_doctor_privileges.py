"""The doctor under roles that lack privileges."""

import json
import time
from collections import Counter
from contextlib import nullcontext

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from support.commands import run_command, summarize_error
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.grants import GrantsError, Roles, _check_rights, apply_roles
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.privileges import missing_privileges


def test_a_snapshot_of_another_role_is_found_although_its_age_is_hidden(database_url: str) -> None:
    """PostgreSQL shows a role that the snapshots of others exist, and nothing more."""
    execute(database_url, "CREATE ROLE cc_blind LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO cc_blind")
    execute(database_url, "GRANT USAGE ON SCHEMA centralcloud, pgmq TO cc_blind")
    execute(database_url, "GRANT ALL ON ALL TABLES IN SCHEMA centralcloud, pgmq TO cc_blind")
    execute(database_url, "GRANT EXECUTE ON FUNCTION centralcloud.current_experiments TO cc_blind")
    registry = CollectorRegistry()
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user="cc_blind")
        with (
            psycopg.connect(database_url, application_name="report") as idle,
            Database(url, application_name="blind") as blind,
        ):
            idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            idle.execute("SELECT 1 FROM routing_records")
            results = {result.check: result for result in examine(blind, Expectations())}
            assert results["oldest snapshot"].verdict == Verdict.WARN
            assert f"process {idle.info.backend_pid}, report" in results["oldest snapshot"].found

            collector = TableMetricsCollector(blind, interval_seconds=5, registry=registry)
            collector.run_once()
            seen_at = time.monotonic()

            def age() -> float:
                collector.run_once()
                return registry.get_sample_value("centralcloud_oldest_snapshot_age_seconds") or 0.0

            eventually(lambda: age() > 0.2)
            assert age() <= time.monotonic() - seen_at + 0.2
            idle.rollback()
            assert age() == 0.0
    finally:
        execute(database_url, "DROP OWNED BY cc_blind; DROP ROLE cc_blind")


def test_missing_privileges_are_found_and_keep_the_daemon_from_starting(database_url: str) -> None:
    execute(database_url, "DROP ROLE IF EXISTS cc_doctor; CREATE ROLE cc_doctor LOGIN PASSWORD 'doctor'")
    execute(
        database_url,
        """
        GRANT USAGE ON SCHEMA centralcloud TO cc_doctor;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO cc_doctor;
        GRANT SELECT ON centralcloud.schema_revision, centralcloud.schema_compatibility TO cc_doctor
        """,
    )
    execute(database_url, "GRANT USAGE ON SCHEMA pgmq TO cc_doctor")
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user="cc_doctor", password="doctor")
        result = run_command("centralcloud", "doctor", "--json", env={"DATABASE_URL": url})
        checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
        assert (result.returncode, checks["privileges"]["verdict"]) == (1, "FAIL")
        assert "INSERT on routing_records" in checks["privileges"]["found"]
        result = run_command("centralcloud", "run", env={"DATABASE_URL": url})
        assert result.returncode == 1
        assert "privileges: missing: INSERT on routing_records" in result.stderr
    finally:
        execute(database_url, "DROP OWNED BY cc_doctor; DROP ROLE cc_doctor")


def test_one_missing_privilege_on_one_table_is_found(database_url: str) -> None:
    """For example after a migration that created a table, when `grants --apply` was not run."""
    roles = ("--worker-role", "cc_w", "--instance-role", "cc_i", "--dashboard-role", "cc_d")
    try:
        assert (
            run_command("centralcloud", "grants", "--apply", *roles, env={"DATABASE_URL": database_url}).returncode == 0
        )
        execute(database_url, "ALTER ROLE cc_w PASSWORD 'w'")
        worker = {"DATABASE_URL": psycopg.conninfo.make_conninfo(database_url, user="cc_w", password="w")}

        def privileges() -> str:
            lines = run_command("centralcloud", "doctor", env=worker).stdout.splitlines()
            return next(line for line in lines if "privileges: " in line)

        assert privileges() == "OK    privileges: all required privileges are granted"
        execute(
            database_url, "REVOKE EXECUTE ON FUNCTION centralcloud.own_instances, centralcloud.is_too_large FROM cc_w"
        )
        assert privileges().startswith("OK"), "functions that run as their owner call these"
        execute(database_url, "REVOKE INSERT ON learning_runs FROM cc_w")
        assert privileges() == "FAIL  privileges: missing: INSERT on learning_runs"
        execute(database_url, "GRANT INSERT ON learning_runs TO cc_w; REVOKE SELECT ON evidence_of_records FROM cc_w")
        assert privileges() == "FAIL  privileges: missing: SELECT on evidence_of_records", (
            "a view, which the learner reads"
        )
        execute(database_url, "REVOKE SELECT ON task_classifiers FROM cc_w")
        assert summarize_error(run_command("centralcloud", "classifier", env=worker)).startswith(
            "centralcloud: this login lacks a right: permission denied for table task_classifiers: "
            "`centralcloud grants --apply`, as the owner of the tables, gives each role its rights"
        )
        execute(
            database_url, "GRANT SELECT ON evidence_of_records TO cc_w; REVOKE ALL ON learning_runs, findings FROM cc_w"
        )
        assert "SELECT on findings" in privileges()
        result = run_command("centralcloud", "run", env=worker)
        assert (result.returncode, "Traceback" in result.stderr) == (1, False)
        assert "privileges: missing: DELETE on findings" in result.stderr
    finally:
        execute(database_url, "DROP OWNED BY cc_w, cc_i, cc_d; DROP ROLE cc_w, cc_i, cc_d")


#: Every privilege that a role was granted itself, as the words of REVOKE and as the doctor names it.
_GRANTED = """
    SELECT privilege_type, kind, name FROM (
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name, relacl AS acl
        FROM pg_class
        UNION ALL SELECT 'FUNCTION', oid::regprocedure::text, proacl FROM pg_proc
        UNION ALL SELECT 'SCHEMA', nspname, nspacl FROM pg_namespace
    ) AS object CROSS JOIN LATERAL aclexplode(acl) WHERE grantee = %s::regrole
    ORDER BY kind, name, privilege_type
"""
#: Functions of centralcloud that workers and commands call; others are for instances, or run as their owner.
_CALLED = [
    "ensure_partitions",
    "drop_expired_partition",
    "publish_decision",
    "publish_decisions",
    "add_metrics",
    "add_dropped_metrics",
    "epoch",
    "sequence_positions",
    "repair_sequences",
    "settle_feedback",
    "notify_decisions",
    "queue_summary",
    "current_experiments",
    "set_experiment_stage",
]
#: Functions of pgmq that workers call, and that these call.
_CALLED_IN_PGMQ = [
    "read",
    "pop",
    "archive",
    "send",
    "send_batch",
    "_send_batch",
    "_validate_batch_params",
    "format_table_name",
]


#: Tables of the specification that are views: workers do not read them, operators do.
_OF_OPERATORS = ["routing_policies", "model_selections", "cost_budgets"]


def is_used_by_workers(kind: str, name: str) -> bool:
    if kind != "FUNCTION":
        return not name.startswith("dashboard_") and name not in _OF_OPERATORS
    schema, function = name.split("(")[0].split(".")
    return function in (_CALLED_IN_PGMQ if schema == "pgmq" else _CALLED)


def test_every_privilege_of_a_worker_that_is_revoked_is_named(database: Database, database_url: str) -> None:
    roles = Roles(
        worker="cc_named_w",
        instance="cc_named_i",
        dashboard="cc_named_d",
        gateway="cc_named_g",
        configurator="cc_named_c",
        operator="cc_named_o",
    )
    apply_roles(database, roles, OPERATOR)
    kinds: Counter[str] = Counter()
    try:
        with psycopg.connect(database_url) as connection:
            for privilege, kind, name in connection.execute(_GRANTED, (roles.worker,)).fetchall():
                with connection.transaction(force_rollback=True):
                    connection.execute(f"REVOKE {privilege} ON {kind} {name} FROM {roles.worker}, PUBLIC")
                    of_the_role = missing_privileges(connection, roles.worker)
                    with pytest.raises(GrantsError) if of_the_role else nullcontext() as refused:
                        _check_rights(connection, [], instances=[], worker=roles.worker)
                    connection.execute(f"SET LOCAL ROLE {roles.worker}")
                    missing = missing_privileges(connection)
                shown = f"{kind.lower()} {name}" if kind in ("SCHEMA", "SEQUENCE") else name
                expected = [f"{privilege} on {shown}"] if is_used_by_workers(kind, name) else []
                assert missing == of_the_role == expected
                assert all(each in str(refused and refused.value) for each in expected), (
                    "grants looks for the same rights as the doctor"
                )
                kinds[kind] += len(expected)
    finally:
        execute(database_url, f"DROP OWNED BY {', '.join(roles.names)}")
        execute(database_url, f"DROP ROLE {', '.join(roles.names)}")
    assert kinds.keys() == {"TABLE", "SEQUENCE", "FUNCTION", "SCHEMA"}
    assert kinds["TABLE"] > 4 * 20
