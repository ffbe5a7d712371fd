"""Least-privilege roles: each role may do its own work, and everything else is refused."""

import json
import re
import signal
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.fleet import Fleet
from support.grants import SPEAKING, a_login, event, learn_something, queued, refusal
from support.history import pretend_all_came
from support.operators import OPERATOR
from support.repository import REPOSITORY
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.grants import (
    apply_roles,
)
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice
from centralcloud.store.table_names import CONFIGURATION_TABLES
from centralcloud.store.tables import metadata


def test_an_instance_publishes_reads_scores_and_acknowledges(fleet: Fleet) -> None:
    learn_something(fleet)
    assert execute(fleet.instance, "SELECT centralcloud.publish_decision(%s)", (event(),))
    assert execute(fleet.instance, "SELECT centralcloud.publish_decisions(%s::jsonb[], true)", ([event("node-2")],))
    assert queued(fleet) == ["node-1", "node-2"]
    assert execute(fleet.instance, "SELECT score::text FROM centralcloud.current_scores()") == [("3.300",)]
    assert len(execute(fleet.instance, "SELECT * FROM centralcloud.score_updates_since(0)")) == 1
    execute(fleet.instance, "SELECT centralcloud.acknowledge('node-1', 1), centralcloud.epoch()")
    assert execute(fleet.admin, "SELECT instance_id, applied_version FROM instances") == [("node-1", 1)]


@pytest.mark.parametrize(
    "forbidden",
    [
        *[f"SELECT count(*) FROM {table}" for table in metadata.tables],
        "SELECT * FROM dashboard_success_rates",
        "SELECT * FROM centralcloud.schema_revision",
        "UPDATE model_scores SET score = 5",
        "DELETE FROM model_score_history",
        "INSERT INTO model_routing_metrics (model_name, complexity_level) VALUES ('m', 'simple')",
        "INSERT INTO score_pins (model_name, complexity_level, score) VALUES ('m', 'simple', 5)",
        "INSERT INTO instance_logins VALUES (session_user, 'node-2')",
        "SELECT nextval('model_score_version')",
        "SELECT * FROM pgmq.q_model_routing_decisions",
        "SELECT * FROM pgmq.q_model_score_updates",
        "UPDATE pgmq.q_model_score_updates SET message = '{}'",
        "DELETE FROM pgmq.q_model_score_updates",
        "SELECT pgmq.pop('model_routing_decisions', 1)",
        "SELECT pgmq.read('model_score_updates', 30, 1)",
        "SELECT pgmq.send('model_score_updates', '{}')",
        "SELECT pgmq.send('model_routing_decisions', '{}')",
        "SELECT pgmq.purge_queue('model_routing_decisions')",
        "SELECT pgmq.create('mine')",
        "CREATE TABLE mine (n int)",
        "CREATE TABLE centralcloud.mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE FUNCTION public.hashtext(unknown) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SELECT centralcloud.ensure_partitions(1)",
        "SELECT centralcloud.drop_expired_partition('0 days')",
        "SELECT centralcloud.own_instances()",
        "SELECT centralcloud.configuration_since(0)",
        "SELECT centralcloud.lock_configuration()",
        "SELECT centralcloud.write_configuration(0, '[]', 'a', 'cli', 'b')",
        "SELECT centralcloud.report_model_health('m', '{}', 60)",
        "SELECT centralcloud.refuse_instance('a', 'b', '{c}')",
        "ALTER FUNCTION centralcloud.epoch() RENAME TO mine",
        "LOCK TABLE routing_records IN ACCESS SHARE MODE",
    ],
)
def test_every_other_statement_of_an_instance_is_refused(shared_fleet: Fleet, forbidden: str) -> None:
    assert "denied" in refusal(shared_fleet.instance, forbidden) or "must be owner" in refusal(
        shared_fleet.instance, forbidden
    )


