"""A PostgreSQL for the tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from centralcloud.runtime.embedded import EmbeddedServer
from support.waiting import eventually


@contextmanager
def a_server(url: str | None = None, image: str | None = None) -> Iterator[str]:
    """The server at `url`, else one in a container of `image`, else an embedded one."""
    if url:
        yield url
    elif image:
        with _container(image) as container_url:
            yield container_url
    else:
        with embedded_folder() as folder:
            server = EmbeddedServer.start(f"embedded:{folder}")
            try:
                yield server.uri
            finally:
                server.stop()


@contextmanager
def embedded_folder() -> Iterator[Path]:
    """A folder for an embedded server, which also root's server can reach. Removed at the end."""
    base = "/var/tmp" if os.geteuid() == 0 else None  # root's /tmp folders are closed to the server's own user
    folder = Path(tempfile.mkdtemp(prefix="centralcloud-tests-", dir=base))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class OwnServer:
    """A server of the test's own, to be crashed and started again."""

    def __init__(self, folder: str) -> None:
        self._url = f"embedded:{folder}"
        self._server = EmbeddedServer.start(self._url)
        self.url = self._server.uri

    def crash(self) -> None:
        """An immediate shutdown: no checkpoint, no goodbye to anybody; the next start recovers from the log."""
        self._server.kill()
        eventually(lambda: not self._server._runs())
        self._server.stop()

    def start(self) -> None:
        self._server = EmbeddedServer.start(self._url)

    def stop(self) -> None:
        self._server.stop()


def with_database(url: str, name: str) -> str:
    """`url` with another database."""
    return make_conninfo(url, dbname=name)


def execute(url: str, query: str, parameters: object = None) -> list[tuple]:
    """Run one statement in a transaction of its own, over a connection that is not the product's."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _container(image: str) -> Iterator[str]:
    testcontainers = pytest.importorskip("testcontainers.community.postgres")
    try:
        container = testcontainers.PostgresContainer(image, driver=None)
    except Exception as error:
        pytest.skip(f"no Docker here: {error}")
    with container:
        yield container.get_connection_url()
