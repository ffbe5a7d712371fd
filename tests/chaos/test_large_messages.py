"""Messages close to the largest size, many of them: batches are bounded in bytes, so a worker's memory is, too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.events import an_event
from support.load import queued
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres.database import Database

StartWorker = Callable[..., Program]

#: A third each: text that PostgreSQL cannot compress, text that it compresses to a hundredth, and small objects, which take
#: twenty times as much memory in Python as their text. All below the limit of a message, 262,144 bytes.
_NOTES = (
    "to_jsonb((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 7500) AS n))",
    "to_jsonb(repeat('x', 240000))",
    "(SELECT jsonb_agg('{}'::jsonb) FROM generate_series(1, 60000))",
)
#: The shipped files allow a daemon 1 GiB. It takes about 110 MB without any message. With batches bounded in rows only, it
#: took 764 MB for 300 of these messages, and 2.5 GB for 3,000.
_PEAK_MB = 300


@pytest.mark.parametrize("events", [300, pytest.param(3000, marks=pytest.mark.soak)])
def test_a_backlog_of_the_largest_messages_takes_bounded_memory(
    start_worker: StartWorker, database: Database, database_url: str, events: int
) -> None:
    send_large(database_url, events)
    worker = start_worker(database_url, CENTRALCLOUD_BATCH_SIZE="")  # the default
    eventually(lambda: queued(database_url) == 0, within_seconds=30 + events / 10, what="an empty queue")
    assert peak_mb(worker) < _PEAK_MB
    assert worker.process.poll() is None
    verification = verify(database)
    assert verification.differences == []
    assert verification.ledger["records"] == events


def send_large(url: str, count: int) -> None:
    for note in _NOTES:
        execute(
            url,
            f"""
            WITH event AS MATERIALIZED (SELECT %s::jsonb || jsonb_build_object('note', {note}) AS message)
            INSERT INTO pgmq.q_model_routing_decisions (vt, message)
            SELECT clock_timestamp(), message FROM event, generate_series(1, %s)
            """,
            (json.dumps(an_event()), count // len(_NOTES)),
        )


def peak_mb(program: Program) -> float:
    """Return the most memory that a running program has had so far, in MiB."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