def test_the_daemon_works_as_a_worker(fleet: Fleet, start) -> None:
    """It ingests, publishes a score and drops an expired partition. Its role owns nothing; the owner is not a superuser."""
    with Database(fleet.owner, application_name="tests") as database:
        send(fleet.owner, outcomes(5, 5))
        drain(database, batch_size=100)
        close_slice(database)
    pretend_all_came(fleet.owner, 100)
    with Database(fleet.owner, application_name="tests") as database:  # records expire by the newest arrival
        send(fleet.owner, [an_event("i-2", outcome="routed")])
        drain(database, batch_size=100)
    old = "SELECT count(*) FROM routing_records WHERE created_at < now() - interval '90 days'"
    assert execute(fleet.admin, old) == [(10,)]
    newest = newest_partition(fleet)
    execute(fleet.owner, f"DROP TABLE {newest}")
    daemon = start(
        "centralcloud", "run", DATABASE_URL=fleet.worker, CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.3",
        CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="1", CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1",
    )  # fmt: skip
    daemon.wait_for("started")
    send(fleet.owner, [*outcomes(100, 0, complexity_score=3.0), {"no": "event"}])
    eventually(lambda: execute(fleet.admin, "SELECT score FROM model_scores"), what="a learned score")
    daemon.wait_for("partition_dropped")
    assert execute(fleet.admin, old) == [(0,)]
    eventually(lambda: execute(fleet.admin, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)])
    assert newest_partition(fleet) == newest, "made again"
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname LIKE 'routing_records_2%%'"
    assert execute(fleet.admin, owners) == [(f"{fleet.name}_owner",)]
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=10) == 0
    assert "background_task_failed" not in daemon.events()


def newest_partition(fleet: Fleet) -> str:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass ORDER BY 1"
    return str(execute(fleet.admin, query)[-1][0])


def test_a_worker_runs_every_command_of_operators(fleet: Fleet, tmp_path: Path) -> None:
    env = {"DATABASE_URL": fleet.worker}
    learn_something(fleet)
    learn_something(fleet)
    (tmp_path / "events.jsonl").write_text(event() + "\n")
    send(fleet.owner, [{"no": "event"}, {"no": "event either"}])
    for command in (
        ["publish", str(tmp_path / "events.jsonl")],
        ["drain"],
        ["learn", "--dry-run"],
        ["scores", "rollback", "--to", "1"],
        ["scores", "pin", "gpt-4o", "complex", "4.5"],
        ["scores", "unpin", "gpt-4o", "complex"],
        ["scores", "--compare"],
        ["evaluate", "--against", "1", "--switch", "1"],
        ["scores", "explain", "gpt-4o", "complex"],
        ["scores", "history"],
        ["freeze", "--reason", "a test"],
        ["unfreeze"],
        ["metrics"],
        ["dead-letters", "list"],
        ["dead-letters", "replay", "1"],
        ["dead-letters", "discard", "2"],
        ["queue", "--seconds", "0.1"],
        ["queue", "purge", "--older-than", "0s", "--yes"],
        ["verify", "--scores"],
    ):
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == 0, (command, result.stderr)
    execute(fleet.admin, "UPDATE model_routing_metrics SET success_count = success_count + 7")
    execute(fleet.admin, "DELETE FROM evidence")
    assert run_command("centralcloud", "verify", env=env).returncode == 1
    assert run_command("centralcloud", "verify", "--repair", env=env).returncode == 0
    verified = run_command("centralcloud", "verify", "--json", env=env)
    assert json.loads(verified.stdout)["ok"]
    assert json.loads(verified.stdout)["checked"]["purged"] == 1


