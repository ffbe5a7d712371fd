"""The next migration, run while older workers run: they go on, or stop if the migration declares them too old."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.fleet import a_fleet
from support.load import load, records
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.runtime.postgres.database import Database
from centralcloud.store import schema_revision
from centralcloud.store.schema import downgrade, migrate
from centralcloud.store.schema_revision import SchemaError, check_schema
from centralcloud.store.slices import References

#: The newest revision that exists, and the next one, which these tests make up.
_NEWEST = schema_revision.known_revisions(schema_revision.migrations_folder()).newest
_NEXT = f"{int(_NEWEST) + 1:04d}"
#: Key of the advisory lock that the test holds and the migration waits for, in its slow part.
_GATE = 5_000_005
_MIGRATION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "{revision}", "{newest}", None, None
{oldest_code}

def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = 0")
    op.execute("SELECT pg_advisory_xact_lock({gate})")  # may take long: it blocks no worker
    op.execute("SET LOCAL lock_timeout = '{lock_timeout}'")
    op.execute("ALTER TABLE routing_records ADD COLUMN region varchar")
    op.execute("CREATE INDEX idx_routing_records_region ON routing_records (region) WHERE region IS NOT NULL")
    op.execute("SELECT pg_sleep({pause})")  # ingest waits now, and tries again

def downgrade() -> None:
    op.execute("ALTER TABLE routing_records DROP COLUMN region")
"""


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this process the next version, with one more migration. Programs that are started are of the current version."""

    def release_one(oldest_code: str | None, *, pause: float = 0, lock_timeout: str = "3s") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(schema_revision.migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
        declared = f'oldest_code = "{oldest_code}"' if oldest_code else ""
        text = _MIGRATION.format(
            revision=_NEXT, newest=_NEWEST, oldest_code=declared, gate=_GATE, pause=pause, lock_timeout=lock_timeout
        )
        (folder / "versions" / f"{_NEXT}_next.py").write_text(text)
        monkeypatch.setattr(schema_revision, "migrations_folder", lambda: folder)

    return release_one


@pytest.fixture
def gate(database_url: str) -> Iterator[psycopg.Connection]:
    """Open a transaction that keeps the migration in its slow part until it ends."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_GATE,))
        yield connection


def wait_for_ingest(url: str, by: int = 200) -> None:
    """Wait until `by` more events are ingested."""
    before = records(url)
    eventually(lambda: records(url) >= before + by, what="the ingest of events")


def test_a_worker_runs_and_restarts_while_the_next_migration_runs(
    database: Database, database_url: str, release: Callable[..., None], gate: psycopg.Connection, start
) -> None:
    release(_NEWEST, pause=1)
    settings = {
        "DATABASE_URL": database_url, "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1", "CENTRALCLOUD_BATCH_SIZE": "100",
        "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.5",
    }  # fmt: skip
    worker = start("centralcloud", "run", **settings)
    worker.wait_for("started")
    migration = threading.Thread(target=migrate, args=(database,))
    with load(database_url, decisions=None, pause_seconds=0.1, within_seconds=60) as producers:
        wait_for_ingest(database_url)
        migration.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
        eventually(lambda: execute(database_url, waiting, (_GATE,)), what="the slow part of the migration")
        wait_for_ingest(database_url)
        worker.kill()
        second = start("centralcloud", "run", **settings)
        second.wait_for("started")
        wait_for_ingest(database_url)
        assert migration.is_alive()
        gate.commit()
        migration.join(30)
        assert not migration.is_alive()
        wait_for_ingest(database_url)
        second.wait_for("schema_upgraded")
        second.process.terminate()
        assert second.process.wait(timeout=10) == 0
        third = start("centralcloud", "run", **settings)
        third.wait_for("started")
        wait_for_ingest(database_url)
        producers.enough()
    assert execute(database_url, "SELECT version_num FROM centralcloud.schema_revision") == [(_NEXT,)]
    assert "background_task_failed" not in worker.events() + second.events() + third.events()
    for command in (["metrics"], ["learn"], ["verify"]):
        assert run_command("centralcloud", *command, env={"DATABASE_URL": database_url}).returncode == 0
    downgrade(database, _NEWEST)
    assert verify(database).ok


@pytest.mark.parametrize("oldest_code", [_NEXT, None])
def test_a_worker_that_the_migration_declares_too_old_stops_and_cannot_be_restarted(
    database: Database, database_url: str, release: Callable[..., None], start, oldest_code: str | None
) -> None:
    """A migration that does not mention older code declares it too old."""
    worker = start("centralcloud", "run", DATABASE_URL=database_url)
    worker.wait_for("started")
    release(oldest_code)
    migrate(database)
    assert check_schema(database) == _NEXT, "the next version runs"
    assert worker.process.wait(timeout=20) == 1
    refusal = f"the database is at revision {_NEXT}, which is newer than this version of CentralCloud (up to {_NEWEST})"
    log = worker._log_path.read_text()
    assert refusal in log.splitlines()[-1]
    assert "Traceback" not in log, "an operator can fix it"
    for command in (["run"], ["drain"], ["scores"], ["migrate"]):
        result = run_command("centralcloud", *command, env={"DATABASE_URL": database_url})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert refusal in line


