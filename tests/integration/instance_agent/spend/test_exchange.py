"""Leases in the database: periods, several limits at once, lost processes, changed limits, one alert."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from support.servers import execute
from support.spending import a_key, exchange, put_budgets, put_entries, put_key, spend_before
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from instance_agent.spend.exchange import SPEND_CHANNEL, read_spend

DAILY = {"scope": "fleet", "period": "daily", "limit": 1e-6, "onLimit": "stop"}
METER = "budget/fleet:daily"
#: The limit of DAILY in nano-USD.
LIMIT = 1000


def settled(grant: dict[str, Any], spent: int = 0, *, returned: int = 0, estimated: int = 0) -> dict[str, Any]:
    return {
        "meter": grant["meter"], "period_start": grant["period_start"], "spent": spent, "estimated": estimated,
        "returned": returned,
    }  # fmt: skip


def ask(url: str, process: str, number: int, **needs: int) -> list[int]:
    """Ask for several meters at once; returns what was granted of each, in their order."""
    names = {name.replace("_", ":"): need for name, need in needs.items()}
    answer = exchange(url, process, number, asks=[{f"budget/{name}": need for name, need in names.items()}])
    return [each["granted"] for each in answer["grants"]]


def state(url: str, meter: str = METER) -> tuple:
    query = "SELECT spent, leased, written_off FROM spend_periods WHERE meter = %s ORDER BY period_start DESC LIMIT 1"
    return execute(url, query, (meter,))[0]


ZONES = (
    "UTC",
    "Europe/Berlin",
    "Pacific/Apia",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Cairo",
)


def test_periods_follow_each_other_and_begin_at_local_midnights_whatever_the_clocks_do(database_url: str) -> None:
    """Every 37 minutes of days with changes of the clocks, and of a day that Apia left out (30 December 2011)."""
    days = ("2011-12-29", "2018-11-03", "2025-11-01", "2026-03-28", "2026-10-24", "2026-12-31", "2028-02-28")
    query = """
        SELECT m.at, z.zone, p.period, c.period_start, c.period_end,
            (SELECT b.period_end FROM centralcloud.calendar_period(p.period, z.zone, c.period_start - interval '1 us') AS b)
        FROM unnest(%s::timestamptz[]) AS d (day),
            generate_series(d.day - interval '20 hours', d.day + interval '56 hours', interval '37 minutes') AS m (at),
            unnest(%s::text[]) AS z (zone), unnest(ARRAY['daily', 'weekly', 'monthly']) AS p (period),
            LATERAL centralcloud.calendar_period(p.period, z.zone, m.at) AS c
    """
    rows = execute(database_url, query, ([f"{day} 00:00+00" for day in days], list(ZONES)))
    assert len(rows) > 15_000
    for at, zone, period, start, end, end_before in rows:
        assert start <= at < end, (at, zone, period)
        assert end_before == start, (at, zone, period, "no gap, and no overlap")
        # A night with two midnights begins its day with the second one; 30 minutes later it is the day that is meant.
        local = (start + timedelta(minutes=90)).astimezone(ZoneInfo(zone))
        assert local.hour <= 2, (at, zone, period, local)
        if period == "weekly" and (zone, start.year) != ("Pacific/Apia", 2011):
            assert local.weekday() == 0, (at, zone, local)
        if period == "monthly":
            assert local.day == 1, (at, zone, local)


DAYS = [
    ("daily", "Europe/Berlin", "2026-03-29T12:00+00", "2026-03-28T23:00+00", 23),
    ("daily", "Europe/Berlin", "2026-10-25T12:00+00", "2026-10-24T22:00+00", 25),
    ("weekly", "Europe/Berlin", "2026-03-29T21:59+00", "2026-03-22T23:00+00", 7 * 24 - 1),
    ("monthly", "Europe/Berlin", "2026-03-31T21:59+00", "2026-02-28T23:00+00", 31 * 24 - 1),
    ("daily", "Pacific/Apia", "2011-12-30T09:59+00", "2011-12-29T10:00+00", 24),
    ("daily", "Pacific/Apia", "2011-12-30T10:00+00", "2011-12-30T10:00+00", 24),
    ("daily", "Not/A_Zone", "2026-01-01T05:00+00", "2026-01-01T00:00+00", 24),
]


def test_a_period_is_as_long_as_the_calendar_says(database_url: str) -> None:
    for period, zone, at, start, hours in DAYS:
        found = execute(database_url, "SELECT * FROM centralcloud.calendar_period(%s, %s, %s)", (period, zone, at))
        begin = datetime.fromisoformat(f"{start}:00")
        assert found == [(begin, begin + timedelta(hours=hours))], (period, zone, at)


def test_one_sum_of_a_million_small_calls_is_exact(database_url: str) -> None:
    query = (
        "SELECT sum(cost_nano_usd) FROM (SELECT 15000::bigint AS cost_nano_usd FROM generate_series(1, 1000000)) AS c"
    )
    assert execute(database_url, query) == [(15_000_000_000,)]


def test_several_limits_are_granted_at_once_or_none_of_them(database_url: str) -> None:
    put_budgets(
        database_url,
        {"scope": "fleet", "period": "daily", "limit": 1e-6},
        {"scope": "key", "of": "k", "period": "daily", "limit": 5e-7},
        {"scope": "workspace", "of": "w", "period": "daily", "limit": 2e-7},
    )
    assert ask(database_url, "p", 1, fleet_daily=150, key_k_daily=150, workspace_w_daily=150) == [150, 150, 150]
    assert ask(database_url, "q", 1, fleet_daily=150, key_k_daily=150, workspace_w_daily=150) == [0, 0, 0]
    assert ask(database_url, "q", 2, fleet_daily=300, key_k_daily=300) == [300, 300]
    assert ask(database_url, "q", 3, fleet_daily=51, key_k_daily=51) == [0, 0]
    leased = execute(database_url, "SELECT meter, leased FROM spend_periods ORDER BY meter")
    assert leased == [("budget/fleet:daily", 450), ("budget/key:k:daily", 450), ("budget/workspace:w:daily", 150)]


def test_two_gateways_that_ask_for_the_same_limits_in_another_order_never_lock_each_other(database_url: str) -> None:
    names = [f"b{number}" for number in range(5)]
    put_budgets(database_url, *({"id": name, "scope": "fleet", "period": "daily", "limit": 1} for name in names))
    errors: list[BaseException] = []

    def work(process: str, order: list[str]) -> None:
        try:
            for number in range(1, 16):
                exchange(database_url, process, number, asks=[{f"budget/{name}": 1 for name in order}])
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(f"p{number}", names[::-1] if number % 2 else names)) for number in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert execute(database_url, "SELECT DISTINCT leased FROM spend_periods") == [(4 * 15,)]


def test_a_report_that_is_sent_again_counts_once(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    (grant,) = exchange(database_url, "p", 1, asks=[{METER: 400}])["grants"]
    first = exchange(database_url, "p", 2, accounts=[settled(grant, 300, estimated=100)], wants={METER: 100})
    assert exchange(database_url, "p", 2, accounts=[settled(grant, 300, estimated=100)], wants={METER: 100}) == first
    assert state(database_url) == (300, 200, 0)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="number: found 1, expected at least 2"):
        exchange(database_url, "p", 1)


def test_a_slice_is_a_quarter_of_what_is_free_divided_by_the_gateways(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    granted = [
        exchange(database_url, process, 1, wants={METER: 10**9})["grants"][0]["granted"] for process in ("p", "q", "r")
    ]
    assert granted == [1000 // 4, 750 // 8, (750 - 93) // 12]


def test_the_lease_of_a_killed_process_counts_as_spent_until_it_reports(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    (grant,) = exchange(database_url, "killed", 1, asks=[{METER: 300}])["grants"]
    exchange(database_url, "killed", 2, accounts=[settled(grant, 50)])
    assert ask(database_url, "other", 1, fleet_daily=700) == [700]
    execute(database_url, "UPDATE spend_holders SET expires_at = now() - interval '1 s' WHERE holder = 'gw/killed'")
    assert ask(database_url, "other", 2, fleet_daily=1) == [0]
    assert state(database_url) == (50, 700, 250)
    spend = read_spend_of(database_url)
    assert (spend.spent, spend.written_off, spend.remaining) == (50, 250, 700)
    # It was not killed, but cut off: its report makes it exact again.
    exchange(database_url, "killed", 3, accounts=[settled(grant, 100, returned=150)])
    assert state(database_url) == (150, 700, 0)
    assert ask(database_url, "other", 3, fleet_daily=150) == [150]


def read_spend_of(url: str, meter: str = METER) -> Any:
    with Database(url, application_name="tests") as database, database.connection() as connection:
        (found,) = read_spend(connection, [meter, "budget/unknown"])
    return found


def test_leases_of_a_window_that_has_ended_change_no_other_window(database_url: str) -> None:
    key = a_key(requests=10, window_ms=1000)
    put_key(database_url, key)
    meter = f"requests/{key.id}"
    (old,) = exchange(database_url, "p", 1, asks=[{meter: 10}])["grants"]
    assert old["granted"] == 10

    def next_window() -> Any:
        next_window.number += 1  # type: ignore[attr-defined]
        (grant,) = exchange(database_url, "q", next_window.number, asks=[{meter: 1}])["grants"]  # type: ignore[attr-defined]
        return grant["period_start"] != old["period_start"] and grant

    next_window.number = 0  # type: ignore[attr-defined]
    new = eventually(next_window, within_seconds=5)
    assert new["limit"] - new["spent"] - new["leased"] == 9, (
        "the open lease of the old window holds nothing of this one"
    )
    exchange(database_url, "p", 2, accounts=[settled(old, 7, returned=3)])
    rows = execute(database_url, "SELECT spent, leased, limit_amount FROM spend_periods ORDER BY period_start")
    assert rows[0] == (7, 0, 10)
    assert all(spent + leased <= limit for spent, leased, limit in rows)
    starts = execute(database_url, "SELECT period_start, period_end FROM spend_periods")
    assert all(start.microsecond == 0 and end - start == timedelta(seconds=1) for start, end in starts)


def test_a_day_that_ends_with_open_leases_neither_loses_them_nor_passes_its_limit(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    (old,) = exchange(database_url, "p", 1, asks=[{METER: 900}])["grants"]
    with psycopg.connect(database_url) as connection:  # a day later
        connection.execute("ALTER TABLE spend_leases DROP CONSTRAINT spend_leases_meter_period_start_fkey")
        for statement in (
            "UPDATE spend_periods SET period_end = period_start, period_start = period_start - interval '1 day'",
            "UPDATE spend_leases SET period_start = period_start - interval '1 day'",
        ):
            connection.execute(statement)
    old["period_start"] = (datetime.fromisoformat(old["period_start"]) - timedelta(days=1)).isoformat()
    assert ask(database_url, "q", 1, fleet_daily=1000) == [1000], "the whole limit of the new day"
    answer = exchange(database_url, "p", 2, accounts=[settled(old, 850, returned=50)], asks=[{METER: 1}])
    assert answer["alerts"] == [], "a period that has ended gives none"
    assert [each["granted"] for each in answer["grants"]] == [0]
    rows = execute(database_url, "SELECT spent, leased FROM spend_periods ORDER BY period_start")
    assert rows == [(850, 0), (0, 1000)]


def test_no_order_of_exchanges_and_deaths_passes_a_limit(database_url: str) -> None:
    put_budgets(database_url, {**DAILY, "limit": 5e-5})
    limit, rng = 50_000, random.Random(5)
    numbers, held, spent = dict.fromkeys("abcd", 0), dict.fromkeys("abcd", 0), 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        row: Any = exchange(database_url, "first", 1, wants={METER: 0})["grants"][0]
        for _ in range(120):
            process = rng.choice("abcd")
            if rng.random() < 0.15:
                connection.execute(
                    "UPDATE spend_holders SET expires_at = now() - interval '1 s' WHERE holder = %s", (f"gw/{process}",)
                )
                continue
            numbers[process] += 1
            used = rng.randint(0, held[process])
            back = rng.randint(0, held[process] - used) if rng.random() < 0.3 else 0
            answer = exchange(
                database_url, process, numbers[process],
                accounts=[settled(row, used, returned=back)] if used or back else [],
                asks=[{METER: rng.randint(0, 9000)} for _ in range(rng.randrange(3))],
                wants={METER: rng.randint(0, 20_000)},
            )  # fmt: skip
            (grant,) = answer["grants"]
            spent += used
            held[process] += grant["granted"] - used - back
            assert grant["lease"] == held[process]
            ((in_sum, leased, written_off),) = connection.execute(
                "SELECT spent, leased, written_off FROM spend_periods"
            ).fetchall()
            assert in_sum == spent
            assert leased + written_off == sum(held.values())
            assert in_sum + leased + written_off <= limit
            ((open_leases, lost_leases),) = connection.execute(
                "SELECT coalesce(sum(amount) FILTER (WHERE NOT is_written_off), 0), "
                "coalesce(sum(amount) FILTER (WHERE is_written_off), 0) FROM spend_leases"
            ).fetchall()
            assert (open_leases, lost_leases) == (leased, written_off)
    assert spent > limit * 0.9


def test_the_limit_is_that_of_the_configuration_now(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    spend_before(database_url, METER, 800)
    assert ask(database_url, "p", 1, fleet_daily=300) == [0]
    put_budgets(database_url, {**DAILY, "limit": 2e-6})
    assert ask(database_url, "p", 2, fleet_daily=300) == [300]
    put_budgets(database_url, {**DAILY, "limit": 5e-7})
    assert ask(database_url, "p", 3, fleet_daily=1) == [0], "lowered below what is spent"
    assert state(database_url) == (800, 300, 0)
    put_budgets(database_url, {**DAILY, "enabled": False})
    (grant,) = exchange(database_url, "p", 4, asks=[{METER: 10**15}])["grants"]
    assert grant == {"meter": METER, "unlimited": True}
    put_entries(database_url, {"kind": "budget", "id": "fleet:daily", "body": None})
    (grant,) = exchange(database_url, "p", 5, asks=[{METER: 10**15}])["grants"]
    assert grant == {"meter": METER, "unlimited": True}


def test_a_limit_of_a_workspace_is_a_budget(database_url: str) -> None:
    workspace = {"id": "a:b", "budgetLimits": {"daily": 1e-6, "task": 1}, "onLimit": "cheap", "overdraft": 0.25}
    put_entries(database_url, {"kind": "workspace", "id": "a:b", "body": workspace})
    name = "workspace:a:b:daily"
    answer = exchange(
        database_url, "p", 1,
        asks=[{f"budget/{name}": 1000}, {f"overdraft/{name}": 250}, {f"overdraft/{name}": 1}],
    )  # fmt: skip
    assert [(each["granted"], each["limit"]) for each in answer["grants"]] == [(1000, 1000), (250, 250)]


def test_another_time_zone_does_not_give_the_limit_a_second_time(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    spend_before(database_url, METER, 800)
    hour = datetime.now(UTC).hour
    # A zone whose day began at another moment, and overlaps with the day of UTC.
    zone = "Etc/GMT+5" if hour >= 6 else "Etc/GMT-5"
    put_budgets(database_url, {**DAILY, "timezone": zone})
    assert ask(database_url, "p", 1, fleet_daily=300) == [0]
    assert ask(database_url, "p", 2, fleet_daily=200) == [200]


def test_more_spend_than_was_leased_counts_and_stops_the_others(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    (grant,) = exchange(database_url, "p", 1, asks=[{METER: 100}])["grants"]
    exchange(database_url, "p", 2, accounts=[settled(grant, 1200)])
    assert state(database_url) == (1200, 0, 0)
    assert ask(database_url, "q", 1, fleet_daily=1) == [0]


def test_one_gateway_of_many_gives_the_alert_of_a_period(database_url: str) -> None:
    put_budgets(database_url, {**DAILY, "limit": 0.001})
    grants = [exchange(database_url, f"p{number}", 1, asks=[{METER: 100_000}])["grants"][0] for number in range(9)]
    alerts: list[dict[str, Any]] = []

    def report(number: int) -> None:
        alerts.extend(exchange(database_url, f"p{number}", 2, accounts=[settled(grants[number], 100_000)])["alerts"])

    threads = [threading.Thread(target=report, args=(number,)) for number in range(7)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert alerts == [], "700,000 of 1,000,000"
    for number in (7, 8):
        report(number)
    assert alerts == [{"meter": METER, "threshold": 0.8, "spent": 800_000, "limit": 1_000_000}]
    ((meter, threshold, spent, holder),) = execute(
        database_url, "SELECT meter, threshold, spent, holder FROM spend_alerts"
    )
    assert (meter, threshold, spent, holder) == (METER, 0.8, 800_000, "gw/p7")


def test_a_gateway_that_finds_too_little_asks_the_others_to_return_what_they_hold(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    exchange(database_url, "p", 1, asks=[{METER: 900}])
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {SPEND_CHANNEL}")
        assert ask(database_url, "q", 1, fleet_daily=200) == [0]
        assert ask(database_url, "q", 2, fleet_daily=200) == [0]
        heard = [each.payload for each in listener.notifies(timeout=0.3)]
    assert heard[:1] == [METER]


def test_a_report_that_cannot_be_right_is_refused(database_url: str) -> None:
    put_budgets(database_url, DAILY)
    account = {"meter": METER, "period_start": "2026-01-01T00:00:00Z", "spent": 5, "estimated": 0, "returned": 0}
    reports: list[dict[str, Any]] = [
        {"asks": [{METER: -1}]},
        {"wants": {METER: 10**19}},
        {"accounts": [{**account, "spent": -5}]},
        {"accounts": [{**account, "estimated": 6}]},
        {"accounts": None},
        {"lease_seconds": 0},
    ]
    for report in reports:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="expected"):
            exchange(database_url, "p", 1, **report)
