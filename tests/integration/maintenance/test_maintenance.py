"""Maintenance: retention, roll-ups and merged evidence. None of it changes a lifetime counter."""

import math
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.events import an_event, outcomes, random_events, send
from support.history import pretend_all_came
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.instances import list_instances
from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance import maintenance
from centralcloud.maintenance.maintenance import AnotherReplicaError, Maintenance, Retention
from centralcloud.monitoring.daemon_activity import read_daemon_activity
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process import background
from centralcloud.store.partitions import missing_weeks
from centralcloud.store.slices import close_slice, evidence_including_open_slice


def maintain(database: Database, **retention: int) -> None:
    Maintenance(database, retention=Retention(**retention)).run_once()


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maintenance merge the slices of a test, which are among the newest and would be left unmerged."""
    monkeypatch.setattr(maintenance, "_WEIGHED_SLICES", 0)


def ingest(database: Database, database_url: str, events: list[dict]) -> None:
    send(database_url, events)
    drain(database, batch_size=100)


def arrive_now(database: Database, database_url: str) -> None:
    """Let one more event arrive now: records expire by the newest arrival, and not by the server's clock alone."""
    ingest(database, database_url, [an_event("i-2", outcome="routed")])


def counters(database: Database) -> list[dict]:
    with database.transaction() as connection:
        return ModelMetrics(connection).all()


def evidence_totals(database_url: str) -> list[tuple]:
    return execute(
        database_url,
        """
        SELECT model_name, complexity_level, provider, instance_id, sum(routed), sum(successes), sum(failures),
               sum(blameless), sum(response_time_count), sum(response_time_sum_ms)
        FROM evidence GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        """,
    )


def records(database_url: str) -> int:
    ((count,),) = execute(database_url, "SELECT count(*) FROM routing_records")
    return int(count)


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


def test_without_retention_records_are_kept_forever(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 4000)
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


def test_hours_are_rolled_up_exactly(database: Database, database_url: str) -> None:
    cost = {"cost_usd": 0.5, "input_tokens": 10, "output_tokens": 5}
    events = [
        *[an_event("i-1", outcome="success", response_time_ms=ms, **cost) for ms in (100, 200, 300, 400, 1000)],
        an_event("i-1", outcome="failure", response_time_ms=5000),
        an_event("i-1", outcome="failure", error_kind="caller", response_time_ms=1),
        *[an_event("i-2", outcome=outcome, decision_id="d") for outcome in ("routed", "success")],
    ]
    ingest(database, database_url, events)
    maintain(database)
    assert execute(
        database_url,
        """
        SELECT instance_id, total_requests, successful_requests, failed_requests, blameless_requests, avg_response_time_ms,
               p50_response_time_ms, p95_response_time_ms, p99_response_time_ms, total_cost, total_tokens, avg_tokens_used,
               window_end - window_start = interval '1 hour', date_trunc('hour', now()) - window_start <= interval '1 hour'
        FROM model_performance ORDER BY instance_id
        """,
    ) == [
        ("i-1", 7, 5, 1, 1, pytest.approx(7000 / 6), 350.0, 4000.0, pytest.approx(4800.0), 2.5, 75, 15.0, True, True),
        ("i-2", 1, 1, 0, 0, None, None, None, None, 0.0, 0, None, True, True),
    ]
    ((total,),) = execute(database_url, "SELECT sum(total_requests)::int FROM dashboard_hourly_performance")
    assert total == 8


def test_roll_ups_are_incremental_and_repeat_the_newest_hours(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 10)
    ingest(database, database_url, outcomes(2, 1))
    maintain(database)
    rolled_up = "SELECT sum(successful_requests)::int, sum(failed_requests)::int FROM model_performance"
    assert execute(database_url, rolled_up) == [(7, 6)]
    execute(
        database_url, "UPDATE model_performance SET provider = 'old' WHERE window_start < now() - interval '9 days'"
    )
    ingest(database, database_url, outcomes(4, 0))
    maintain(database)
    assert execute(database_url, rolled_up) == [(11, 6)]
    assert execute(database_url, "SELECT count(*) FROM model_performance WHERE provider = 'old'") == [(1,)]