def test_a_worker_cannot_migrate_or_change_logins(fleet: Fleet) -> None:
    result = run_command("centralcloud", "migrate", env={"DATABASE_URL": fleet.worker})
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "permission denied" in line
    for forbidden in (
        "INSERT INTO instance_logins VALUES ('x', 'y')",
        "CREATE TABLE mine (n int)",
        "ALTER TABLE routing_records ADD COLUMN mine int",
        "DROP TABLE evidence",
        "TRUNCATE evidence",
        "UPDATE centralcloud.schema_revision SET version_num = '1'",
        "SELECT pgmq.drop_queue('model_score_updates')",
        "SELECT centralcloud.lock_configuration()",
        "SELECT centralcloud.write_configuration(0, '[]', 'a', 'cli', 'b')",
        "SELECT centralcloud.report_model_health('m', '{}', 60)",
        "SELECT centralcloud.configuration_since(0)",
        "SELECT count(*) FROM configuration_entries",
        "SELECT count(*) FROM configuration_history",
        *[f"DELETE FROM {table}" for table in CONFIGURATION_TABLES],
        *[f"UPDATE {table} SET {metadata.tables[table].columns.keys()[0]} = NULL" for table in CONFIGURATION_TABLES],
    ):
        assert refusal(fleet.worker, forbidden)


def test_a_superuser_can_forbid_locks_and_large_objects_to_all_but_workers(fleet: Fleet) -> None:
    """The statement of the page."""
    page = (REPOSITORY / "docs/how-to/least-privilege.md").read_text()
    (statement,) = re.findall(r"^DO \$\$\n.*?^END \$\$;", page, re.DOTALL | re.MULTILINE)
    ((owner,),) = execute(fleet.admin, "SELECT current_user::text")
    for written, name in (("centralcloud_worker", fleet.roles.worker), ("centralcloud_owner", owner)):
        statement = statement.replace(f"'{written}'", f"'{name}'")
    execute(fleet.admin, statement)
    for forbidden in (
        "pg_advisory_lock(1)",
        "pg_try_advisory_xact_lock_shared(1)",
        "lo_create(0)",
        "lo_from_bytea(0, 'x')",
    ):
        assert "denied" in refusal(fleet.dashboard, f"SELECT {forbidden}")
    assert execute(fleet.worker, "SELECT pg_try_advisory_xact_lock(1)") == [(True,)]


def test_a_dashboard_compares_scores_and_may_not_value_them_by_the_log(fleet: Fleet) -> None:
    learn_something(fleet)
    env = {"DATABASE_URL": fleet.dashboard}
    compared = run_command("centralcloud", "scores", "--compare", env=env)
    assert compared.returncode == 0, compared.stderr
    assert "Success by the log: not known, permission denied for table routing_records" in compared.stdout
    assert json.loads(run_command("centralcloud", "scores", "--compare", "--json", env=env).stdout)["by_log"] is None
    refused = run_command("centralcloud", "evaluate", env=env)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert "permission denied for table routing_records" in line


def test_a_dashboard_reads_its_tables_and_views_and_writes_nothing(fleet: Fleet) -> None:
    learn_something(fleet)
    hidden = {"decision_ids", "database_generation", "ignored_values", "instance_logins", "waiting_feedback"}
    hidden |= {"configuration_entries", "configuration_history", "task_classifiers", "task_classifier_choices"}
    hidden.add("experiment_sessions")
    in_parts = {"routing_records": "extra", "dead_letters": "message", "feedback": "comment"}
    readable = {"feedback": "request_id"}
    for table in metadata.tables:
        if table in hidden:
            assert "denied" in refusal(fleet.dashboard, f"SELECT count(*) FROM {table}")
        else:
            execute(
                fleet.dashboard, f"SELECT count({readable.get(table, 'id') if table in in_parts else '*'}) FROM {table}"
            )
        assert "denied" in refusal(fleet.dashboard, f"DELETE FROM {table}")
    for table, column in in_parts.items():
        assert "denied" in refusal(fleet.dashboard, f"SELECT {column} FROM {table}")
    for view in ("models_per_instance", "success_rates", "response_times", "hourly_performance"):
        execute(fleet.dashboard, f"SELECT * FROM dashboard_{view}")
    assert execute(fleet.dashboard, "SELECT messages, capped FROM centralcloud.queue_summary()") == [(0, False)]
    for forbidden in (
        "INSERT INTO fleet_minutes (minute) VALUES (now())",
        "UPDATE fleet_minutes SET ingested = 0",
        "SELECT centralcloud.set_model_status(0, 'm', 'active', 'a', 'web', 'b')",
        "SELECT centralcloud.notify_decisions()",
        "SELECT pgmq.metrics('model_routing_decisions')",
        "INSERT INTO score_pins (model_name, complexity_level, score) VALUES ('m', 'simple', 5)",
        "SELECT centralcloud.publish_decision('{}')",
        "SELECT centralcloud.acknowledge('i', 0)",
        "SELECT * FROM pgmq.q_model_routing_decisions",
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "SELECT lo_import('/etc/hostname')",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT * FROM learning_control FOR UPDATE",
        f"SET ROLE {fleet.roles.worker}",
    ):
        assert "denied" in refusal(fleet.dashboard, forbidden)
    # In words that differ from version to version.
    assert refusal(fleet.dashboard, "COPY (SELECT 1) TO PROGRAM 'true'")
    shown = run_command("centralcloud", "scores", "--json", env={"DATABASE_URL": fleet.dashboard})
    assert json.loads(shown.stdout)[0]["score"] == 3.3