def test_code_that_is_newer_than_the_schema_waits_for_the_migration(database: Database, database_url: str) -> None:
    downgrade(database, "0003")
    for command in (["run"], ["drain"], ["scores"]):
        result = run_command("centralcloud", *command, env={"DATABASE_URL": database_url})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert f"is at revision 0003, this version needs {_NEWEST}: run `centralcloud migrate`" in line


def test_compatibility_recorded_for_another_revision_is_ignored(database: Database, database_url: str) -> None:
    """For example after a migration by another tool, which does not record which code may run."""
    recorded = "SELECT revision, oldest_revision FROM centralcloud.schema_compatibility"
    assert execute(database_url, recorded) == [(_NEWEST, "0003")]
    execute(database_url, "UPDATE centralcloud.schema_revision SET version_num = %s", (_NEXT,))
    with pytest.raises(SchemaError, match="newer than this version"):
        check_schema(database)


def test_a_migration_that_a_reader_blocks_gives_up_and_changes_nothing(
    database: Database, database_url: str, release: Callable[..., None]
) -> None:
    release(_NEWEST, lock_timeout="0.3s")
    send(database_url, outcomes(10, 0))
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM routing_records")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(database)
        assert drain(database, batch_size=100).result.records == 10
        reader.commit()
    assert migrate(database) == (_NEWEST, _NEXT)
    send(database_url, [an_event()])
    assert drain(database, batch_size=100).result.records == 1


def test_a_fleet_goes_on_by_the_rule_of_its_last_run_after_the_upgrade(
    database: Database, database_url: str, start
) -> None:
    """Revision 0006 has fleet settings in the database: the environment of a new daemon does not change the rule."""
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    Learner(database, [AdaptiveRule(), ThresholdRule()], references=References(latency_ms=7000)).learn()
    downgrade(database, "0005")
    assert migrate(database) == ("0005", _NEWEST)
    stored = "SELECT name, value FROM fleet_settings ORDER BY name"
    assert execute(database_url, stored) == [
        ("reference.cost_usd", 0.01), ("reference.latency_ms", 7000), ("rule", "adaptive"),
    ]  # fmt: skip
    runs = "SELECT count(*) FROM learning_runs WHERE rule = 'adaptive'"
    ((before,),) = execute(database_url, runs)
    daemon = start(
        "centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_RULE="threshold",
        CENTRALCLOUD_RETENTION_RECORDS_DAYS="33", CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.3",
    )  # fmt: skip
    daemon.wait_for("fleet_setting_differs")
    eventually(lambda: execute(database_url, runs)[0][0] > before + 1, what="runs by the rule of before")
    assert execute(database_url, "SELECT DISTINCT rule FROM learning_runs") == [("adaptive",)]
    assert ("retention.records_days", 33) in execute(database_url, stored), "what nothing tells is the environment's"


def test_an_installed_pgmq_records_its_version(database_url: str) -> None:
    ((comment,),) = execute(database_url, "SELECT obj_description('pgmq'::regnamespace)")
    assert comment.startswith("pgmq 1.")


def test_no_own_object_depends_on_what_an_upgrade_of_pgmq_drops(database_url: str) -> None:
    functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'centralcloud'::regnamespace"
    with psycopg.connect(database_url) as connection:
        before = connection.execute(functions).fetchone()
        connection.execute("DROP TYPE pgmq.message_record, pgmq.metrics_result, pgmq.queue_record CASCADE")
        connection.execute("DROP FUNCTION pgmq.format_table_name CASCADE")
        assert connection.execute(functions).fetchone() == before
        assert connection.execute("SELECT count(*) FROM dashboard_success_rates").fetchone() == (0,)
        connection.rollback()


#: The rights on every object of the product; each partition has those of its table's owner only.
_RIGHTS = """
    SELECT object, array_agg(acl::text ORDER BY acl::text) FROM (
        SELECT relnamespace AS namespace, oid::regclass::text AS object, unnest(relacl) AS acl FROM pg_class
        UNION ALL SELECT pronamespace, oid::regprocedure::text, unnest(proacl) FROM pg_proc
        UNION ALL SELECT oid, nspname, unnest(nspacl) FROM pg_namespace
        UNION ALL SELECT relnamespace, attrelid::regclass || '.' || attname, unnest(attacl)
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE NOT attisdropped
    ) AS granted
    WHERE namespace::regnamespace::text IN ('public', 'centralcloud', 'pgmq')
    GROUP BY object
"""


def test_every_role_has_the_same_rights_after_an_upgrade_as_in_a_new_database(server: str) -> None:
    """The roles of gateways, of the configuration and of operators are younger than the schema: `grants` makes them."""
    with a_fleet(server) as fleet, Database(fleet.owner, application_name="tests") as owner:
        later = tuple(f"{name}=" for name in (fleet.roles.gateway, fleet.roles.configurator, fleet.roles.operator))

        def rights() -> dict[str, list[str]]:
            rows = execute(fleet.admin, _RIGHTS)
            return {name: [each for each in granted if not each.startswith(later)] for name, granted in rows}

        new = rights()
        assert len(new) > 100
        downgrade(owner, "0008")
        migrate(owner)
        assert rights() == new