def test_the_first_records_are_rolled_up_long_before_the_next_round(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first query of a dashboard finds nothing for an hour."""
    monkeypatch.setattr(maintenance, "_CHECK_SECONDS", 0.1)
    with Database(database_url, application_name="tests") as own:
        daemon = Maintenance(own, interval_seconds=3600)
        daemon.start()
        try:
            eventually(lambda: daemon._next_round > time.monotonic() + 1000, what="the round at the start")
            ingest(database, database_url, outcomes(5, 5))
            hourly = "SELECT sum(total_requests)::int FROM dashboard_hourly_performance"
            eventually(lambda: execute(database_url, hourly) == [(10,)])
        finally:
            daemon.stop()
            assert daemon.join(5)


def test_between_two_rounds_only_an_hour_that_is_missing_is_rolled_up(database: Database, database_url: str) -> None:
    daemon = Maintenance(database, interval_seconds=3600)
    assert daemon.interval_seconds == 60, "the wait between two checks"
    daemon.run_once()
    daemon.run_once()  # without any record
    ingest(database, database_url, [an_event(decision_id="old"), *outcomes(3, 0)])
    execute(database_url, "UPDATE decision_ids SET created_at = now() - interval '8 days'")
    rolled_up = "SELECT sum(successful_requests)::int FROM model_performance"
    daemon.run_once()
    assert execute(database_url, rolled_up) == [(3,)]
    ingest(database, database_url, outcomes(2, 0))
    daemon.run_once()
    assert execute(database_url, rolled_up) == [(3,)], "the rest of the hour follows with the next round"
    execute(database_url, "UPDATE model_performance SET window_start = window_start - interval '1 hour'")
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '1 hour'")
    ingest(database, database_url, outcomes(1, 0))
    daemon.run_once()
    assert execute(database_url, rolled_up) == [(6,)], "a new hour has begun: the one before it is rolled up again"
    execute(database_url, "UPDATE routing_records SET created_at = created_at + interval '1 day'")
    execute(database_url, "UPDATE model_performance SET provider = 'kept'")
    daemon.run_once()
    assert execute(database_url, "SELECT DISTINCT provider FROM model_performance") == [("kept",)], "a clock was ahead"
    assert execute(database_url, "SELECT count(*) FROM decision_ids") == [(1,)], "that is left to the next round"
    daemon.woken = True
    daemon.run_once()
    assert execute(database_url, "SELECT count(*) FROM decision_ids") == [(0,)]


def test_a_record_in_the_future_is_rolled_up_in_its_hour_and_not_every_minute(
    database: Database, database_url: str
) -> None:
    """The server's clock was ahead, and no event has arrived since."""
    daemon = Maintenance(database, interval_seconds=3600)
    ingest(database, database_url, outcomes(3, 0))
    daemon.run_once()
    execute(
        database_url, "UPDATE model_performance SET provider = 'kept', window_start = window_start - interval '1 hour'"
    )
    execute(database_url, "UPDATE routing_records SET created_at = created_at + interval '90 minutes'")
    daemon.run_once()
    assert execute(database_url, "SELECT provider FROM model_performance") == [("kept",)]
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '90 minutes'")
    daemon.run_once()
    assert execute(database_url, "SELECT sum(successful_requests)::int FROM model_performance") == [(3,)]


def test_a_round_that_is_left_to_another_replica_is_tried_again_soon(database: Database) -> None:
    daemon = Maintenance(database)
    with Maintenance(database)._exclusive():
        daemon.run_once()
    assert daemon._next_round <= time.monotonic() + 60
    daemon._next_round = time.monotonic()
    daemon.run_once()
    assert daemon._next_round == math.inf, "then only when it is woken"


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


def test_roll_ups_outlive_their_records_until_their_own_retention(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 100)
    arrive_now(database, database_url)
    maintain(database, records_days=90)
    maintain(database, records_days=90)
    assert records(database_url) == 1
    assert execute(database_url, "SELECT sum(successful_requests)::int FROM model_performance") == [(5,)]
    maintain(database, roll_ups_days=50)
    assert execute(database_url, "SELECT count(*) FROM model_performance WHERE successful_requests > 0") == [(0,)]


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


def test_the_queue_has_its_own_vacuum_settings(database_url: str) -> None:
    ((options,),) = execute(
        database_url, "SELECT reloptions FROM pg_class WHERE oid = 'pgmq.q_model_routing_decisions'::regclass"
    )
    assert {"fillfactor=70", "autovacuum_vacuum_scale_factor=0.01"} <= set(options)


def test_the_largest_numbers_that_an_event_may_have_are_rolled_up(database: Database, database_url: str) -> None:
    largest = 2**31 - 1
    event = an_event(
        outcome="success", input_tokens=largest, output_tokens=largest, response_time_ms=largest, cost_usd=1e9
    )
    ingest(database, database_url, [event, event])
    maintain(database)
    assert execute(database_url, "SELECT total_tokens FROM model_performance") == [(4 * largest,)]


def test_a_clock_that_was_ahead_does_not_stop_the_roll_ups(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(3, 0))
    maintain(database)
    execute(database_url, "UPDATE model_performance SET window_start = window_start + interval '1 day'")
    execute(database_url, "UPDATE routing_records SET created_at = created_at + interval '1 day'")
    ingest(database, database_url, outcomes(4, 0))
    maintain(database)
    rolled_up = "SELECT sum(successful_requests)::int FROM model_performance WHERE window_start <= now()"
    assert execute(database_url, rolled_up) == [(4,)]


def test_partitions_are_dropped_under_any_date_style_and_time_zone(database_url: str) -> None:
    url = make_conninfo(database_url, options="-c datestyle=SQL,DMY -c timezone=Asia/Jakarta")
    with Database(url, application_name="tests") as database:
        ingest(database, database_url, outcomes(5, 5))
        close_slice(database)
        pretend_all_came(database_url, 100)
        arrive_now(database, database_url)
        Maintenance(database, weeks_ahead=20).run_once()
    assert records(database_url) == 1


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


def test_without_decision_ids_the_unresolved_rate_is_unknown(database: Database, database_url: str) -> None:
    ingest(database, database_url, [an_event(), *outcomes(3, 0)])
    (metrics,) = counters(database)
    assert (metrics["late_count"], metrics["unresolved_rate"]) == (0, None)


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
