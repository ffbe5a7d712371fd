"""A worker that is killed loses nothing and counts nothing twice. (The whole suite of faults is still to come.)"""

import json
import random
import signal

import pytest
from support.commands import run_command, start_command
from support.events import an_event
from support.servers import execute
from support.waiting import eventually

from centralcloud.runtime.database import Database

EVENTS = 30_000


@pytest.fixture
def events(database: Database) -> list[dict]:
    """Events on the queue; every second one has a decision id."""
    events = [an_event(outcome="success", **({"decision_id": f"d-{n}"} if n % 2 else {})) for n in range(EVENTS)]
    with database.transaction() as connection:
        texts = [json.dumps(event) for event in events]
        connection.execute("SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", (texts,))
    return events


def test_a_worker_killed_again_and_again_counts_every_event_once(events: list[dict], database_url: str) -> None:
    rng = random.Random(3)
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "500"}
    records = "SELECT count(*) FROM routing_records"
    for _ in range(6):
        before = execute(database_url, records)[0][0]
        worker = start_command("centralcloud", "drain", env=env)
        target = min(before + rng.randrange(1, 4000), EVENTS - 1)
        eventually(lambda: execute(database_url, records)[0][0] >= target or worker.poll() is not None)  # noqa: B023
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    result = run_command("centralcloud", "drain", env=env)
    assert result.returncode == 0, result.stderr
    assert execute(database_url, records) == [(EVENTS,)]
    assert execute(database_url, "SELECT usage_count, success_count FROM model_routing_metrics") == [(EVENTS, EVENTS)]
    assert execute(database_url, "SELECT sum(successes)::int FROM evidence") == [(EVENTS,)]
