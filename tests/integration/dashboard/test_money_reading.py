"""Spend and outcomes from a real database, against rows computed by hand: each record counts once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.events import an_event, outcomes, send
from support.fleet import Fleet, a_fleet
from support.history import create_week
from support.maintenance import ingest, maintain
from support.servers import execute

from centralcloud.dashboard.costs import cost_of_success
from centralcloud.dashboard.sources.money import DAY, HOUR, WEEK, Money, MoneyReader, read_money
from centralcloud.dashboard.spend import spent
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice


def money_of(database: Database) -> Money:
    with database.transaction() as connection:
        return read_money(connection, DAY, WEEK)


def by_hour(money: Money) -> dict[datetime, float]:
    found: dict[datetime, float] = {}
    for each in money.hours:
        found[each.hour] = found.get(each.hour, 0.0) + each.cost_nano_usd / 1e9
    return found


def records_by_hour(database_url: str) -> dict[datetime, float]:
    rows = execute(
        database_url,
        "SELECT date_trunc('hour', created_at, 'UTC'), sum(cost_usd) FROM routing_records "
        "WHERE cost_usd IS NOT NULL GROUP BY 1",
    )
    return {hour.astimezone(UTC): cost for hour, cost in rows}


def move(database_url: str, hours: float) -> None:
    """Move what was ingested in the last half an hour back, with its closed slices; records go to the partition of then."""
    create_week(database_url, timedelta(hours=hours))
    execute(
        database_url,
        f"""
        UPDATE routing_records SET created_at = created_at - interval '{hours} hours'
        WHERE created_at > now() - interval '30 minutes';
        UPDATE evidence_slices SET
            opened_at = opened_at - interval '{hours} hours', closed_at = closed_at - interval '{hours} hours'
        WHERE opened_at > now() - interval '30 minutes' AND closed_at IS NOT NULL
        """,
    )


def test_no_record_counts_twice_while_the_roll_up_has_a_part_of_the_hour(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 0, cost_usd=0.5))
    close_slice(database)
    move(database_url, 3)
    ingest(database, database_url, outcomes(2, 2, cost_usd=0.25))
    maintain(database)  # rolls up a part of the hour that runs, and closes the slice
    ingest(database, database_url, outcomes(3, 0, cost_usd=1.0))
    close_slice(database)  # evidence that no roll-up has
    ingest(database, database_url, outcomes(1, 0, cost_usd=8.0))  # records of the open slice, without evidence
    money = money_of(database)
    assert by_hour(money) == pytest.approx(records_by_hour(database_url))
    assert sum(by_hour(money).values()) == 14.5
    assert spent(money.hours, money.read_at - DAY, money.read_at, money.read_at) == 14_500_000_000
    (pair,) = money.pairs_of(DAY)
    assert (pair.decisions, pair.successes, pair.failures, pair.cost_nano_usd) == (13, 11, 2, 14_500_000_000)
    assert pair.p50_ms == pytest.approx(500)
    assert money.pairs_of(WEEK) == (pair,)


def test_before_the_first_roll_up_all_hours_come_from_evidence_and_records(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(4, 0, cost_usd=0.5))
    close_slice(database)
    move(database_url, 2)
    # A slice over the boundary of two hours: a part of its records is of the hour before.
    ingest(database, database_url, outcomes(2, 0, cost_usd=2.0))
    execute(
        database_url,
        "UPDATE routing_records SET created_at = date_trunc('hour', now()) - interval '1 minute' WHERE cost_usd = 2",
    )
    ingest(database, database_url, outcomes(3, 0, cost_usd=1.0))
    execute(
        database_url,
        "UPDATE evidence_slices SET opened_at = date_trunc('hour', now()) - interval '2 minutes' WHERE closed_at IS NULL",
    )
    close_slice(database)
    money = money_of(database)
    assert by_hour(money) == pytest.approx(records_by_hour(database_url))
    assert sum(by_hour(money).values()) == 9.0
    assert len(by_hour(money)) >= 2


def test_an_hour_that_was_rolled_up_before_its_end_is_not_taken_from_the_roll_up(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(2, 0, cost_usd=0.5))
    maintain(database)
    ingest(database, database_url, outcomes(3, 0, cost_usd=1.0))
    close_slice(database)
    move(database_url, 1)
    # The roll-up of then has two of the five records, and no round was made since.
    execute(
        database_url,
        "UPDATE model_performance SET window_start = window_start - interval '1 hour', "
        "window_end = window_end - interval '1 hour', created_at = created_at - interval '1 hour'",
    )
    money = money_of(database)
    assert sum(by_hour(money).values()) == 4.0
    assert by_hour(money) == pytest.approx(records_by_hour(database_url))


def roll_up(url: str, hours: dict[datetime, float], **columns: Any) -> None:
    row = {
        "model_name": "m", "complexity_level": "simple", "provider": "p", "instance_id": "i", "total_requests": 10,
        "successful_requests": 8, "failed_requests": 2, "p50_response_time_ms": 100.0, "p95_response_time_ms": 200.0,
    } | columns  # fmt: skip
    names = ", ".join(row)
    with psycopg.connect(url) as connection:
        for hour, usd in hours.items():
            connection.execute(
                f"INSERT INTO model_performance (window_start, window_end, blameless_requests, total_tokens, total_cost, "
                f"cost_nano_usd, created_at, {names}) VALUES (%s, %s, 0, 0, %s, %s, %s, {', '.join(['%s'] * len(row))})",
                (hour, hour + HOUR, usd, round(usd * 1e9), max(hour + 2 * HOUR, datetime.now(UTC)), *row.values()),
            )


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_hours_are_those_of_utc_whatever_the_zone_of_the_login_and_its_clock_changes(
    database_url: str, zone: str
) -> None:
    begin = datetime(2025, 10, 25, 22, tzinfo=UTC)  # Sunday in Berlin, of 25 hours
    roll_up(database_url, {begin + number * HOUR: 1.0 for number in range(-3, 30)})
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
        reader = MoneyReader(connection)
        hours = reader.hours(begin, begin + 25 * HOUR)
        (pair,) = reader.pairs(begin, begin + 25 * HOUR)
    assert [each.hour for each in hours] == [begin + number * HOUR for number in range(25)]
    assert spent(hours, begin, begin + 25 * HOUR, reader.now) == 25_000_000_000
    assert (pair.decisions, pair.cost_nano_usd) == (250, 25_000_000_000)


def test_hours_in_part_count_in_part_for_hours_and_pairs_alike(database_url: str) -> None:
    begin = datetime(2025, 11, 20, tzinfo=UTC)
    roll_up(database_url, {begin: 4.0, begin + HOUR: 2.0, begin + 2 * HOUR: 8.0})
    since, until = begin + HOUR / 2, begin + 2 * HOUR + HOUR / 4
    with psycopg.connect(database_url) as connection:
        reader = MoneyReader(connection)
        (pair,) = reader.pairs(since, until)
        hours = reader.hours(since, until)
    assert spent(hours, since, until, reader.now) == pair.cost_nano_usd == 6_000_000_000
    assert (pair.decisions, pair.successes) == (18, 14)  # 17.5 and 14


def test_times_are_weighed_by_outcomes(database_url: str) -> None:
    hour = datetime(2025, 11, 20, tzinfo=UTC)
    roll_up(database_url, {hour: 1.0}, successful_requests=8, failed_requests=2, p50_response_time_ms=100.0)
    roll_up(
        database_url,
        {hour: 1.0},
        instance_id="j",
        successful_requests=25,
        failed_requests=5,
        p50_response_time_ms=300.0,
    )
    roll_up(database_url, {hour: 1.0}, instance_id="k", successful_requests=9, p50_response_time_ms=None)
    with psycopg.connect(database_url) as connection:
        (pair,) = MoneyReader(connection).pairs(hour, hour + HOUR)
    assert pair.p50_ms == pytest.approx((10 * 100 + 30 * 300) / 40)


def test_unknown_costs_are_a_share_of_the_outcomes(database: Database, database_url: str) -> None:
    ingest(database, database_url, [*outcomes(6, 2, cost_usd=0.5), *outcomes(20, 4), an_event(outcome="routed")])
    close_slice(database)
    (pair,) = money_of(database).pairs_of(DAY)
    assert pair.priced == pytest.approx(8 / 32)
    assert cost_of_success(pair) == pytest.approx((4.0 / 8) * 32 / 26)


def test_a_roll_up_of_before_exact_costs_has_its_cost(database_url: str) -> None:
    hour = datetime(2025, 11, 20, tzinfo=UTC)
    roll_up(database_url, {hour: 1.5})
    execute(database_url, "UPDATE model_performance SET cost_nano_usd = NULL")
    with psycopg.connect(database_url) as connection:
        assert [each.cost_nano_usd for each in MoneyReader(connection).hours(hour, hour + HOUR)] == [1_500_000_000]


def test_an_empty_database_has_no_spend(database: Database) -> None:
    money = money_of(database)
    assert (money.first_hour, money.hours, money.pairs_of(DAY)) == (None, (), ())


def test_the_role_of_the_dashboard_may_read_it(server: str) -> None:
    with a_fleet(server) as fleet:
        _send_and_ingest(fleet)
        with psycopg.connect(fleet.dashboard) as connection:
            assert sum(each.cost_nano_usd for each in read_money(connection, DAY).hours) == 1_000_000_000


def _send_and_ingest(fleet: Fleet) -> None:
    send(fleet.worker, outcomes(2, 0, cost_usd=0.5))
    with Database(fleet.worker, application_name="tests") as database:
        ingest(database, fleet.worker, [])
