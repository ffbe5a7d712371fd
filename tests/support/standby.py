"""Two servers with streaming replication: a primary, and a standby that can be promoted."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.embedded_installation import SERVER_USER, find_programs
from support.servers import OwnServer, embedded_folder, execute
from support.waiting import eventually

_NAME = "standby"


class Pair:
    """A primary and its standby, both running. Their databases are the same until the standby is promoted."""

    def __init__(self, primary: OwnServer, standby: OwnServer) -> None:
        self.primary = primary
        self.standby = standby

    def wait_until_replayed(self) -> None:
        """Wait until the standby has replayed everything that the primary has committed."""
        ((end,),) = execute(self.primary.url, "SELECT pg_current_wal_lsn()::text")
        replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        eventually(lambda: execute(self.standby.url, replayed, (end,)) == [(True,)], what="the replay on the standby")

    def disconnect(self) -> None:
        """Stop the replication: what the primary commits from now on is lost by a promotion."""
        _set(self.standby.url, "primary_conninfo", "")
        receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
        eventually(lambda: execute(self.standby.url, receivers) == [(0,)], what="the end of the replication")

    def commit_synchronously(self) -> None:
        """Let the primary confirm a commit only after the standby has it on disk."""
        _set(self.primary.url, "synchronous_standby_names", _NAME)
        state = "SELECT sync_state FROM pg_stat_replication"
        eventually(lambda: execute(self.primary.url, state) == [("sync",)], what="the synchronous standby")

    def commit_asynchronously(self) -> None:
        """Let the primary confirm a commit that the standby does not have yet, as servers do by default."""
        _set(self.primary.url, "synchronous_standby_names", "")

    def promote(self) -> None:
        """Promote the standby, and wait until it accepts writes. The primary keeps running until `primary.crash()`."""
        execute(self.standby.url, "SELECT pg_promote(wait => true)")
        eventually(lambda: execute(self.standby.url, "SELECT pg_is_in_recovery()") == [(False,)], what="the promotion")

    def follow(self) -> None:
        """After a failover: make the old primary, which was crashed, a standby of the new one."""
        old = self.primary
        shutil.rmtree(old.data)
        _copy(self.standby, old.data.parent)
        old.start()
        self.primary, self.standby = self.standby, old
        self.wait_until_replayed()

    def url(self, name: str) -> str:
        """Return the URL of a database with both hosts, of which libpq chooses the one that accepts writes."""
        hosts = [conninfo_to_dict(server.url)["host"] for server in (self.primary, self.standby)]
        return make_conninfo(
            self.primary.url, dbname=name, host=",".join(hosts), target_session_attrs="read-write", connect_timeout=2
        )


@contextmanager
def a_pair() -> Iterator[Pair]:
    """Start a primary and a standby that streams from it; both are removed at the end."""
    with embedded_folder() as first, embedded_folder() as second:
        primary = OwnServer(str(first))
        try:
            _copy(primary, second)
            standby = OwnServer(str(second))
            try:
                pair = Pair(primary, standby)
                pair.wait_until_replayed()
                yield pair
            finally:
                standby.stop()
        finally:
            primary.stop()


def _copy(primary: OwnServer, folder: Path) -> None:
    """Make the files of a standby in a folder, with the address of the primary in its settings."""
    data = folder / "postgresql"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(data, SERVER_USER, SERVER_USER)
    source = make_conninfo(primary.url, dbname="", application_name=_NAME)
    server = EmbeddedServer(folder, find_programs())
    server._run("pg_basebackup", "-d", source, "-D", data.name, "-R", "-c", "fast", "--no-sync")
    for lock in data.glob(".s.PGSQL.*"):  # of the socket of the primary, which is in its data folder
        lock.unlink()


def _set(url: str, name: str, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
