"""Commands of a database administrator on our tables, while events are sent and ingested."""

import logging
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support.load import load, records
from support.programs import Program
from support.servers import execute, programs_of
from support.waiting import eventually

StartWorker = Callable[..., Program]

log = logging.getLogger(__name__)

_QUEUE = "pgmq.q_model_routing_decisions"
_LOCKED = f"{_QUEUE}, accounting, decision_ids, routing_records, model_routing_metrics"
#: Each takes locks that ingest waits for, or reads for long. `{database}` is the name of the database.
_COMMANDS = (
    "VACUUM FULL",
    f"VACUUM (FREEZE, ANALYZE) {_QUEUE}",
    "REINDEX DATABASE {database}",
    "REINDEX DATABASE CONCURRENTLY {database}",
    "CLUSTER decision_ids USING decision_ids_pkey",
    "ALTER TABLE routing_records ADD COLUMN of_the_operator text DEFAULT 'x'",
    "ALTER TABLE routing_records ALTER COLUMN of_the_operator TYPE varchar(9)",
    "ALTER TABLE routing_records DROP COLUMN of_the_operator",
    f"ALTER TABLE {_QUEUE} SET (fillfactor = 70)",
    "CREATE INDEX of_the_operator ON routing_records (instance_id, timestamp)",
    "DROP INDEX of_the_operator",
)


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_maintenance_commands_under_ingest(
    start_worker: StartWorker, database_url: str, tmp_path: Path, rounds: int
) -> None:
    worker = start_worker(database_url)
    name = conninfo_to_dict(database_url)["dbname"]
    dump = [programs_of(database_url) / "pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}", database_url]
    with (
        load(database_url, decisions=None, pause_seconds=0.05) as producers,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        eventually(lambda: records(database_url) > 200, what="ingest in full swing")
        for _ in range(rounds):
            for command in _COMMANDS:
                run(connection, command.format(database=name))
            subprocess.run(dump, check=True, capture_output=True, text=True)
            before = records(database_url)
            eventually(lambda: records(database_url) > before, what="ingest after the commands")  # noqa: B023
        producers.enough()
    assert worker.process.poll() is None
    log.info("%d commands: %d confirmed, 0 lost, 0 doubled", rounds * (len(_COMMANDS) + 1), producers.confirmed)


def run(connection: psycopg.Connection, command: str) -> None:
    """Run a command; once more when the server chooses it to end a deadlock, as an administrator does."""
    for _ in range(5):
        try:
            connection.execute(command)
        except psycopg.errors.DeadlockDetected:
            continue
        return
    raise AssertionError(f"{command}: a deadlock each time")


@pytest.mark.parametrize("seconds", [2, pytest.param(25, marks=pytest.mark.soak)])
def test_an_exclusive_lock_is_waited_out(start_worker: StartWorker, database_url: str, seconds: int) -> None:
    """On every table of ingest, the queue too. The waits end by a timeout and are repeated; no connection is left behind."""
    worker = start_worker(database_url)
    connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with load(database_url, decisions=None, pause_seconds=0.05) as producers:
        eventually(lambda: records(database_url) > 200, what="ingest in full swing")
        with psycopg.connect(database_url) as blocker:
            lock(blocker, _LOCKED)
            before = records_seen_by(blocker)
            time.sleep(seconds)  # the length of the fault
            assert records_seen_by(blocker) == before, "ingest waits"
            ((most,),) = execute(database_url, connections)
        released_at = time.monotonic()
        eventually(lambda: records(database_url) > before, what="ingest again")
        again = time.monotonic() - released_at
        producers.enough()
    assert most < 30
    assert worker.process.poll() is None
    log.info("locked for %d s: %d confirmed, 0 lost, 0 doubled, %d connections, ingest again after %.1f s",
             seconds, producers.confirmed, most, again)  # fmt: skip


def lock(connection: psycopg.Connection, tables: str) -> None:
    """Lock them all; again when the server chooses this transaction to end a deadlock."""
    for _ in range(5):
        with suppress(psycopg.errors.DeadlockDetected):
            connection.execute(f"LOCK TABLE {tables}")
            return
        connection.rollback()
    raise AssertionError("a deadlock each time")


def records_seen_by(connection: psycopg.Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM routing_records").fetchall()
    return int(count)
