"""Partitions that are created and dropped during full ingest."""

import threading
import time
from collections.abc import Callable

from support.commands import run_command
from support.events import outcomes, send
from support.history import pretend_all_came
from support.load import Producers, queued
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice

StartProgram = Callable[..., Program]

_OLD = "SELECT count(*) FROM routing_records WHERE created_at < now() - interval '50 days'"
_PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'routing_records'::regclass"


def test_partitions_attached_and_dropped_under_full_ingest(
    start_worker: StartProgram, database: Database, database_url: str
) -> None:
    """Two workers ingest while eight old weeks are dropped and a year of new ones is created; no pause exceeds 5 seconds."""
    for days_ago in range(100, 156, 7):
        send(database_url, outcomes(30, 0))
        drain(database, batch_size=100)
        close_slice(database)
        pretend_all_came(database_url, days_ago)
    send(database_url, outcomes(1, 0))  # now: records expire by the newest arrival
    drain(database, batch_size=100)
    env = {"CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "60"}  # what runs at full speed here is ingest
    keep = env | {"CENTRALCLOUD_RETENTION_RECORDS_DAYS": "0"}  # stored as the fleet's setting by the first worker
    workers = [start_worker(database_url, **keep) for _ in range(2)]
    longest_pause = 0.0
    with Producers(database_url, events=None, pause_seconds=0.02) as producers:
        watching = threading.Event()

        def poll() -> None:
            nonlocal longest_pause
            taken, since = -1, time.monotonic()
            while not watching.is_set():
                now = execute(database_url, "SELECT taken FROM accounting")[0][0]
                if now != taken or not queued(database_url):
                    taken, since = now, time.monotonic()
                longest_pause = max(longest_pause, time.monotonic() - since)
                watching.wait(0.01)

        watcher = threading.Thread(target=poll)
        watcher.start()
        try:
            drop = ("settings", "set", "retention.records_days", "90")
            assert run_command("centralcloud", *drop, env={"DATABASE_URL": database_url}).returncode == 0
            rounds = env | {"CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS": "1"}  # one drops five partitions
            start_worker(database_url, "--no-ingest", CENTRALCLOUD_PARTITIONS_AHEAD_WEEKS="52", **rounds)
            eventually(lambda: execute(database_url, _OLD) == [(0,)] and execute(database_url, _PARTITIONS)[0][0] > 50)
            producers.enough()
        finally:
            watching.set()
            watcher.join()
    eventually(lambda: queued(database_url) == 0)
    verification = verify(database)
    assert verification.differences == []
    assert verification.ledger["records_dropped"] == 240
    assert verification.ledger["records_kept"] == producers.confirmed + 1
    assert longest_pause < 5
    assert [worker.process.poll() for worker in workers] == [None, None]
