"""Maintenance: evidence is merged as it ages, one replica works at a time, and no lifetime counter changes."""

import math
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from support.events import an_event, outcomes, random_events
from support.history import pretend_all_came
from support.maintenance import arrive_now, counters, evidence_totals, ingest, maintain, records
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance import maintenance
from centralcloud.maintenance.maintenance import AnotherReplicaError, Maintenance, Retention
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process import background
from centralcloud.store.partitions import missing_weeks
from centralcloud.store.slices import close_slice, evidence_including_open_slice


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maintenance merge the slices of a test, which are among the newest and would be left unmerged."""
    monkeypatch.setattr(maintenance, "_WEIGHED_SLICES", 0)


def test_one_replica_at_a_time(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    pretend_all_came(database_url, 100)
    arrive_now(database, database_url)
    maintenance = Maintenance(database, retention=Retention(records_days=90))
    with maintenance._exclusive():
        with pytest.raises(AnotherReplicaError), maintenance._exclusive():
            pass
        maintain(database, records_days=90)
        assert records(database_url) == 11, "left to the other replica"
    threads = [threading.Thread(target=maintain, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records(database_url) == 1
    assert verify(database).differences == []


@pytest.mark.usefixtures("small_slices")
def test_slices_are_merged_as_they_age_and_no_evidence_changes(database: Database, database_url: str) -> None:
    rng = random.Random(2)
    for _ in range(40):
        ingest(database, database_url, random_events(15, rng))
        close_slice(database)
    # One slice an hour, the newest one two days old.
    execute(
        database_url,
        """
        UPDATE evidence_slices SET
            opened_at = date_trunc('day', now()) - interval '42 hours' - (41 - slice_no) * interval '1 hour',
            closed_at = date_trunc('day', now()) - interval '42 hours' - (40 - slice_no) * interval '1 hour'
        WHERE closed_at IS NOT NULL
        """,
    )
    before = evidence_totals(database_url)
    maintain(database)
    ((slices,),) = execute(database_url, "SELECT count(*) FROM evidence_slices WHERE closed_at IS NOT NULL")
    assert 20 <= slices <= 32, "slices older than two days are merged in pairs"
    assert evidence_totals(database_url) == before
    assert verify(database).differences == []
    maintain(database)
    assert execute(database_url, "SELECT count(*) FROM evidence_slices WHERE closed_at IS NOT NULL") == [(slices,)]


@pytest.mark.usefixtures("small_slices")
def test_ten_years_of_slices_become_few(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO evidence_slices (slice_no, opened_at, closed_at, gathered_at)
        SELECT n + 1, now() - (87600 - n) * interval '1 hour', now() - (87599 - n) * interval '1 hour', now()
        FROM generate_series(1, 87598) AS n
        """,
    )
    execute(
        database_url,
        """
        INSERT INTO evidence (slice_no, model_name, complexity_level, provider, instance_id, successes)
        SELECT slice_no, 'm', 'simple', 'p', 'i', 1 FROM evidence_slices WHERE gathered_at IS NOT NULL
        """,
    )
    maintain(database)
    ((rows, successes),) = execute(database_url, "SELECT count(*), sum(successes)::int FROM evidence")
    assert successes == 87_598
    assert rows < 600
    gap = """SELECT count(*) FROM (
        SELECT coalesce(merged_from, slice_no) - lag(slice_no) OVER (ORDER BY slice_no) AS step FROM evidence_slices
    ) AS steps WHERE step <> 1"""
    assert execute(database_url, gap) == [(0,)], "every slice is in exactly one merged slice"


@pytest.mark.usefixtures("small_slices")
def test_evidence_of_a_current_score_is_never_merged_with_other_evidence(database: Database, database_url: str) -> None:
    learner = Learner(database, [ThresholdRule()])
    for successes in (120, 30, 110, 20):  # evaluated, waiting, evaluated with the waiting ones, waiting
        ingest(database, database_url, outcomes(successes, 0, complexity_score=2.0))
        learner.learn()
    execute(
        database_url,
        """UPDATE evidence_slices
        SET opened_at = opened_at - interval '900 days', closed_at = closed_at - interval '900 days'""",
    )
    maintain(database)
    ((after, through),) = execute(
        database_url, "SELECT after_slice, through_slice FROM model_score_history ORDER BY version DESC LIMIT 1"
    )
    behind = "SELECT sum(successes)::int FROM evidence WHERE slice_no > %s AND slice_no <= %s"
    assert execute(database_url, behind, (after, through)) == [(140,)]
    assert execute(database_url, "SELECT count(*) FROM evidence_slices WHERE closed_at IS NOT NULL") == [(3,)]
    ingest(database, database_url, outcomes(80, 0, complexity_score=2.0))
    (change,) = learner.learn().changes
    assert change.based_on_samples == 100, "the waiting evidence is still there"


def test_a_round_that_is_left_to_another_replica_is_tried_again_soon(database: Database) -> None:
    daemon = Maintenance(database)
    with Maintenance(database)._exclusive():
        daemon.run_once()
    assert daemon._next_round <= time.monotonic() + 60
    daemon._next_round = time.monotonic()
    daemon.run_once()
    assert daemon._next_round == math.inf, "then only when it is woken"


