"""Everything through pgbouncer in transaction mode: no LISTEN, no session, any server connection for each transaction."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support.load import has_newest_scores, load
from support.programs import Program
from support.servers import embedded_folder, execute
from support.waiting import eventually

StartProgram = Callable[..., Program]

_CONFIGURATION = """\
[databases]
pooled = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = {folder}/log
"""


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The URL of the database through pgbouncer, which has four server connections for all clients."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian's package pgbouncer)")
    target = {"host": "/var/run/postgresql", **conninfo_to_dict(database_url)}
    server = " ".join(
        f"{name}={target[name]}" for name in ("host", "port", "dbname", "user", "password") if name in target
    )
    with embedded_folder() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (folder / "pgbouncer.ini").write_text(_CONFIGURATION.format(server=server, port=port, folder=folder))
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # pgbouncer refuses to be root; the server's own user can reach its socket
            socket_folder = Path(target["host"])
            owner = socket_folder.owner() if socket_folder.exists() else "nobody"
            as_user = {"user": owner, "group": pwd.getpwnam(owner).pw_gid}
            shutil.chown(folder, owner)
        process = subprocess.Popen([program, "-q", folder / "pgbouncer.ini"], **as_user)
        url = make_conninfo(host="127.0.0.1", port=port, dbname="pooled", user=target["user"])
        try:
            eventually(lambda: execute(url, "SELECT 1") == [(1,)], what="pgbouncer")
            yield url
        finally:
            process.terminate()
            process.wait()


def test_through_pgbouncer_in_transaction_mode(
    start_worker: StartProgram, start_agent: StartProgram, database_url: str, pooled_url: str
) -> None:
    worker, agent = start_worker(pooled_url), start_agent(pooled_url)
    with load(database_url, decisions=6000):
        pass
    eventually(lambda: has_newest_scores(database_url))
    for program in (worker, agent):
        assert program.process.poll() is None
        assert "database_unavailable" not in program.events()


def test_neighbours_behind_a_pooler_change_nothing_and_are_left_alone(
    start_worker: StartProgram, database_url: str, pooled_url: str
) -> None:
    """The four server connections belong to every client in turn."""
    theirs = "SET search_path = nowhere; SET statement_timeout = '60s'; SET default_transaction_read_only = on"
    shown = ("search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def neighbours() -> list[tuple[str, ...]]:
        """Use every server connection at the same time, and return what each has."""
        with ExitStack() as open_now:
            clients = [open_now.enter_context(psycopg.connect(pooled_url)) for _ in range(3)]
            return [tuple(client.execute(f"SHOW {name}").fetchone()[0] for name in shown) for client in clients]

    with ExitStack() as open_now:
        clients = [open_now.enter_context(psycopg.connect(pooled_url)) for _ in range(4)]
        for client in clients:
            client.execute(theirs)
        for client in clients:
            client.commit()
    worker = start_worker(pooled_url)
    with load(database_url, decisions=2000):
        pass
    eventually(lambda: execute(database_url, "SELECT count(*) > 0 FROM model_scores") == [(True,)])
    assert set(neighbours()) <= {("nowhere", "1min", "0", "0"), ('"$user", public', "0", "0", "0")}
    assert worker.process.poll() is None
    assert "database_unavailable" not in worker.events()
