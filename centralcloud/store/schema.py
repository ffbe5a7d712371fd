"""Bringing a database to the schema of this version, and refusing to work on any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
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
from pgmq.install import get_embedded_install_sql, get_embedded_sql_version

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_outage, retry_on_contention, summarize_error
from centralcloud.store.tables import metadata

_SCHEMA: Final = "centralcloud"
_REVISION_TABLE: Final = "schema_revision"
_SMALLEST_PGMQ: Final = "1.6.2"
#: A migration that waits longer for a lock starts again: behind it, whoever takes events in waits as well.
_LOCK_WAIT: Final = "3s"
_KNOWS: Final = """
    SELECT to_regclass('centralcloud.schema_revision') IS NOT NULL,
        to_regclass('centralcloud.schema_compatibility') IS NOT NULL
"""
#: What revisions before 0004 know of themselves.
_REVISION_ALONE: Final = "SELECT version_num, NULL FROM centralcloud.schema_revision"
_REVISION_AND_OLDEST_CODE: Final = """
    SELECT version_num, (SELECT oldest_revision FROM centralcloud.schema_compatibility WHERE revision = version_num)
    FROM centralcloud.schema_revision
"""


class SchemaError(CentralCloudError):
    """The database's schema does not fit this version of the code."""


class Migration(NamedTuple):
    """What `migrate` did: the revisions before (None for an empty database) and after."""

    before: str | None
    after: str


class _Known(NamedTuple):
    """The revisions that this code has migrations for."""

    revisions: frozenset[str]
    newest: str

    def refusal_of(self, revision: str) -> SchemaError:
        return SchemaError(
            f"the database is at revision {revision}, which is newer than this version of CentralCloud "
            f"(up to {self.newest}): install the newer version"
        )


@cache  # what a running program knows does not change when its files are replaced
def _known_to_this_code(migrations_folder: Path) -> _Known:
    script = ScriptDirectory.from_config(_config(folder=migrations_folder))
    return _Known(frozenset(known.revision for known in script.walk_revisions()), str(script.get_current_head()))


def migrate(database: Database, revision: str = "head") -> Migration:
    """Bring `database` to the newest schema, pgmq included, in one transaction.

    Safe to run twice and by two at once: the second waits for the first and finds nothing to do. Safe beside workers at
    work: when one of its locks does not come soon, it lets go of the others and starts again, some times.

    Raises:
        SchemaError: the database is newer than this code, pgmq is too old, or a right is missing.
        psycopg.OperationalError: the database is away, or somebody holds a lock for long.
    """
    try:
        return retry_on_contention(lambda: _upgrade(database, revision))
    except psycopg.Error as error:
        if is_outage(error):
            raise
        raise SchemaError(f"the database refuses the migration, and is as it was: {summarize_error(error)}") from None


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back to `revision`; ``base`` removes every table of ours. The queues and pgmq stay."""
    with _engine_connection(database) as connection:
        alembic.command.downgrade(_config(connection), revision)


def check_schema(database: Database) -> str:
    """Make sure that this code may run on `database`: it has the schema of this version, or a newer one that says so.

    Returns:
        The database's revision.

    Raises:
        SchemaError: it has none, an older one, or one that is too new; the line says what to do.
    """
    known = _known_to_this_code(_migrations_folder())
    with database.transaction() as connection:
        revision, oldest_code = _read_revision(connection)
    if revision is None:
        raise SchemaError("the database has no schema yet: run `centralcloud migrate`")
    if revision not in known.revisions and oldest_code not in known.revisions:
        raise known.refusal_of(revision)
    if revision in known.revisions and revision != known.newest:
        raise SchemaError(
            f"the database is at revision {revision}, this version needs {known.newest}: run `centralcloud migrate`"
        )
    return revision


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
    known = _known_to_this_code(_migrations_folder())
    if revision is not None and revision not in known.revisions:
        raise known.refusal_of(revision)
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
    """Write down which code may run on the schema as it is now: what the newest migration says, else its own alone."""
    revision = _revision(connection)
    exists = "SELECT to_regclass('centralcloud.schema_compatibility') IS NOT NULL"
    if revision is None or not connection.exec_driver_sql(exists).scalar_one():
        return
    migration = ScriptDirectory.from_config(_config()).get_revision(revision)
    oldest_code = getattr(migration.module if migration else None, "oldest_code", revision)
    connection.exec_driver_sql(
        """
        INSERT INTO centralcloud.schema_compatibility AS known (revision, oldest_revision)
        VALUES (%(revision)s, %(oldest_code)s)
        ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision, oldest_revision = excluded.oldest_revision
        WHERE (known.revision, known.oldest_revision) <> (excluded.revision, excluded.oldest_revision)
        """,
        {"revision": revision, "oldest_code": oldest_code},
    )


def _is_ours(_object: Any, name: str | None, kind: str, reflected: bool, _compare_to: Any) -> bool:
    """Leaves partitions, and tables of other applications in the same database, out of Alembic's comparison."""
    return not (kind == "table" and reflected and name not in metadata.tables)


def _config(connection: sqlalchemy.Connection | None = None, folder: Path | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder or _migrations_folder()).replace("%", "%%"))
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
    _run_script(connection, f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
    return _revision(connection)


def _revision(connection: sqlalchemy.Connection) -> str | None:
    migration = MigrationContext.configure(
        connection, opts={"version_table": _REVISION_TABLE, "version_table_schema": _SCHEMA}
    )
    return migration.get_current_revision()


def _read_revision(connection: psycopg.Connection[Any]) -> tuple[str | None, str | None]:
    """The database's revision, and the oldest whose code may run on it; None where it says nothing."""
    has_revision, has_compatibility = connection.execute(_KNOWS).fetchone() or (False, False)
    if not has_revision:
        return None, None
    query = _REVISION_AND_OLDEST_CODE if has_compatibility else _REVISION_ALONE
    revision, oldest_code = connection.execute(query).fetchone() or (None, None)
    return revision, oldest_code


def _ensure_pgmq(connection: sqlalchemy.Connection) -> None:
    """Install pgmq when it is not there: as an extension if the server offers it, else by its SQL. Under the lock."""
    installed, offered = connection.exec_driver_sql(
        """
        SELECT to_regclass('pgmq.meta') IS NOT NULL, EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq')
        """
    ).one()
    if not installed:
        _run_script(connection, "CREATE EXTENSION pgmq CASCADE" if offered else _pgmq_install_sql())
    usable = connection.exec_driver_sql("SELECT to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL").scalar_one()
    if not usable:
        raise SchemaError(
            f"the database's pgmq is older than {_SMALLEST_PGMQ} (it cannot pop a batch): upgrade it first"
        )


def _pgmq_install_sql() -> str:
    """pgmq's own SQL, and its version in a comment: nothing else would tell an upgrade where to begin."""
    return f"""{get_embedded_install_sql()}
        ;COMMENT ON SCHEMA pgmq IS 'pgmq {get_embedded_sql_version()}, installed by its SQL'"""


def _run_script(connection: sqlalchemy.Connection, script: str) -> None:
    """Run statements that SQLAlchemy should not look into, in the connection's transaction."""
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, psycopg.Connection)
    driver_connection.execute(script.encode())
