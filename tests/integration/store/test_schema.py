"""Migrations: from an empty database to the newest schema and back, by several at once, never on a newer schema."""

import random
import subprocess
import sys
import warnings
from datetime import UTC, datetime

import alembic.command
import psycopg
import pytest
from pgmq.install import get_embedded_install_sql
from support.commands import run_command, start_command
from support.events import an_event, random_events, send
from support.history import pretend_all_came
from support.servers import embedded_folder, execute

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database
from centralcloud.store import schema
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import downgrade, migrate
from centralcloud.store.schema_revision import SchemaError, check_schema, migrations_folder
from centralcloud.store.slices import close_slice

_OWN_OBJECTS = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'centralcloud'::regnamespace
"""


@pytest.fixture
def empty(empty_url: str):
    with Database(empty_url, application_name="tests") as database:
        yield database


def test_an_empty_database_is_migrated_and_a_second_run_changes_nothing(empty: Database) -> None:
    first = migrate(empty)
    assert first.before is None
    assert migrate(empty) == (first.after, first.after)
    check_schema(empty)


def test_the_migrations_create_the_tables_that_the_code_declares(empty: Database) -> None:
    migrate(empty)
    ensure_partitions(empty)
    with warnings.catch_warnings(), schema._engine_connection(empty) as connection:
        alembic.command.check(schema._config(connection))  # raises when a migration is missing


def test_a_downgrade_to_empty_drops_everything_and_can_be_migrated_again(empty: Database, empty_url: str) -> None:
    migrate(empty)
    ensure_partitions(empty)
    downgrade(empty)
    assert execute(empty_url, _OWN_OBJECTS) == []
    with pytest.raises(SchemaError, match="run `centralcloud migrate`"):
        check_schema(empty)
    migrate(empty)
    check_schema(empty)


def test_a_downgrade_keeps_the_messages_in_the_queue(empty: Database, empty_url: str) -> None:
    migrate(empty)
    execute(empty_url, "SELECT pgmq.send('model_routing_decisions', '{}')")
    downgrade(empty)
    migrate(empty)
    assert execute(empty_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


def test_several_migrations_at_once_make_one_schema(empty: Database, empty_url: str) -> None:
    processes = [
        start_command("centralcloud", "migrate", env={"DATABASE_URL": empty_url}, log=subprocess.PIPE) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum("went from empty" in output for output in outputs) == 1
    check_schema(empty)


def test_a_database_that_is_too_new_is_refused_in_one_line(empty: Database, empty_url: str) -> None:
    migrate(empty)
    execute(empty_url, "UPDATE centralcloud.schema_revision SET version_num = '9999'")
    for command in (["migrate"], ["run"], ["drain"], ["scores"]):
        result = run_command("centralcloud", *command, env={"DATABASE_URL": empty_url})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert "9999, which is newer than this version" in line


def test_an_unmigrated_database_is_refused_in_one_line(empty_url: str) -> None:
    for command in (["run"], ["drain"], ["learn"], ["scores"], ["metrics"], ["publish", "-"]):
        result = run_command("centralcloud", *command, env={"DATABASE_URL": empty_url})
        assert result.returncode == 1, result.stderr
        (line,) = result.stderr.strip().splitlines()
        assert "run `centralcloud migrate`" in line


def test_pgmq_becomes_an_extension_where_the_server_offers_it(empty: Database, empty_url: str) -> None:
    if not execute(empty_url, "SELECT 1 FROM pg_settings WHERE name = 'extension_control_path'"):
        pytest.skip("only PostgreSQL 18 and newer can be offered an extension by a test")
    with embedded_folder() as folder:
        (folder / "extension").mkdir()
        control = "default_version = '1.13.0'\nrelocatable = false\nschema = pgmq\n"
        (folder / "extension" / "pgmq.control").write_text(control)
        (folder / "extension" / "pgmq--1.13.0.sql").write_text(get_embedded_install_sql())
        name = empty_url_name(empty_url)
        execute(empty_url, f"ALTER DATABASE {name} SET extension_control_path = '{folder}:$system'")
        if not execute(empty_url, "SELECT 1 FROM pg_available_extensions WHERE name = 'pgmq'"):
            pytest.skip("the server runs on another machine")
        migrate(empty)
        assert execute(empty_url, "SELECT extversion FROM pg_extension WHERE extname = 'pgmq'") == [("1.13.0",)]
        check_schema(empty)


def test_a_pgmq_that_cannot_pop_a_batch_is_refused(empty: Database, empty_url: str) -> None:
    execute(empty_url, "CREATE SCHEMA pgmq")
    execute(empty_url, "CREATE TABLE pgmq.meta (queue_name varchar)")
    with pytest.raises(SchemaError, match=r"older than 1\.6\.2"):
        migrate(empty)
    assert execute(empty_url, "SELECT to_regclass('public.routing_records')") == [(None,)]


def test_a_role_without_the_privilege_to_create_is_refused_in_one_line(empty: Database, empty_url: str) -> None:
    role = f"{empty_url_name(empty_url)}_reader"
    execute(empty_url, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        execute(empty_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        url = psycopg.conninfo.make_conninfo(empty_url, user=role, password="secret")
        result = run_command("centralcloud", "migrate", env={"DATABASE_URL": url})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert "permission denied" in line
    finally:
        execute(empty_url, f"DROP OWNED BY {role}")
        execute(empty_url, f"DROP ROLE {role}")


def empty_url_name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def test_the_command_line_of_alembic_works(empty: Database, empty_url: str) -> None:
    migrate(empty)
    alembic_command = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", "check"]
    result = subprocess.run(
        alembic_command, env={"DATABASE_URL": empty_url}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_partitions_are_created_ahead_once(database: Database, database_url: str) -> None:
    assert ensure_partitions(database, 8) == 0  # the template has them
    assert ensure_partitions(database, 10) == 2
    assert ensure_partitions(database, 10) == 0
    bounds = execute(
        database_url,
        """
        SELECT pg_get_expr(relpartbound, oid) FROM pg_class
        WHERE relispartition AND relname LIKE 'routing_records_2%' AND relkind = 'r' ORDER BY relname
        """,
    )
    assert len(bounds) == 11
    starts = [row[0].split("'")[1] for row in bounds]
    ends = [row[0].split("'")[3] for row in bounds]
    assert starts[1:] == ends[:-1], "there is no gap between the weeks"


def test_partitions_are_attached_while_an_ingest_transaction_is_open(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as ingest:
        ingest.execute(
            """
            INSERT INTO routing_records (timestamp, instance_id, complexity, model, provider, score, outcome, slice_no)
            VALUES (now(), 'i', 'simple', 'm', 'p', 1, 'routed', 1)
            """
        )
        assert ensure_partitions(database, 12) == 4
        ingest.rollback()


def test_a_downgrade_and_a_new_migration_lose_nothing(database: Database, database_url: str) -> None:
    """The database has dropped partitions, merged slices, an open slice, resends and dead letters."""
    rng = random.Random(9)
    for days_ago in (100, 60, 60, 0):
        linked = [an_event(decision_id=f"{days_ago}-{n}", outcome=o) for n in range(20) for o in ("routed", "success")]
        send(database_url, [*random_events(100, rng), *linked, linked[0], {"no": "event"}])
        drain(database, batch_size=50)
        if days_ago:
            close_slice(database)
            pretend_all_came(database_url, days_ago)
    Maintenance(database).run_once()  # drops, merges, and closes the last slice
    send(database_url, random_events(50, rng))
    drain(database, batch_size=50)
    assert verify(database).ok
    totals = """SELECT (SELECT sum(usage_count) FROM model_routing_metrics), sum(routed + successes + failures + blameless)
        FROM evidence"""
    ((usage, events),) = execute(database_url, totals)
    downgrade(database, "0001")
    assert execute(database_url, totals) == [(usage, events + 50)], "the evidence of the open slice is gathered"
    migrate(database)
    assert verify(database).differences == []
    close_slice(database)
    assert execute(database_url, totals) == [(usage, events + 50)]
    Maintenance(database).run_once()
    assert verify(database).differences == []
    assert verify(database).ledger["records_kept"] == 430


def run_migration_sql(url: str, name: str) -> None:
    execute(url, (migrations_folder() / "sql" / name).read_text())


def test_models_per_instance_count_decisions_as_the_metrics_do(database: Database, database_url: str) -> None:
    linked = [an_event(decision_id=str(n), outcome=o) for n in range(20) for o in ("routed", "success")]
    in_flight = [an_event(decision_id=f"in flight {n}") for n in range(3)]
    unlinked = [an_event(complexity=c, outcome=o) for c in ("simple", "complex") for o in ("routed", "failure")]
    one_event = [an_event(selected_model="other", outcome="success") for _ in range(7)]
    now = datetime.now(UTC).isoformat()
    events = [event | {"timestamp": now} for event in (*linked, *in_flight, *unlinked, *one_event)]
    send(database_url, [*events, events[0], an_event(decision_id="old")])
    drain(database, batch_size=10)
    run_migration_sql(database_url, "0007_views.sql")
    view = "SELECT instance_id, model, usage_count FROM dashboard_models_per_instance"
    assert execute(database_url, view) == [("singularity-1", "gpt-4o", 25), ("singularity-1", "other", 7)]
    metrics = "SELECT model_name, sum(usage_count)::int FROM model_routing_metrics GROUP BY 1 ORDER BY 1"
    assert execute(database_url, metrics) == [("gpt-4o", 25 + 1), ("other", 7)], "the old one is not of the last day"
    run_migration_sql(database_url, "0007_views_drop.sql")
    assert execute(database_url, view) == [("singularity-1", "gpt-4o", 47), ("singularity-1", "other", 7)]
