"""Workers that are killed at any moment, alone or beside others."""

import random
from collections.abc import Callable

import pytest
from support.events import an_event, outcomes, send
from support.load import assert_all_ingested, load, queued, records
from support.programs import Program
from support.sabotage import DEADLY
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database

StartWorker = Callable[..., Program]


@pytest.mark.parametrize(
    ("kills", "fault"), [(8, "short_leases"), pytest.param(20, None, marks=pytest.mark.soak)], ids=["8", "20"]
)
def test_a_worker_killed_at_random_moments(
    start_worker: StartWorker, database_url: str, kills: int, fault: str | None
) -> None:
    rng = random.Random(7)
    with load(database_url, decisions=600 * kills, pause_seconds=0.02):
        for _ in range(kills):
            worker = start_worker(database_url, fault=fault)
            target = records(database_url) + rng.randrange(1, 300)
            eventually(lambda: records(database_url) >= target or not queued(database_url))  # noqa: B023
            worker.kill()
        start_worker(database_url, fault=fault)


def test_one_of_two_workers_killed(start_worker: StartWorker, database_url: str) -> None:
    """The other ingests the unfinished batch of the killed one at once: there is no lease to wait for."""
    with load(database_url, decisions=6000, pause_seconds=0.01, within_seconds=10):
        survivor, victim = start_worker(database_url), start_worker(database_url)
        eventually(lambda: records(database_url) > 1000)
        victim.kill()
    assert survivor.process.poll() is None


def test_the_fleet_by_the_minute_while_its_recorders_are_killed(start_worker: StartWorker, database_url: str) -> None:
    """Each event is counted once, and each minute has one row, whichever worker reads the fleet."""
    fault, counted = "frequent_fleet_minutes", "SELECT coalesce(sum(ingested), 0)::int FROM fleet_minutes"
    workers = [start_worker(database_url, fault=fault) for _ in range(2)]
    eventually(lambda: execute(database_url, "SELECT count(*) FROM fleet_minutes") != [(0,)])
    with load(database_url, decisions=4000, pause_seconds=0.02):
        for number in range(4):
            before = execute(database_url, counted)
            eventually(lambda: execute(database_url, counted) > before or not queued(database_url))  # noqa: B023
            workers[number % 2].kill()
            workers[number % 2] = start_worker(database_url, fault=fault)
    ledger = "SELECT records::int, successes::int, failures::int FROM accounting"
    minutes = "SELECT sum(ingested)::int, sum(successes)::int, sum(failures)::int FROM fleet_minutes"
    eventually(lambda: execute(database_url, minutes) == execute(database_url, ledger))
    ((outcomes_of_records,),) = execute(database_url, "SELECT count(*) FROM routing_records WHERE outcome = 'success'")
    assert execute(database_url, "SELECT successes FROM accounting") == [(outcomes_of_records,)]
    covered = "SELECT bool_and(counted_seconds BETWEEN 0 AND 61), count(*) = count(DISTINCT minute) FROM fleet_minutes"
    assert execute(database_url, covered) == [(True, True)]
    assert all(worker.process.poll() is None for worker in workers)


@pytest.mark.parametrize(
    "fault", ["deadly_message", pytest.param("deadly_message_and_the_whole_lease", marks=pytest.mark.soak)]
)
def test_a_message_that_kills_the_process(start_worker: StartWorker, database_url: str, fault: str) -> None:
    """It is attempted as often as allowed, recognized by its read_ct, and dead-lettered; then the worker keeps running."""
    send(database_url, [an_event(decision_id=f"before-{n}") for n in range(40)])
    send(database_url, [an_event(note=DEADLY)])
    send(database_url, [an_event(decision_id=f"after-{n}") for n in range(40)])
    starts = 0

    def supervise() -> bool:
        """Restart the worker when it has exited, as systemd does."""
        nonlocal starts, worker
        if worker is None or worker.process.poll() is not None:
            starts += 1
            worker = start_worker(database_url, fault=fault, CENTRALCLOUD_MAX_ATTEMPTS="2")
        return queued(database_url) == 0

    worker: Program | None = None
    eventually(supervise, within_seconds=90, what="the deadly message dead-lettered")
    assert starts == 4, "killed on the fast path once, and in each of two attempts"
    ((field, reason, message),) = execute(database_url, "SELECT field, reason, message FROM dead_letters")
    assert field == "message"
    assert "2 attempts did not finish" in reason
    assert DEADLY in message
    assert_all_ingested(database_url, 80, dead_letters=1)
    send(database_url, [an_event(decision_id="later")])
    assert_all_ingested(database_url, 81, dead_letters=1)
    assert worker is not None
    assert worker.process.poll() is None


@pytest.mark.parametrize("fault", ["learner_before_publishing", "learner_before_commit"])
def test_a_learner_killed_between_computing_and_publishing(
    start_worker: StartWorker, database: Database, database_url: str, fault: str
) -> None:
    """Evidence is consumed only when the scores are published: the next run finds it unchanged."""
    send(database_url, outcomes(100, 0, complexity_score=3.0))
    drain(database, batch_size=100)
    victim = start_worker(database_url, fault=fault)
    assert victim.process.wait(timeout=10) == -9
    assert execute(database_url, "SELECT count(*) FROM model_scores") == [(0,)]
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_score_updates") == [(0,)]
    (change,) = Learner(database, [ThresholdRule()]).learn().changes
    assert (change.based_on_samples, change.new_score) == (100, 3.3)
    assert verify(database).ok


def test_a_poison_message_that_makes_the_database_refuse_the_batch(
    start_worker: StartWorker, database_url: str
) -> None:
    execute(database_url, "ALTER TABLE routing_records ADD CONSTRAINT no_poison CHECK (model <> 'poison')")
    worker = start_worker(database_url, CENTRALCLOUD_MAX_ATTEMPTS="2")
    with load(database_url, dead_letters=5):
        for _ in range(5):
            send(database_url, [an_event(selected_model="poison")])
    assert worker.process.poll() is None