def test_the_queue_has_its_own_vacuum_settings(database_url: str) -> None:
    ((options,),) = execute(
        database_url, "SELECT reloptions FROM pg_class WHERE oid = 'pgmq.q_model_routing_decisions'::regclass"
    )
    assert {"fillfactor=70", "autovacuum_vacuum_scale_factor=0.01"} <= set(options)


def test_a_preview_of_the_open_slice_blocks_no_writer(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(60, 60))
    with evidence_including_open_slice(database) as preview:
        assert preview.execute("SELECT sum(successes)::int FROM evidence").fetchone() == (60,)
        ingest(database, database_url, outcomes(1, 0))
        with database.transaction() as connection:
            connection.execute("SET LOCAL lock_timeout = '100ms'")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('centralcloud.slice'))")
            connection.execute("SELECT FROM evidence_slices FOR UPDATE")
    assert execute(database_url, "SELECT count(*) FROM evidence") == [(0,)]


def test_the_newest_slices_are_not_merged(database: Database, database_url: str) -> None:
    """A rule weighs them one by one: merged slices would give other scores."""
    for _ in range(5):
        ingest(database, database_url, outcomes(10, 0))
        close_slice(database)
    execute(
        database_url,
        "UPDATE evidence_slices SET opened_at = opened_at - interval '9 days', closed_at = closed_at - interval '9 days'",
    )
    maintain(database)
    assert execute(database_url, "SELECT count(*) FROM evidence_slices WHERE closed_at IS NOT NULL") == [(5,)]


def test_a_late_outcome_counts_in_the_slice_in_which_it_arrives_and_is_marked(
    database: Database, database_url: str
) -> None:
    now = datetime.now(UTC)

    def event(outcome: str, hours_ago: float, **decision: object) -> dict:
        return an_event(outcome=outcome, **decision) | {"timestamp": (now - timedelta(hours=hours_ago)).isoformat()}

    ingest(database, database_url, [event("routed", 0, decision_id="in time"), event("routed", 0, decision_id="lost")])
    ingest(
        database, database_url, [event("routed", 0, decision_id="late"), event("success", 0.5, decision_id="in time")]
    )
    close_slice(database)
    ingest(
        database,
        database_url,
        [
            event("failure", 5, decision_id="late", response_time_ms=100),
            event("failure", 5, error_kind="caller"),
            event("success", 0.9),
        ],
    )
    close_slice(database)
    by_slice = "SELECT slice_no, successes, failures, blameless, late FROM evidence ORDER BY slice_no"
    assert execute(database_url, by_slice) == [(1, 1, 0, 0, 0), (2, 1, 1, 1, 1)]
    (metrics,) = counters(database)
    assert metrics["late_count"] == 1, "late, and counted as a failure like any other"
    assert metrics["unresolved_rate"] == pytest.approx(1 / 3), "one of three decisions with an id has no outcome"
    assert (metrics["success_count"], metrics["failure_count"]) == (2, 1), "a blameless failure is not counted"
    view = "SELECT linked_decision_count, unresolved_rate, outcome_count, late_count, late_rate FROM "
    assert execute(database_url, view + "dashboard_late_and_lost_outcomes") == [
        (3, Decimal("33.33"), 3, 1, Decimal("33.33"))
    ]
    assert verify(database).differences == []


def retention_time(url: str) -> datetime:
    ((as_of,),) = execute(url, "SELECT retention_as_of FROM server_clock")
    return as_of


def test_while_a_week_has_no_partition_only_the_partitions_are_looked_at_again(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all maintenance, every minute, with a retention time that moves by a day each time."""
    monkeypatch.setattr(background, "_FIRST_DEGRADED_BACKOFF_SECONDS", 0.01)
    ((name,),) = execute(
        database_url,
        """SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'routing_records'::regclass""",
    )
    execute(database_url, f"DROP TABLE {name}")
    with database.transaction() as connection:
        (week,) = missing_weeks(connection)
    bounds = f"FOR VALUES FROM ('{week} 00:00Z') TO ('{week} 23:00Z')"
    execute(database_url, f"CREATE TABLE one_day PARTITION OF routing_records {bounds}")
    execute(database_url, "UPDATE server_clock SET retention_as_of = now() - interval '40 days'")
    before = retention_time(database_url)
    with Database(database_url, application_name="tests") as own:
        daemon = Maintenance(own, interval_seconds=3600)
        daemon.may_degrade = daemon.woken = True
        failures: list[int] = []
        daemon.on_state = lambda task: failures.append(task.degradation.failures if task.degradation else 0)
        daemon.start()
        try:
            eventually(lambda: len(failures) >= 4)
            assert retention_time(database_url) == before + timedelta(days=1), "one round"
            execute(database_url, "DROP TABLE one_day")
            eventually(lambda: failures[-1] == 0, what="the partition is created without another round")
            assert retention_time(database_url) == before + timedelta(days=1)
        finally:
            daemon.stop()
            assert daemon.join(5)


def test_a_round_that_fails_does_not_move_the_retention_time(database: Database, database_url: str) -> None:
    execute(database_url, "UPDATE server_clock SET retention_as_of = now() - interval '40 days'")
    before = retention_time(database_url)
    execute(database_url, "ALTER TABLE new_model_names RENAME TO renamed")
    daemon = Maintenance(database)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            daemon.run_once()
    assert retention_time(database_url) == before
    execute(database_url, "ALTER TABLE renamed RENAME TO new_model_names")
    daemon.run_once()
    assert retention_time(database_url) == before + timedelta(days=1)