def test_only_the_owner_creates_objects_in_the_schema_public(bare: Fleet) -> None:
    """PostgreSQL 14 allows it to every role; the owner, who had only that right, keeps it."""
    execute(bare.admin, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    with Database(bare.owner, application_name="tests") as database:
        assert apply_roles(database, bare.roles, OPERATOR).warnings == []
    bare.let_in(bare.roles.instance)
    assert refusal(bare.instance, "CREATE TABLE mine (n int)")
    execute(bare.owner, "CREATE TABLE mine (n int)")


def test_locks_can_be_forbidden_to_instances_as_the_page_says(fleet: Fleet) -> None:
    """A lock with the name of that of ingest would block ingest."""
    page = (REPOSITORY / "docs/how-to/least-privilege.md").read_text()
    (block,) = re.findall(r"<<'END'\n(.*?)^END\n", page, re.DOTALL | re.MULTILINE)
    for name in ("worker", "owner"):
        block = block.replace(f"'centralcloud_{name}'", f"'{fleet.name}_{name}'")
    login = a_login(fleet, "node-1")
    lock = "SELECT pg_advisory_lock(hashtext('centralcloud.slice'))"
    execute(login, lock)
    with psycopg.connect(fleet.admin) as connection:
        connection.execute(block)
    for shape in ("lock(1)", "lock_shared(1)", "xact_lock(1, 2)", "xact_lock_shared(1)"):
        assert refusal(login, f"SELECT pg_advisory_{shape}")
        assert refusal(login, f"SELECT pg_try_advisory_{shape}")
    execute(login, "SELECT pg_advisory_unlock_all()")  # some drivers do, between uses of a connection
    statement, parameters = SPEAKING[0]
    execute(login, statement, parameters)
    learn_something(fleet)
    assert run_command("centralcloud", "migrate", env={"DATABASE_URL": fleet.owner}).returncode == 0


def test_a_foreign_operator_does_not_run_as_the_owner(fleet: Fleet) -> None:
    """A login can create objects in the schema public where every role may, as on PostgreSQL 14."""
    login, role = a_login(fleet, "node-1"), f"{fleet.roles.instance}_node-1"
    execute(fleet.admin, f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"')
    with psycopg.connect(login) as connection:
        for left, right in (("varchar", "text"), ("varchar", "varchar"), ("name", "text"), ("oid", "regrole")):
            connection.execute(
                f"""
                CREATE FUNCTION public.mine({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
                CREATE OPERATOR public.= (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.mine)
                """
            )
    for statement, parameters in (*SPEAKING[::2], ("SELECT centralcloud.epoch(), centralcloud.current_scores()", None)):
        execute(login, statement, parameters)
    execute(login, "SELECT centralcloud.score_updates_since(0)")
    assert refusal(login, *SPEAKING[1])
