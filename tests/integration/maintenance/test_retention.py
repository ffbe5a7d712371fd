"""Retention: old rows and partitions go, and every lifetime count stays."""

import random

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.events import an_event, outcomes, random_events
from support.history import pretend_all_came
from support.maintenance import arrive_now, counters, ingest, maintain, records
from support.servers import execute

from centralcloud.administration.instances import list_instances
from centralcloud.administration.verification import verify
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance import maintenance
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.monitoring.daemon_activity import read_daemon_activity
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice


def test_old_partitions_are_dropped_and_every_lifetime_count_stays(database: Database, database_url: str) -> None:
    rng = random.Random(1)
    linked = [an_event(decision_id=str(n), outcome=o, input_tokens=7) for n in range(20) for o in ("routed", "success")]
    for days_ago in (120, 100, 30):
        ingest(database, database_url, [*random_events(200, rng), *linked])
        close_slice(database)
        pretend_all_came(database_url, days_ago)
        linked = [an_event(decision_id=f"{days_ago}-{n}", outcome="failure") for n in range(20)]
    ingest(database, database_url, random_events(50, rng))
    close_slice(database)
    before = counters(database)
    assert verify(database).differences == []
    maintain(database, records_days=90)
    assert records(database_url) == 270
    assert counters(database) == before
    verification = verify(database)
    assert verification.differences == []
    assert verification.ledger["records_dropped"] == 460
    assert verification.ledger["records"] == 730


@pytest.mark.parametrize("days", [400, pytest.param(4000, marks=pytest.mark.soak)])
def test_without_retention_records_are_kept_forever(database: Database, database_url: str, days: int) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, days)
    maintain(database, records_days=0)
    assert records(database_url) == 10


def test_records_whose_evidence_is_not_gathered_yet_are_not_dropped(database: Database, database_url: str) -> None:
    """Even if the learner has not run for long: maintenance gathers the evidence first."""
    ingest(database, database_url, outcomes(60, 60))
    pretend_all_came(database_url, 100)
    arrive_now(database, database_url)
    with database.transaction() as connection:
        assert connection.execute("SELECT * FROM centralcloud.drop_expired_partition('90 days')").fetchall() == []
    maintain(database, records_days=90)
    assert records(database_url) == 1
    assert execute(database_url, "SELECT sum(successes)::int, sum(failures)::int FROM evidence") == [(60, 60)]
    (change,) = Learner(database, [ThresholdRule()]).learn().changes
    assert change.based_on_samples == 120


def test_a_drop_that_a_reader_blocks_waits_for_the_next_run(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 100)
    arrive_now(database, database_url)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM routing_records")
        maintain(database, records_days=90)
        assert records(database_url) == 11
        ingest(database, database_url, outcomes(1, 0))  # neither blocks nor waits
    assert verify(database).differences == []
    maintain(database, records_days=90)
    assert records(database_url) == 2
    assert verify(database).differences == []


def test_expired_rows_are_deleted(database: Database, database_url: str) -> None:
    ingest(database, database_url, [an_event(decision_id=str(number)) for number in range(30)])
    execute(
        database_url,
        """
        UPDATE decision_ids SET created_at = now() - interval '8 days' WHERE decision_id < '2';
        INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, reason, field, resolution, resolved_at)
        SELECT 'q', n, now(), 'r', 'f', CASE WHEN n > 1 THEN 'discarded' END, now() - n * interval '20 days'
        FROM generate_series(1, 3) AS n;
        INSERT INTO ingest_workers (host, process, batch_size, seen_at)
        SELECT 'h', 'p', 1, now() - n * interval '20 hours' FROM generate_series(1, 3) AS n;
        SELECT pgmq.send('model_score_updates', '{}');
        UPDATE pgmq.q_model_score_updates SET enqueued_at = now() - interval '31 days';
        """,
    )
    maintain(database)
    counts = """SELECT (SELECT count(*) FROM decision_ids), (SELECT count(*) FROM dead_letters),
        (SELECT count(*) FROM ingest_workers), (SELECT count(*) FROM pgmq.q_model_score_updates)"""
    assert execute(database_url, counts) == [(18, 1, 1, 0)]


