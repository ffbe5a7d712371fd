"""The revision of a database's schema, and whether this code may run on it.

Without Alembic and SQLAlchemy, which only a migration needs: importing them takes longer than most commands.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

#: The files of the migrations; each name begins with its revision.
_MIGRATION_FILES: Final = "versions/[0-9]*_*.py"


class SchemaError(CentralCloudError):
    """The database's schema does not fit this version of the code."""


class _SchemaTables(NamedTuple):
    has_revision: bool
    has_compatibility: bool


class _SchemaRevision(NamedTuple):
    """The revision of a database, and the oldest whose code may run on it; None where the database does not say."""

    revision: str | None
    oldest_code: str | None


SCHEMA_TABLES: Final = Query(__package__, "schema_tables", row=_SchemaTables)
_SCHEMA_REVISION = Query(__package__, "schema_revision", row=_SchemaRevision)
_SCHEMA_REVISION_BEFORE_0004 = Query(__package__, "schema_revision_before_0004", row=_SchemaRevision)


class KnownRevisions(NamedTuple):
    """The revisions that this code has migrations for."""

    revisions: frozenset[str]
    newest: str

    def refusal_for(self, revision: str) -> SchemaError:
        """Return the error for a database at a `revision` that is not among them."""
        return SchemaError(
            f"the database is at revision {revision}, which is newer than this version of CentralCloud "
            f"(up to {self.newest}): install the newer version"
        )


@cache
def migrations_folder() -> Path:
    """Find the migrations: inside the installed package, or at the top of a source tree."""
    package = Path(str(files("centralcloud")))
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"


@cache  # an upgrade that replaces the files does not change what this process can run on
def known_revisions(folder: Path) -> KnownRevisions:
    """Return the revisions of the migrations in `folder`. They form one line, in the order of their numbers."""
    revisions = sorted(file.name.partition("_")[0] for file in folder.glob(_MIGRATION_FILES))
    return KnownRevisions(frozenset(revisions), revisions[-1])


def check_schema(database: Database) -> str:
    """Check that this code may run on `database`: its schema is that of this version, or a newer one that allows it.

    Returns:
        The revision of the database.

    Raises:
        SchemaError: the database has no schema, an older one, or one that is too new; the message says what to do.
    """
    known = known_revisions(migrations_folder())
    with database.transaction() as connection:
        revision, oldest_code = _read_revision(connection)
    if revision is None:
        raise SchemaError("the database has no schema yet: run `centralcloud migrate`")
    if revision not in known.revisions and oldest_code not in known.revisions:
        raise known.refusal_for(revision)
    if revision in known.revisions and revision != known.newest:
        raise SchemaError(
            f"the database is at revision {revision}, this version needs {known.newest}: run `centralcloud migrate`"
        )
    return revision


def _read_revision(connection: psycopg.Connection[Any]) -> _SchemaRevision:
    tables = SCHEMA_TABLES.one(connection)
    if not tables.has_revision:
        return _SchemaRevision(None, None)
    query = _SCHEMA_REVISION if tables.has_compatibility else _SCHEMA_REVISION_BEFORE_0004
    return query.maybe(connection) or _SchemaRevision(None, None)
