"""Sums of use agree with the records to the nano-dollar: by every group, across periods, time zones and repeated runs."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from support.events import outcomes
from support.maintenance import ingest, maintain
from support.plans import explain, nodes
from support.requests import a_request_id, an_attempt, report_feedback, waiting
from support.servers import execute

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from instance_agent.analytics import reports
from instance_agent.analytics.usage import GROUPS, Group, Scope, Use, read_escalations, read_model_use, read_usage

COLUMNS: dict[Group, str] = {
    "workspace": "workspace", "key": "key_id", "policy": "policy", "worker": "worker", "task": "task_type", "model": "model",
}  # fmt: skip
ALL = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def a_call(labels: dict[str, Any], nano: int | None, **numbers: Any) -> list[dict[str, Any]]:
    """The two events of a call: its labels are in the decision alone, its numbers in the outcome alone."""
    request_id = a_request_id()
    names = {name: value for name, value in labels.items() if name != "model"}
    outcome = {"cost_nano_usd": nano, "input_tokens": 10, "output_tokens": 5, "response_time_ms": 600, **numbers}
    model = labels["model"]
    # As a gateway sends them: the outcome has the task, too.
    return [
        an_attempt(request_id, 1, "routed", model, **names),
        an_attempt(request_id, 1, outcome.pop("outcome", "success"), model, task_type=names["task_type"], **outcome),
    ]


def known_calls(count: int) -> list[tuple[dict[str, Any], int]]:
    """Labels and costs of calls, 0.000015 USD and odd amounts among them."""
    rng = random.Random(14)
    return [
        (
            {
                "workspace": rng.choice(["acme", "other"]),
                "key_id": rng.choice(["k1", "k2"]),
                "policy": rng.choice(["code", "normal"]),
                "worker": rng.choice(["w1", "w2", "w3"]),
                "task_type": rng.choice(["fix_bug", "chat"]),
                "model": rng.choice(["gpt-4o", "opus"]),
            },
            rng.choice([15_000, 1, 333_333_333, 1_000_000_007]),
        )
        for _ in range(count)
    ]


def summed(database: Database, *groups: Group, **scope: Any) -> list[Use]:
    with database.transaction() as connection:
        return read_usage(connection, Scope(*ALL, **scope), groups)


def test_totals_of_100_known_calls_equal_a_hand_count_by_every_group(database: Database, database_url: str) -> None:
    calls = known_calls(100)
    ingest(database, database_url, [event for labels, nano in calls for event in a_call(labels, nano)])
    maintain(database)
    maintain(database)

    (total,) = summed(database)
    assert total.cost_nano_usd == sum(nano for _, nano in calls)
    assert (total.requests, total.attempts, total.successes, total.failures, total.without_cost) == (
        100,
        100,
        100,
        0,
        0,
    )
    assert (total.input_tokens, total.output_tokens, total.response_time_sum_ms) == (1000, 500, 60_000)
    assert total.workspace is None
    for group in GROUPS:
        expected: Counter[str] = Counter()
        for labels, nano in calls:
            expected[labels[COLUMNS[group]]] += nano
        found = {getattr(use, "model" if group == "model" else COLUMNS[group]): use for use in summed(database, group)}
        assert {name: int(use.cost_nano_usd) for name, use in found.items()} == expected, group
    of_acme = sum(nano for labels, nano in calls if labels["workspace"] == "acme")
    assert [use.cost_nano_usd for use in summed(database, workspace="acme")] == [of_acme]
    assert summed(database, workspace="third") == []
    columns = "sum(cost_nano_usd), round(sum(total_cost)::numeric, 6), count(DISTINCT id) = count(*)"
    hourly = f"SELECT {columns} FROM model_performance"
    assert execute(database_url, hourly) == [
        (total.cost_nano_usd, round(Decimal(total.cost_nano_usd) / 10**9, 6), True)
    ]


def test_sums_by_day_agree_with_the_records_in_every_time_zone(database: Database, database_url: str) -> None:
    """The outcome of a call may arrive hours after its decision, whose labels it takes."""
    calls = known_calls(60)
    ingest(database, database_url, [event for labels, nano in calls for event in a_call(labels, nano)])
    monday = "date_trunc('week', now(), 'UTC')"
    execute(database_url, f"UPDATE evidence_slices SET opened_at = {monday} - interval '8 days'")
    execute(
        database_url,
        f"""
        UPDATE routing_records
        SET created_at = {monday} + (now() - {monday}) * (id::float8 / (SELECT max(id) FROM routing_records))
        """,
    )
    earlier = f"greatest({monday}, created_at - interval '5 hours')"
    execute(database_url, f"UPDATE routing_records SET created_at = {earlier} WHERE outcome = 'routed'")
    maintain(database)

    since = datetime.now(UTC) - timedelta(days=8)
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"):
        rows = execute(
            database_url,
            "SELECT date_trunc('day', created_at, %s), sum(cost_nano_usd) FROM routing_records "
            "WHERE outcome <> 'routed' GROUP BY 1",
            (zone,),
        )
        with database.transaction() as connection:
            scope = Scope(since, datetime.now(UTC) + timedelta(minutes=15))
            found = reports.cost_report(connection, scope, ["workspace"], timezone=zone)
        assert {each["periodStart"]: each["costNanoUsd"] for each in found["periods"] if each["costNanoUsd"]} == {
            start.astimezone(UTC): int(cost) for start, cost in rows
        }, zone
        assert found["total"]["costNanoUsd"] == sum(nano for _, nano in calls)
        by_workspace: Counter[str] = Counter()
        for each in found["costs"]:
            by_workspace[each["workspaceId"]] += each["costNanoUsd"]
        expected: Counter[str] = Counter()
        for labels, nano in calls:
            expected[labels["workspace"]] += nano
        assert by_workspace == expected, "outcomes take the labels of decisions that arrived earlier"


def test_days_on_which_clocks_change_have_their_own_length(database: Database, database_url: str) -> None:
    """One nano-dollar in each quarter-hour of weeks with changes: a day costs as many as it has quarter-hours."""
    weeks = [
        datetime(2026, month, day, tzinfo=UTC)
        for month, day in ((3, 5), (3, 26), (4, 2), (4, 22), (10, 2), (10, 22), (10, 29))
    ]
    quarter = timedelta(minutes=15)
    windows = [begin + number * quarter for begin in weeks for number in range(5 * 96)]
    execute(
        database_url,
        """
        INSERT INTO usage_roll_ups (
            window_start, id, workspace, key_id, policy, worker, task_type, model_name, provider, cost_nano_usd
        )
        SELECT at, gen_random_uuid(), '', '', '', '', '', 'm', 'p', 1 FROM unnest(%s::timestamptz[]) AS at
        """,
        (windows,),
    )
    lengths = set()
    for zone in ("Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"):
        for begin in weeks:
            end = begin + timedelta(days=5)
            with database.transaction() as connection:
                days = read_usage(connection, Scope(begin, end), period="daily", timezone=zone)
            found = {
                (use.period_start.astimezone(ZoneInfo(zone)) + timedelta(hours=2)).date(): int(use.cost_nano_usd)
                for use in days
            }
            expected = Counter(at.astimezone(ZoneInfo(zone)).date() for at in windows if begin <= at < end)
            whole = sorted(expected)[1:-1]  # the first and the last day are only partly in the week
            assert {day: found[day] for day in whole} == {day: expected[day] for day in whole}, (zone, begin)
            lengths |= {expected[day] for day in whole}
    assert lengths == {4 * 23, 4 * 23.5, 4 * 24, 4 * 24.5, 4 * 25}, "days of 23 hours to 25 hours were among them"


def test_escalations_are_counted_by_reason_and_feedback_by_model(database: Database, database_url: str) -> None:
    one, two, three = a_request_id(), a_request_id(), a_request_id()
    labels = {"workspace": "acme", "key_id": "k1"}
    ingest(
        database,
        database_url,
        [
            *[
                event
                for request_id, reason in ((one, "timeout"), (two, "timeout"), (three, "provider"))
                for event in (
                    an_attempt(request_id, 1, "routed", "cheap", **labels),
                    an_attempt(request_id, 1, "failure", "cheap", error_kind=reason, response_time_ms=100),
                    an_attempt(request_id, 2, "routed", "dear", **labels),
                    an_attempt(
                        request_id, 2, "success", "dear", response_time_ms=1100, first_token_ms=100, output_tokens=50,
                        cost_nano_usd=7,
                    ),
                )
            ],
            *a_call({"workspace": "other", "task_type": "chat", "model": "cheap"}, None),
        ],
    )  # fmt: skip
    report_feedback(database_url, one, True, 0.9)
    report_feedback(database_url, two, False)
    awaited = a_request_id()
    ingest(database, database_url, [waiting(awaited, model="cheap", workspace="third", key_id="k3", cost_nano_usd=9)])
    report_feedback(database_url, awaited, True)
    ingest(database, database_url, [])  # the outcome that the feedback has become
    maintain(database)
    maintain(database)

    with database.transaction() as connection:
        found = read_escalations(connection, Scope(*ALL))
        report = reports.performance_report(connection, Scope(*ALL, workspace="acme"))
        assert read_escalations(connection, Scope(*ALL, workspace="other")) == []
    assert [tuple(each) for each in found] == [("timeout", "cheap", "dear", 2), ("provider", "cheap", "dear", 1)]
    assert report["escalationsByReason"] == {"timeout": 2, "provider": 1}
    assert (report["total"]["requests"], report["total"]["attempts"]) == (3, 6)
    dear, cheap = report["performance"]
    assert (dear["modelId"], dear["tokensPerSecond"], dear["costNanoUsd"], dear["successRate"]) == (
        "dear",
        50.0,
        21,
        1.0,
    )
    assert dear["feedback"] == {"count": 2, "successes": 1, "satisfaction": 0.45}
    assert (cheap["modelId"], cheap["failures"], cheap["successes"], cheap["requests"]) == ("cheap", 3, 0, 3)
    (other,) = summed(database, workspace="other")
    assert (other.without_cost, other.requests) == (1, 1), "an unknown cost is not 0"
    (third,) = summed(database, "key", workspace="third")
    assert (third.key_id, third.cost_nano_usd, third.successes, third.without_cost, third.requests) == (
        "k3",
        9,
        1,
        0,
        1,
    )


def test_rare_workers_of_a_workspace_are_summed_as_other_and_no_cost_is_lost(
    database: Database, database_url: str
) -> None:
    labels = {"task_type": "chat", "model": "m"}
    calls = [a_call({**labels, "workspace": "busy", "worker": f"w{n % 300}"}, 1 + n) for n in range(330)]
    ingest(
        database,
        database_url,
        [event for call in [*calls, a_call({**labels, "workspace": "quiet", "worker": "w"}, 5)] for event in call],
    )
    execute(database_url, "UPDATE routing_records SET created_at = (SELECT max(created_at) FROM routing_records)")
    maintain(database)

    ((rows,),) = execute(database_url, "SELECT count(*) FROM usage_roll_ups WHERE workspace = 'busy'")
    assert rows == 201
    (busy,) = summed(database, workspace="busy")
    assert (busy.cost_nano_usd, busy.requests) == (330 * 331 // 2, 330)
    by_worker = {use.worker: use.requests for use in summed(database, "worker")}
    assert by_worker["(other)"] >= 100
    assert by_worker["w0"] == 2, "the most frequent ones keep their names"
    assert by_worker["w"] == 1, "another workspace has rows of its own"


def test_reports_read_no_record(database: Database, database_url: str) -> None:
    calls = known_calls(50)
    ingest(database, database_url, [event for labels, nano in calls for event in a_call(labels, nano)])
    maintain(database)
    touched = """
        SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::int
        FROM pg_stat_xact_user_tables WHERE relname LIKE 'routing_records%'
    """
    with psycopg.connect(database_url) as connection:
        scope = Scope(*ALL, workspace="acme")
        month = Scope(datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) + timedelta(hours=1))
        assert reports.model_report(connection, scope)["count"] == 2
        reports.workspace_report(connection, scope)
        reports.cost_report(connection, month, ["task", "model", "policy", "worker"], period="week")
        reports.performance_report(connection, scope)
        reports.recommendation_report(connection, scope, [], datetime.now(UTC))
        assert connection.execute(touched).fetchone() == (0,)
        assert reports.request_report(connection, 10)["count"] == 10
        assert connection.execute(touched).fetchone() != (0,), "the test would see a read"


def test_summing_looks_at_each_record_a_few_times_also_where_the_planner_knows_nothing(
    database: Database, database_url: str
) -> None:
    """The server has no statistics of a new partition, and expects one record in any range of time."""
    calls = known_calls(500)
    events = [event for labels, nano in calls for event in a_call(labels, nano)]
    events += outcomes(500, 0)  # of instances that send no decision and no request_id
    ingest(database, database_url, events)
    now = datetime.now(UTC)
    window = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}
    for name in ("sum_usage", "sum_escalations"):
        plan = explain(
            database_url,
            Query("centralcloud.maintenance", name).text.decode(),
            {**window, "of_workspace": 200, "of_all": 5000, "other": "(other)"},
        )
        looked = [
            node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0))
            for node in nodes(plan)
        ]
        assert max(looked) <= 3 * len(events), json.dumps(plan, indent=1)
        scans = [
            node["Actual Loops"] for node in nodes(plan) if str(node.get("Relation Name")).startswith("routing_records")
        ]
        assert max(scans) <= 1, "no partition is looked at for each record"


def test_the_newest_requests_are_those_of_the_workspace(database: Database, database_url: str) -> None:
    failed, other = a_request_id(), a_request_id()
    ingest(
        database,
        database_url,
        [
            an_attempt(failed, 1, "routed", "cheap", workspace="acme", worker="w"),
            an_attempt(failed, 1, "failure", "cheap", error_kind="timeout", response_time_ms=100, cost_nano_usd=1),
            an_attempt(failed, 2, "routed", "dear", workspace="acme", worker="w"),
            an_attempt(failed, 2, "success", "dear", response_time_ms=200, cost_nano_usd=2_000_000_000, input_tokens=3),
            an_attempt(other, 1, "routed", "dear", workspace="other"),
        ],
    )
    with database.transaction() as connection:
        (only,) = reports.request_report(connection, 100, "acme")["requests"]
        everything = reports.request_report(connection, 100)["requests"]
        newest = reports.request_report(connection, 1)["requests"]
    assert only | {"timestamp": ""} == {
        "requestId": failed, "timestamp": "", "modelId": "dear", "provider": "github_models", "workspaceId": "acme",
        "worker": "w", "attempts": 2, "status": "success", "latency": 300, "promptTokens": 3, "costNanoUsd": 2_000_000_001,
        "cost": 2.000000001,
    }  # fmt: skip
    assert [each["requestId"] for each in everything] == [other, failed]
    assert [(each["requestId"], each["status"]) for each in newest] == [(other, "no_outcome")]


def test_models_are_summed_by_the_complexity_of_their_tasks(database: Database, database_url: str) -> None:
    labels = {
        "workspace": "acme",
        "key_id": "k1",
        "policy": "code",
        "worker": "w1",
        "task_type": "chat",
        "model": "opus",
    }
    calls = [("simple", 5, 100), ("complex", 7, 1_000)]
    events = [
        event | {"routing_decision": event["routing_decision"] | {"complexity": complexity}}
        for complexity, count, nano in calls
        for _ in range(count)
        for event in a_call(labels, nano)
    ]
    ingest(database, database_url, events)
    for _ in range(2):
        maintain(database)
        with database.transaction() as connection:
            found = read_model_use(connection, Scope(*ALL))
            assert read_model_use(connection, Scope(*ALL, workspace="other")) == []
        assert [(each.complexity, each.model, each.attempts, each.successes, each.cost_nano_usd) for each in found] == [
            ("complex", "opus", 7, 7, 7_000),
            ("simple", "opus", 5, 5, 500),
        ]
    execute(database_url, "UPDATE usage_roll_ups SET complexity = '' WHERE complexity = 'simple'")
    with database.transaction() as connection:
        found = read_model_use(connection, Scope(*ALL))
    assert [each.complexity for each in found] == ["complex"], "sums of older workers are in no comparison"
