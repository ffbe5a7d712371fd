"""The state of the fleet by the minute: exact, one row a minute, and nothing where nothing is known."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from support.events import an_event, outcomes, send
from support.ingest import ingest
from support.requests import a_request_id
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.daemon import Daemon
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.fleet_minutes import FleetMinuteRecorder
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings

COUNTS = "sum(ingested)::int, sum(successes)::int, sum(failures)::int, sum(blameless)::int, sum(cost_nano_usd)::bigint"
SUMS = f"SELECT {COUNTS} FROM fleet_minutes"
#: Moves every row into the past: `read_at` and minute by whole minutes.
AGE = "UPDATE fleet_minutes SET minute = minute - %(by)s::interval, read_at = read_at - %(by)s::interval"


@pytest.fixture
def recorder(database: Database) -> FleetMinuteRecorder:
    return FleetMinuteRecorder(database)


def rows(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM fleet_minutes ORDER BY minute").fetchall()


def costly(request: bool, **decision: Any) -> dict[str, Any]:
    return an_event(outcome="success", **({"request_id": a_request_id()} if request else {}), **decision)


def test_the_first_reading_has_the_states_and_no_counts(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(5, 1))
    send(database_url, [an_event(), an_event()])
    execute(database_url, "INSERT INTO instances (instance_id, applied_version) VALUES ('i', 0), ('k', 0)")
    execute(database_url, "UPDATE instances SET last_seen_at = now() - interval '2 days' WHERE instance_id = 'k'")
    recorder.run_once()
    (row,) = rows(database_url)
    assert (row["counted_seconds"], row["ingested"], row["successes"], row["cost_nano_usd"]) == (0, None, None, None)
    assert (row["queue_messages"], row["dead_letters"], row["instances"], row["instances_behind"]) == (2, 0, 1, 0)
    assert 0 < row["queue_oldest_seconds"] < 60


def test_events_between_two_readings_are_counted_once(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    recorder.run_once()
    blameless = an_event(outcome="failure", error_kind="caller")
    costs = [costly(False, cost_usd=0.1), costly(True, cost_nano_usd=7), costly(True, cost_usd=1e-9, cost_nano_usd=5)]
    broken = an_event(complexity="none of these")
    ingest(database, database_url, [*outcomes(30, 10), blameless, *costs, an_event(), broken])
    recorder.run_once()
    recorder.run_once()
    assert execute(database_url, SUMS) == [(45, 33, 10, 1, 100_000_012)]
    # Another process goes on where this one has stopped.
    ingest(database, database_url, outcomes(2, 1))
    recorder.on_stop()
    FleetMinuteRecorder(database).run_once()
    assert execute(database_url, SUMS) == [(48, 35, 11, 1, 100_000_012)]
    newest = rows(database_url)[-1]
    assert newest["dead_letters"] == 1
    assert sum(row["counted_seconds"] for row in rows(database_url)) < 60
    assert verify(database).ok, "the ledger's new columns are no difference"


def test_instances_that_lack_the_newest_scores_are_behind(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(100, 0, complexity_score=3.0))
    Learner(database, [ThresholdRule()]).learn()
    execute(database_url, "INSERT INTO instances SELECT 'i', max(version) FROM model_scores")
    execute(database_url, "INSERT INTO instances (instance_id, applied_version) VALUES ('k', 0)")
    recorder.run_once()
    assert [(row["instances"], row["instances_behind"]) for row in rows(database_url)] == [(2, 1)]


def test_an_operator_who_forgets_a_model_changes_no_count(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    """The lifetime counters of the pairs become fewer; those of the ledger do not."""
    ingest(database, database_url, outcomes(50, 0))
    recorder.run_once()
    ingest(database, database_url, outcomes(3, 4))
    execute(database_url, "DELETE FROM model_routing_metrics")
    recorder.run_once()
    assert execute(database_url, SUMS) == [(7, 3, 4, 0, 0)]


def test_a_minute_of_a_worker_that_counts_no_outcomes_has_no_counts(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    recorder.run_once()
    ingest(database, database_url, outcomes(5, 5))
    execute(database_url, "UPDATE accounting SET records = records + 10, taken = taken + 10")  # as revision 0024 does
    recorder.run_once()
    assert execute(database_url, SUMS) == [(None, None, None, None, None)]
    ingest(database, database_url, outcomes(2, 0))
    recorder.run_once()
    assert execute(database_url, SUMS) == [(2, 2, 0, 0, 0)], "from the next reading on"


def test_minutes_in_which_no_daemon_ran_are_missing(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    recorder.run_once()
    execute(database_url, AGE, {"by": "10 minutes"})
    ingest(database, database_url, outcomes(5, 5))
    recorder.on_stop()
    FleetMinuteRecorder(database).run_once()
    before, after = rows(database_url)
    assert after["minute"] - before["minute"] >= timedelta(minutes=10)
    assert (after["ingested"], after["counted_seconds"]) == (None, 0)
    ingest(database, database_url, outcomes(1, 0))
    FleetMinuteRecorder(database).run_once()
    assert execute(database_url, SUMS) == [(1, 1, 0, 0, 0)]


def test_a_row_of_a_clock_that_was_ahead_makes_way(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    recorder.run_once()
    execute(database_url, AGE, {"by": "-3 hours"})
    ingest(database, database_url, outcomes(5, 5))
    FleetMinuteRecorder(database).run_once()
    (row,) = rows(database_url)
    assert (row["minute"] <= datetime.now(UTC), row["ingested"]) == (True, None)


def test_a_clock_that_moved_beside_the_one_of_the_process_gives_no_counts(
    database: Database, database_url: str
) -> None:
    """The server's clock was set back by half a minute: it says that a minute took half a minute."""
    counted = [100.0]
    recorder = FleetMinuteRecorder(database, counted_seconds=lambda: counted[0])
    recorder.run_once()
    counted[0] += 30
    ingest(database, database_url, outcomes(5, 5))
    recorder.run_once()
    assert execute(database_url, SUMS) == [(None,) * 5]
    ingest(database, database_url, outcomes(1, 1))
    recorder.run_once()
    assert execute(database_url, SUMS) == [(2, 1, 1, 0, 0)]


