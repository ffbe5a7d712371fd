"""Sums of use of any events agree with one SQL sum over the records, to the nano-dollar, at every edge of a period."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from support.maintenance import ingest
from support.requests import a_request_id, an_attempt
from support.servers import execute

from centralcloud.maintenance.usage import UsageSums
from centralcloud.runtime.postgres.database import Database
from instance_agent.analytics.usage import Group, Period, Scope, read_usage

#: Clocks of the second one change by half an hour.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe")
UNITS: dict[Period, str] = {"daily": "day", "weekly": "week", "monthly": "month"}
COLUMNS: dict[Group, str] = {"workspace": "workspace", "policy": "policy", "model": "model"}
DAY = timedelta(days=1)
CALLS = 400


def midnights(zone: str, now: datetime) -> list[datetime]:
    """The midnights of the last 380 days."""
    first = (now - 380 * DAY).astimezone(ZoneInfo(zone)).date()
    days = (first + number * DAY for number in range(381))
    found = [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in days]
    return [each for each in found if each < now]


def edges(now: datetime) -> tuple[datetime, list[datetime]]:
    """Moments at which events may be counted twice or not at all: begins of periods, and changes of clocks."""
    found = []
    for zone in ZONES:
        starts = midnights(zone, now)
        for start, end in pairwise(starts[1:]):
            local = start.astimezone(ZoneInfo(zone))
            if end - start != DAY:
                found += [
                    start,
                    end,
                    start + timedelta(hours=1),
                    start + timedelta(hours=2),
                    start + timedelta(hours=3),
                ]
            elif local.day == 1 or (local.weekday() == 0 and local.day < 8):
                found.append(start)
    return min(found) - 3 * DAY, found


def random_calls(now: datetime) -> list[dict[str, Any]]:
    rng = random.Random(now.toordinal())
    first, known = edges(now)
    calls = [{"at": first, "decided": first, "nano": 1, "workspace": "acme", "policy": "code", "model": "opus"}]
    for _ in range(CALLS):
        near = rng.choice([timedelta(0), timedelta(microseconds=-1), timedelta(seconds=rng.uniform(-7200, 7200))])
        at = min(rng.choice(known) + near, now)
        before = rng.choice([timedelta(0), timedelta(minutes=rng.uniform(0, 30)), timedelta(hours=rng.uniform(0, 48))])
        calls.append(
            {
                "at": at,
                "decided": max(at - before, first),
                "nano": rng.choice([0, 1, 15_000, 333_333_333, rng.randrange(10**13)]),
                "workspace": rng.choice(["acme", "other"]),
                "policy": rng.choice(["code", "ops"]),
                "model": rng.choice(["opus", "gpt-4o"]),
            }
        )
    return calls


def test_sums_by_period_are_one_sql_sum_over_the_records(database: Database, database_url: str) -> None:
    now = datetime.now(UTC)
    calls = random_calls(now)
    events, times = [], []
    for call in calls:
        request_id = a_request_id()
        labels = {"workspace": call["workspace"], "policy": call["policy"]}
        events.append(an_attempt(request_id, 1, "routed", call["model"], **labels))
        events.append(an_attempt(request_id, 1, "success", call["model"], cost_nano_usd=call["nano"]))
        times.append((f"{request_id}-1", call["decided"], call["at"]))
    ingest(database, database_url, events)
    execute(
        database_url,
        """
        DO $$ BEGIN
            EXECUTE format(
                'CREATE TABLE records_of_a_year PARTITION OF routing_records FOR VALUES FROM (%L) TO (%L)',
                now() - interval '400 days', date_trunc('week', now(), 'UTC')
            );
        END $$
        """,
    )
    execute(database_url, "UPDATE evidence_slices SET opened_at = now() - interval '400 days'")
    execute(
        database_url,
        """
        UPDATE routing_records AS r SET created_at = CASE r.outcome WHEN 'routed' THEN t.decided ELSE t.at END
        FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS t (decision_id, decided, at)
        WHERE r.decision_id = t.decision_id
        """,
        tuple([list(column) for column in zip(*times, strict=True)]),
    )
    UsageSums(database.transaction, lambda: False).sum()

    scope = Scope(calls[0]["at"] - DAY, now + timedelta(minutes=15))
    total = sum(call["nano"] for call in calls)
    assert execute(database_url, "SELECT sum(cost_nano_usd)::text FROM routing_records") == [(str(total),)]
    with database.transaction() as connection:
        (whole,) = read_usage(connection, scope)
    assert (whole.cost_nano_usd, whole.requests, whole.successes) == (total, len(calls), len(calls))
    for zone in ZONES:
        for period, unit in UNITS.items():
            for group, column in COLUMNS.items():
                rows = execute(
                    database_url,
                    f"""
                    SELECT date_trunc(%s, o.created_at, %s), d.{column}, sum(o.cost_nano_usd), count(*)
                    FROM routing_records AS o JOIN routing_records AS d USING (decision_id)
                    WHERE o.outcome = 'success' AND d.outcome = 'routed' GROUP BY 1, 2
                    """,
                    (unit, zone),
                )
                with database.transaction() as connection:
                    uses = read_usage(connection, scope, [group], period=period, timezone=zone, most=100_000)
                found = {
                    (use.period_start, getattr(use, column)): (use.cost_nano_usd, use.successes)
                    for use in uses
                    if use.successes
                }
                assert found == {(row[0], row[1]): (row[2], row[3]) for row in rows}, (zone, period, group)
    lengths = Counter(use.period_end - use.period_start for use in uses_by_day(database, scope))
    assert {length - DAY for length in lengths} >= {timedelta(minutes=30), timedelta(minutes=-30)}


def uses_by_day(database: Database, scope: Scope) -> list[Any]:
    with database.transaction() as connection:
        return read_usage(connection, scope, period="daily", timezone="Australia/Lord_Howe")
