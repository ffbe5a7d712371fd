"""Roll-ups: hours are summed exactly, incrementally, and outlive their records."""

import time
from datetime import timedelta

import pytest
from support.events import an_event, outcomes
from support.history import create_week, pretend_all_came
from support.maintenance import arrive_now, counters, ingest, maintain, records
from support.servers import execute
from support.waiting import eventually

from centralcloud.maintenance import maintenance
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice


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
    create_week(database_url, timedelta(hours=1))
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


def test_without_decision_ids_the_unresolved_rate_is_unknown(database: Database, database_url: str) -> None:
    ingest(database, database_url, [an_event(), *outcomes(3, 0)])
    (metrics,) = counters(database)
    assert (metrics["late_count"], metrics["unresolved_rate"]) == (0, None)


def test_a_record_in_the_future_is_rolled_up_in_its_hour_and_not_every_minute(
    database: Database, database_url: str
) -> None:
    """The server's clock was ahead, and no event has arrived since."""
    create_week(database_url, timedelta(hours=1))
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