def test_one_of_many_replicas_reads_the_fleet(database_url: str) -> None:
    """Another process would take the lease only when it has ended; one that waits for it writes nothing, too."""
    with Database(database_url, application_name="tests", max_connections=8) as database:
        FleetMinuteRecorder(database).run_once()
        ingest(database, database_url, outcomes(20, 10))
        execute(database_url, "UPDATE leases SET holder = 'another/1' WHERE name = 'fleet-minutes'")
        before = rows(database_url)
        FleetMinuteRecorder(database).run_once()
        assert rows(database_url) == before
        execute(database_url, "UPDATE leases SET expires_at = now() WHERE name = 'fleet-minutes'")
        replicas = [threading.Thread(target=FleetMinuteRecorder(database).run_once) for _ in range(6)]
        for replica in replicas:
            replica.start()
        for replica in replicas:
            replica.join()
    assert execute(database_url, SUMS) == [(30, 20, 10, 0, 0)]


def test_old_minutes_expire_by_the_setting(database: Database, database_url: str) -> None:
    days = "SELECT (extract(epoch FROM now() - minute) / 86400)::int FROM fleet_minutes ORDER BY 1"
    execute(
        database_url,
        """INSERT INTO fleet_minutes
        SELECT date_trunc('minute', now() - day * interval '1 day', 'UTC'), now(), 0, NULL, NULL, NULL, NULL, NULL,
            0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0
        FROM unnest(ARRAY[1, 13, 15, 30]) AS day""",
    )
    Maintenance(database, retention=Retention()).maintain()
    assert execute(database_url, days) == [(1,), (13,)]
    Maintenance(database, retention=Retention(fleet_minutes_days=2)).maintain()
    assert execute(database_url, days) == [(1,)]


def test_a_fleet_without_its_ledger_degrades_the_recorder_alone(database: Database, database_url: str) -> None:
    execute(database_url, "DELETE FROM accounting")
    settings = Settings(database_url=database_url, http_port=0, poll_interval_seconds=0.1)
    daemon = Daemon(settings, database, fleet_minute_seconds=0.2)
    recorder = next(task for task in daemon._supervisor._tasks if isinstance(task, FleetMinuteRecorder))
    daemon.start()
    try:
        eventually(lambda: recorder.degradation is not None)
        assert "accounting: found no row" in recorder.degradation.reason  # type: ignore[union-attr]
        execute(database_url, "INSERT INTO accounting DEFAULT VALUES")
        eventually(lambda: recorder.degradation is None and rows(database_url))
        send(database_url, outcomes(4, 0))
        eventually(lambda: execute(database_url, SUMS) == [(4, 4, 0, 0, 0)])
    finally:
        daemon.stop()


def test_a_long_queue_is_counted_up_to_a_bound(
    recorder: FleetMinuteRecorder, database: Database, database_url: str
) -> None:
    """By the primary key, also in a session that planned when the queue was empty."""
    summary = "SELECT messages, capped, visible, in_flight, delayed FROM centralcloud.queue_summary()"
    insert = "INSERT INTO pgmq.q_model_routing_decisions (vt, read_ct, enqueued_at, message) "
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute(summary).fetchall() == [(0, False, 0, 0, 0)]
        connection.execute(
            insert + "VALUES (now() + interval '1 hour', 0, now() - interval '9 hours', '{}'),"
            "(now() + interval '1 hour', 2, now() - interval '2 hours', '{}'), (now(), 0, now() - interval '1 hour', '{}')"
        )
        assert connection.execute(summary).fetchall() == [(3, False, 1, 1, 1)]
        ages = "SELECT oldest_age_seconds, oldest_waiting_seconds FROM centralcloud.queue_summary()"
        ((age, waited),) = connection.execute(ages).fetchall()
        assert (round(age / 3600), round(waited / 3600)) == (9, 2)
        connection.execute(insert + "SELECT now(), 0, now(), '{}' FROM generate_series(1, 100000)")
        assert connection.execute(summary).fetchall() == [(100_000, True, 99_999, 1, 1)]
    recorder.run_once()
    assert rows(database_url)[-1]["queue_messages"] == 100_000
