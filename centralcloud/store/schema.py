"""The schema: migrate a database to this version."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

import alembic.command
import alembic.op
import psycopg
import sqlalchemy
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pgmq.install import get_embedded_install_sql, get_embedded_sql_version
from psycopg import sql

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.deadline_connection import DeadlineConnection
from centralcloud.runtime.postgres.errors import is_outage, retry_on_contention, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.session import begin_pooled
from centralcloud.store import schema_revision
from centralcloud.store.rule_state_upgrade import check_rule_states, correct_rule_states
from centralcloud.store.schema_revision import SCHEMA_TABLES, SchemaError
from centralcloud.store.tables import metadata

_SCHEMA: Final = "centralcloud"
_REVISION_TABLE: Final = "schema_revision"
_SMALLEST_PGMQ: Final = "1.6.2"


class Migration(NamedTuple):
    """The revisions of a database before and after `migrate`; before is None for an empty database."""

    before: str | None
    after: str


class _PgmqState(NamedTuple):
    installed: bool
    offered: bool


_UPSERT_SCHEMA_COMPATIBILITY = Query(__package__, "upsert_schema_compatibility")
_LOCK_MIGRATIONS = Query(__package__, "lock_migrations")
_PGMQ_STATE = Query(__package__, "pgmq_state", row=_PgmqState)


def migrate(database: Database, revision: str = "head") -> Migration:
    """Migrate `database` to the newest schema, pgmq included, in one transaction.

    Safe to run twice, and by two processes at the same time: the second waits for the first and has nothing to do. Safe
    while workers run: when a lock is not available soon, the migration releases all its locks and starts again, a few times.

    Raises:
        SchemaError: the database is newer than this code, pgmq is too old, or a privilege is missing.
        psycopg.OperationalError: the database is unavailable, or another transaction has held a lock for too long.
    """
    try:
        return retry_on_contention(lambda: _upgrade(database, revision))
    except psycopg.Error as error:
        if is_outage(error):
            raise
        raise SchemaError(f"the migration failed and changed nothing: {summarize_error(error)}") from None


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back to `revision`; ``base`` drops all tables of CentralCloud. The queues and pgmq stay."""
    with _engine_connection(database) as connection:
        alembic.command.downgrade(_config(connection), revision)


def run_sql_file(name: str) -> None:
    """Run ``migrations/sql/<name>``, which may have many statements, inside a migration."""
    _run_script(alembic.op.get_bind(), _sql_file(name))


def grant_rights(table: str, *, functions: Sequence[str] = ()) -> None:
    """Grant the rights on a new table, and take new functions from PUBLIC and grant them to workers, inside a migration.

    Workers, which are known by a right that they have, may use both; roles that read the leases may read the table.
    """
    names = ", ".join(functions)
    to_workers = [f"SELECT, INSERT, UPDATE, DELETE ON {table}"]
    if functions:
        _run_script(alembic.op.get_bind(), f"REVOKE ALL ON FUNCTION {names} FROM PUBLIC")
        to_workers.append(f"EXECUTE ON FUNCTION {names}")
    script = sql.SQL(_sql_file("grant_rights.sql"))
    values = {"to_workers": sql.Literal(to_workers), "to_readers": sql.Literal([f"SELECT ON {table}"])}
    _run_script(alembic.op.get_bind(), script.format(**values).as_string(None))


@contextmanager
def connect_for_migrations(url: str) -> Iterator[sqlalchemy.Connection]:
    """Open a connection in a transaction, for Alembic's own command line."""
    with Database(url, application_name="centralcloud/migrate") as database, _engine_connection(database) as connection:
        yield connection


