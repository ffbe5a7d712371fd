"""Bringing a database to the schema of this version, and refusing to work on any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import alembic.command
import alembic.op
import psycopg
import sqlalchemy
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pgmq.install import get_embedded_install_sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.database import Database, is_outage, one_line
from centralcloud.store.tables import metadata

_SCHEMA: Final = "centralcloud"
_REVISION_TABLE: Final = "schema_revision"
_SMALLEST_PGMQ: Final = "1.6.2"


class SchemaError(CentralCloudError):
    """The database's schema does not fit this version of the code."""


class Migration(NamedTuple):
    """What `migrate` did: the revisions before (None for an empty database) and after."""

    before: str | None
    after: str


def migrate(database: Database, revision: str = "head") -> Migration:
    """Bring `database` to the newest schema, pgmq included, in one transaction.

    Safe to run twice and by two at once: the second waits for the first and finds nothing to do.

    Raises:
        SchemaError: the database is newer than this code, pgmq is too old, or a right is missing.
    """
    try:
        with _engine_connection(database) as connection:
            config = _config(connection)
            before = _locked_revision(connection)
            alembic.command.upgrade(config, revision)
            after = _revision(connection)
    except (sqlalchemy.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig else error
        if is_outage(cause):
            raise cause from None
        raise SchemaError(f"the database refuses the migration, and is as it was: {one_line(cause)}") from None
    return Migration(before, str(after))


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back to `revision`; ``base`` removes every table of ours. The queues and pgmq stay."""
    with _engine_connection(database) as connection:
        alembic.command.downgrade(_config(connection), revision)


def check_schema(database: Database) -> None:
    """Make sure that `database` has the schema of this version.

    Raises:
        SchemaError: it has none, an older or a newer one; the line says what to do.
    """
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with database.transaction() as connection:
        revision = _read_revision(connection)
    if revision is None:
        raise SchemaError("the database has no schema yet: run `centralcloud migrate`")
    if revision != newest:
        _refuse_newer(revision)
        raise SchemaError(
            f"the database is at revision {revision}, this version needs {newest}: run `centralcloud migrate`"
        )


def run_sql_file(name: str) -> None:
    """For migrations: run ``migrations/sql/<name>``, which may hold many statements."""
    _run_script(alembic.op.get_bind(), (_migrations_folder() / "sql" / name).read_text("utf-8"))


@contextmanager
def connect_for_migrations(url: str) -> Iterator[sqlalchemy.Connection]:
    """For Alembic's own command line: a connection in a transaction."""
    with Database(url, application_name="centralcloud/migrate") as database, _engine_connection(database) as connection:
        yield connection


def configure_and_run(connection: sqlalchemy.Connection) -> None:
    """For migrations/env.py: run the migrations that Alembic was asked for over `connection`."""
    revision = _locked_revision(connection)
    if revision is not None:
        _refuse_newer(revision)
    _ensure_pgmq(connection)
    connection.dialect.supports_comments = False  # comments stand in the migrations' SQL only
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


def _is_ours(_object: Any, name: str | None, kind: str, reflected: bool, _compare_to: Any) -> bool:
    """Leaves partitions, and tables of other applications in the same database, out of Alembic's comparison."""
    return not (kind == "table" and reflected and name not in metadata.tables)


def _config(connection: sqlalchemy.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _migrations_folder() -> Path:
    """Inside the installed package, or at the top of a source tree."""
    package = Path(str(files("centralcloud")))
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"


@contextmanager
def _engine_connection(database: Database) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=database.connect, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


def _locked_revision(connection: sqlalchemy.Connection) -> str | None:
    """The database's revision, once nobody else is migrating; nobody else will until this transaction ends."""
    _run_script(
        connection,
        """
        SET LOCAL search_path = public;
        SET LOCAL idle_in_transaction_session_timeout = 0;
        SELECT pg_advisory_xact_lock(hashtext('centralcloud.migrate'));
        CREATE SCHEMA IF NOT EXISTS centralcloud;
        """,
    )
    return _revision(connection)


def _revision(connection: sqlalchemy.Connection) -> str | None:
    migration = MigrationContext.configure(
        connection, opts={"version_table": _REVISION_TABLE, "version_table_schema": _SCHEMA}
    )
    return migration.get_current_revision()


def _read_revision(connection: psycopg.Connection[Any]) -> str | None:
    exists = connection.execute("SELECT to_regclass('centralcloud.schema_revision') IS NOT NULL").fetchone()
    if not exists or not exists[0]:
        return None
    row = connection.execute("SELECT version_num FROM centralcloud.schema_revision").fetchone()
    return str(row[0]) if row else None


def _refuse_newer(revision: str) -> None:
    script = ScriptDirectory.from_config(_config())
    if revision not in {known.revision for known in script.walk_revisions()}:
        raise SchemaError(
            f"the database is at revision {revision}, which is newer than this version of CentralCloud "
            f"(up to {script.get_current_head()}): install the newer version"
        )


def _ensure_pgmq(connection: sqlalchemy.Connection) -> None:
    """Install pgmq when it is not there: as an extension if the server offers it, else by its SQL. Under the lock."""
    installed, offered = connection.exec_driver_sql(
        """
        SELECT to_regclass('pgmq.meta') IS NOT NULL, EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq')
        """
    ).one()
    if not installed:
        _run_script(connection, "CREATE EXTENSION pgmq CASCADE" if offered else get_embedded_install_sql())
    usable = connection.exec_driver_sql("SELECT to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL").scalar_one()
    if not usable:
        raise SchemaError(
            f"the database's pgmq is older than {_SMALLEST_PGMQ} (it cannot pop a batch): upgrade it first"
        )


def _run_script(connection: sqlalchemy.Connection, script: str) -> None:
    """Run statements that SQLAlchemy should not look into, in the connection's transaction."""
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, psycopg.Connection)
    driver_connection.execute(script.encode())