def test_partitions_are_dropped_under_any_date_style_and_time_zone(database_url: str) -> None:
    url = make_conninfo(database_url, options="-c datestyle=SQL,DMY -c timezone=Asia/Jakarta")
    with Database(url, application_name="tests") as database:
        ingest(database, database_url, outcomes(5, 5))
        close_slice(database)
        pretend_all_came(database_url, 100)
        arrive_now(database, database_url)
        Maintenance(database, weeks_ahead=20).run_once()
    assert records(database_url) == 1


def test_old_score_history_and_runs_are_deleted_but_never_those_of_a_current_score(
    database: Database, database_url: str
) -> None:
    learner = Learner(database, [ThresholdRule()])
    for _ in range(3):  # the first two versions are replaced
        ingest(database, database_url, outcomes(100, 0, complexity_score=2.0))
        learner.learn()
    learner.learn()
    everything = """SELECT (SELECT array_agg(version ORDER BY version) FROM model_score_history),
        (SELECT array_agg(run_id ORDER BY run_id) FROM learning_runs)"""
    ((versions, runs),) = execute(database_url, everything)
    assert (len(versions), len(runs)) == (3, 4)
    execute(database_url, "UPDATE learning_runs SET finished_at = finished_at - interval '2 days'")
    maintain(database)
    assert execute(database_url, everything) == [(versions, runs[:3])], "the run that published nothing is deleted"
    execute(database_url, "UPDATE learning_runs SET finished_at = finished_at - interval '500 days'")
    execute(database_url, "UPDATE model_score_history SET created_at = created_at - interval '500 days'")
    maintain(database, score_history_days=600)
    assert execute(database_url, everything) == [(versions, runs[:3])]
    maintain(database)
    assert execute(database_url, everything) == [(versions[2:], runs[2:3])]


def test_instances_that_were_not_seen_for_long_are_removed_a_limited_number_a_round(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of them a round here. One that comes back registers again, and its outcomes have stayed."""
    monkeypatch.setattr(maintenance, "_MOST_INSTANCES", 100)
    ingest(database, database_url, [an_event("old-1", outcome="success")])
    execute(
        database_url,
        """
        INSERT INTO instances (instance_id, applied_version, first_seen_at, last_seen_at)
        SELECT 'old-' || n, 7, now() - interval '90 days', now() - interval '60 days' FROM generate_series(1, 500) AS n;
        INSERT INTO instances (instance_id, applied_version, last_seen_at) VALUES ('new', 7, now() - interval '29 days')
        """,
    )
    maintain(database, instances_days=61)
    assert execute(database_url, "SELECT count(*) FROM instances") == [(501,)]
    for left in (401, 301, 201, 101, 1, 1):
        maintain(database)
        assert execute(database_url, "SELECT count(*) FROM instances") == [(left,)]
    execute(database_url, "SELECT centralcloud.acknowledge('old-1', 0)")
    with database.transaction() as connection:
        listed = {each["instance_id"]: each for each in list_instances(connection)}
    assert listed.keys() == {"new", "old-1"}
    assert listed["old-1"]["outcomes_last_24_hours"] == 1


def test_a_worker_that_was_last_seen_by_a_clock_that_was_ahead_is_removed(
    database: Database, database_url: str
) -> None:
    execute(
        database_url,
        """
        INSERT INTO ingest_workers (host, process, batch_size, seen_at)
        VALUES ('killed', 'p', 1, now() + interval '200 days'), ('runs', 'p', 1, now())
        """,
    )
    with database.transaction() as connection:
        assert read_daemon_activity(connection).running_workers == 1
    maintain(database)
    assert execute(database_url, "SELECT host FROM ingest_workers") == [("runs",)]