def configure_and_run(connection: sqlalchemy.Connection) -> None:
    """Run the migrations that Alembic was asked for over `connection`, for migrations/env.py."""
    revision = _locked_revision(connection)
    known = schema_revision.known_revisions(schema_revision.migrations_folder())
    if revision is not None and revision not in known.revisions:
        raise known.refusal_for(revision)
    check_rule_states(_driver_connection(connection), revision)
    _ensure_pgmq(connection)
    connection.dialect.supports_comments = False  # comments are in the SQL of the migrations only
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=_REVISION_TABLE,
        version_table_schema=_SCHEMA,
        include_object=_is_ours,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    correct_rule_states(_driver_connection(connection), revision, _revision(connection))
    _record_oldest_code(connection)


def _upgrade(database: Database, revision: str) -> Migration:
    try:
        with _engine_connection(database) as connection:
            config = _config(connection)
            before = _locked_revision(connection)
            alembic.command.upgrade(config, revision)
            return Migration(before, str(_revision(connection)))
    except sqlalchemy.exc.DBAPIError as error:
        raise error.orig if isinstance(error.orig, psycopg.Error) else error from None


def _record_oldest_code(connection: sqlalchemy.Connection) -> None:
    """Record the oldest revision whose code may run on this schema: as its migration declares, else its own."""
    revision = _revision(connection)
    if revision is None or not SCHEMA_TABLES.one(_driver_connection(connection)).has_compatibility:
        return
    migration = ScriptDirectory.from_config(_config()).get_revision(revision)
    oldest_code = getattr(migration.module if migration else None, "oldest_code", revision)
    _UPSERT_SCHEMA_COMPATIBILITY.run(_driver_connection(connection), {"revision": revision, "oldest_code": oldest_code})


def _is_ours(_object: Any, name: str | None, kind: str, reflected: bool, _compare_to: Any) -> bool:
    """Leave partitions, and tables of other applications in the same database, out of Alembic's comparison."""
    return not (kind == "table" and reflected and name not in metadata.tables)


def _config(connection: sqlalchemy.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema_revision.migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _engine_connection(database: Database) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=database.connect, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        begin_pooled(cast("DeadlineConnection", _driver_connection(connection)))
        yield connection


def _locked_revision(connection: sqlalchemy.Connection) -> str | None:
    """Wait until no other process migrates, and return the revision. No other migrates until this transaction ends."""
    _LOCK_MIGRATIONS.run(_driver_connection(connection))
    return _revision(connection)


def _revision(connection: sqlalchemy.Connection) -> str | None:
    migration = MigrationContext.configure(
        connection, opts={"version_table": _REVISION_TABLE, "version_table_schema": _SCHEMA}
    )
    return migration.get_current_revision()


def _ensure_pgmq(connection: sqlalchemy.Connection) -> None:
    """Install pgmq if it is missing: as an extension where the server offers it, else by its SQL.

    The caller holds the migration lock.
    """
    pgmq = _PGMQ_STATE.one(_driver_connection(connection))
    if not pgmq.installed:
        _run_script(connection, "CREATE EXTENSION pgmq CASCADE" if pgmq.offered else _pgmq_install_sql())
    usable = connection.exec_driver_sql("SELECT to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL").scalar_one()
    if not usable:
        raise SchemaError(
            f"the database's pgmq is older than {_SMALLEST_PGMQ} (it cannot pop a batch): upgrade it first"
        )


def _pgmq_install_sql() -> str:
    """The SQL that installs pgmq, with its version in a comment: an upgrade has no other way to find the version."""
    return f"""{get_embedded_install_sql()}
        ;COMMENT ON SCHEMA pgmq IS 'pgmq {get_embedded_sql_version()}, installed by its SQL'"""


def _sql_file(name: str) -> str:
    return (schema_revision.migrations_folder() / "sql" / name).read_text("utf-8")


def _run_script(connection: sqlalchemy.Connection, script: str) -> None:
    """Run statements that SQLAlchemy must not parse, in the connection's transaction."""
    _driver_connection(connection).execute(script.encode())


def _driver_connection(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, psycopg.Connection)
    return driver_connection
