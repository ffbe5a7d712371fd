"""A PostgreSQL for the tests."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.embedded_installation import EmbeddedServerError, find_programs
from centralcloud.store.partitions import ensure_partitions
from support.waiting import eventually

_ENOUGH_MEMORY_BYTES = 4_000_000_000
_A_MONDAY = date(2024, 1, 1)
#: The week, counted from then, in which a template got its partitions.
_weeks_of_templates: dict[str, int] = {}


@contextmanager
def a_server(url: str | None = None, image: str | None = None) -> Iterator[str]:
    """Yield the server at `url`, else one in a container of `image`, else an embedded one."""
    if url:
        yield url
    elif image:
        with _container(image) as container_url:
            yield container_url
    else:
        with embedded_folder() as folder:
            server = EmbeddedServer.start(f"embedded:{folder}")
            try:
                _prefer_speed_to_safety(server.uri)
                yield server.uri
            finally:
                server.stop()


def _folder_in_memory() -> str | None:
    """Return a file system in memory, when it is large enough for a server: creating one waits seconds for a disk."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ENOUGH_MEMORY_BYTES else None


def _prefer_speed_to_safety(url: str) -> None:
    """Let the server write without waiting for the disk. It is removed after the tests; a crash has a server of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '256MB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def embedded_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """Create a folder for an embedded server, which the server of root can reach, too; remove it at the end.

    Args:
        on_disk: for a server whose writes must wait for the disk; else the folder is in memory where that is possible.
    """
    base = None if on_disk else _folder_in_memory()
    if base is None and os.geteuid() == 0:
        base = "/var/tmp"  # root's /tmp folders are closed to the server's own user
    folder = Path(tempfile.mkdtemp(prefix="centralcloud-tests-", dir=base))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_default_policies(url: str) -> None:
    """Empty the configuration of a new database, and the log of operators' actions, which has one row of the migrations."""
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE operator_actions DISABLE TRIGGER USER")
        connection.execute(
            "TRUNCATE configuration_entries, configuration_history, configuration_versions, operator_actions "
            "RESTART IDENTITY"
        )
        connection.execute("UPDATE configuration_state SET config_version = 0")
        connection.execute("ALTER TABLE operator_actions ENABLE TRIGGER USER")


class OwnServer:
    """A server of the test's own, to be crashed and started again."""

    def __init__(self, folder: str) -> None:
        self._url = f"embedded:{folder}"
        self._server = EmbeddedServer.start(self._url)
        self.url = self._server.uri

    @property
    def data(self) -> Path:
        """The folder of the server's files."""
        return self._server.data

    @property
    def running(self) -> bool:
        return self._server._is_running()

    def crash(self) -> None:
        """Shut down immediately: no checkpoint, no message to clients; the next start recovers from the log."""
        self._server.kill()
        eventually(lambda: not self._server._is_running())
        self._server.stop()

    def start(self) -> None:
        self._server = EmbeddedServer.start(self._url)

    def stop(self) -> None:
        self._server.stop()


def with_database(url: str, name: str) -> str:
    """Return `url` with another database."""
    return make_conninfo(url, dbname=name)


def ensure_weeks(server: str, template: str) -> None:
    """Create the partitions of the coming weeks in a database that will be copied, once in each week.

    Where a new week begins while the tests run, the copies would lack the last partition that the programs expect.
    """
    week = (datetime.now(UTC).date() - _A_MONDAY).days // 7
    if _weeks_of_templates.get(template) != week:
        with Database(with_database(server, template), application_name="tests") as database:
            ensure_partitions(database)
        _weeks_of_templates[template] = week


def compact_catalog(url: str) -> None:
    """Rewrite the tables of the system, in which migrations leave many dead rows: a copy is then made and read faster."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class "
            "WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared"
        ).fetchall()
        connection.execute(f"VACUUM (FULL, FREEZE) {', '.join(table for (table,) in tables)}")


def copy_database(connection: psycopg.Connection, template: str, name: str) -> None:
    """Create a database from a template. `name` may be followed by `OWNER` and a role."""
    # Copying the files is cheaper than writing each page to the log, too.
    strategy = "STRATEGY file_copy" if connection.info.server_version >= 15_00_00 else ""
    connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")


@contextmanager
def new_database(server: str, template: str) -> Iterator[str]:
    """A copy of a database: its URL. It is dropped at the end."""
    name = f"cc_test_{uuid.uuid4().hex[:8]}"
    if template in _weeks_of_templates:
        ensure_weeks(server, template)
    with psycopg.connect(server, autocommit=True) as connection:
        copy_database(connection, template, name)
        yield with_database(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, query: str, parameters: object = None) -> list[tuple]:
    """Run one statement in a transaction of its own, without the product's connection code."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []


def programs_of(url: str) -> Path:
    """Return the folder of pg_dump and the other programs of the server's major version."""
    ((major,),) = execute(url, "SELECT current_setting('server_version_num')::int / 10000")
    folders = [Path(f"/usr/lib/postgresql/{major}/bin")]
    with suppress(EmbeddedServerError):
        folders.insert(0, find_programs())
    for folder in folders:
        if all((folder / program).exists() for program in ("pg_dump", "pg_restore", "createdb", "psql")):
            version = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=True)
            if f" {major}." in version.stdout:
                return folder
    pytest.skip(f"no pg_dump and pg_restore of PostgreSQL {major} here")


@contextmanager
def _container(image: str) -> Iterator[str]:
    testcontainers = pytest.importorskip("testcontainers.community.postgres")
    try:
        container = testcontainers.PostgresContainer(image, driver=None)
    except Exception as error:
        pytest.skip(f"no Docker here: {error}")
    with container:
        yield container.get_connection_url()
