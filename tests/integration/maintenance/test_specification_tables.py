"""The tables of the specification: their columns by name, and what it asks of them, with the values of the rows."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from support.maintenance import ingest, maintain
from support.requests import a_request_id, an_attempt
from support.servers import execute
from support.spending import put_budgets, put_entries, spend_before

from centralcloud.contracts.fleet_configuration import parse_policy, to_body
from centralcloud.runtime.postgres.database import Database

COLUMNS = {
    "routing_decisions": (
        "id", "timestamp", "objective", "task_type", "complexity", "selected_model", "reasoning", "estimated_cost",
        "actual_cost", "execution_time", "estimated_time", "success", "tokens_used",
    ),
    "routing_policies": ("id", "name", "description", "policy_config", "is_active", "created_at", "updated_at"),
    "model_selections": (
        "id", "task_id", "policy_name", "selected_model", "selected_provider", "estimated_cost", "actual_cost",
        "tokens_used", "response_time_ms", "success", "created_at",
    ),
    "model_performance": (
        "id", "model_name", "provider", "window_start", "window_end", "total_requests", "successful_requests",
        "failed_requests", "avg_response_time_ms", "total_cost", "avg_tokens_used", "created_at",
    ),
    "cost_budgets": (
        "id", "budget_type", "budget_period", "budget_amount", "spent_amount", "period_start", "period_end",
        "alert_threshold", "created_at",
    ),
}  # fmt: skip


def test_every_column_has_the_name_of_the_specification(database_url: str) -> None:
    for table, columns in COLUMNS.items():
        assert execute(database_url, f"SELECT {', '.join(columns)} FROM {table}") == [], table


def selections() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Selections of three tasks, and their events."""
    rng = random.Random(4)
    rows, events = [], []
    for number in range(40):
        row = {
            "task_id": f"task-{number % 3}", "policy": rng.choice(["code", "ops"]), "model": rng.choice(["opus", "gpt-4o"]),
            "estimated": rng.choice([0.0123, 0.5]), "nano": rng.choice([15_000, 250_000_001]), "tokens": 15 + number,
            "ms": 100 + number, "success": rng.random() < 0.7,
        }  # fmt: skip
        request_id = a_request_id()
        decision = {"task_id": row["task_id"], "policy": row["policy"], "estimated_cost_usd": row["estimated"]}
        outcome = {
            "outcome": "success" if row["success"] else "failure", "cost_nano_usd": row["nano"], "input_tokens": 10,
            "output_tokens": 5 + number, "response_time_ms": row["ms"],
        }  # fmt: skip
        events.append(an_attempt(request_id, 1, "routed", row["model"], **decision))
        events.append(an_attempt(request_id, 1, outcome.pop("outcome"), row["model"], **outcome))
        rows.append(row)
    return rows, events


def test_selections_have_the_cost_of_each_task_model_and_policy(database: Database, database_url: str) -> None:
    rows, events = selections()
    ingest(database, database_url, events)
    columns = ", ".join(COLUMNS["model_selections"][1:-1])
    found = execute(
        database_url, f"SELECT {columns} FROM model_selections WHERE created_at > now() - interval '1 hour'"
    )
    assert sorted(found, key=str) == sorted(
        (
            (
                row["task_id"], row["policy"], row["model"], "github_models", Decimal(str(row["estimated"])),
                Decimal(row["nano"]) / 10**9, row["tokens"], row["ms"], row["success"],
            )
            for row in rows
        ),
        key=str,
    )  # fmt: skip
    assert execute(database_url, "SELECT count(DISTINCT id) FROM model_selections") == [(40,)]
    for column, name in (("task_id", "task_id"), ("policy_name", "policy"), ("selected_model", "model")):
        expected: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            expected[row[name]] += Decimal(row["nano"]) / 10**9
        assert (
            dict(execute(database_url, f"SELECT {column}, sum(actual_cost) FROM model_selections GROUP BY 1"))
            == expected
        )
    totals = execute(
        database_url,
        """
        SELECT date_trunc('day', created_at, 'UTC'), date_trunc('week', created_at, 'UTC'), sum(actual_cost),
            sum(actual_cost) / count(DISTINCT task_id), avg(success::int)::float8
        FROM model_selections GROUP BY 1, 2
        """,
    )
    total = sum(Decimal(row["nano"]) for row in rows) / 10**9
    assert sum(row[2] for row in totals) == total
    if len(totals) == 1:  # not in the minute after a midnight
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        assert totals[0][:2] == (midnight, midnight - timedelta(days=midnight.weekday()))
        assert totals[0][3] == pytest.approx(total / 3)
        assert totals[0][4] == pytest.approx(sum(row["success"] for row in rows) / 40)


def test_performance_has_each_model_in_its_hour(database: Database, database_url: str) -> None:
    rows, events = selections()
    ingest(database, database_url, events)
    maintain(database)
    found = execute(
        database_url,
        """
        SELECT model_name, min(provider), sum(total_requests)::int, sum(successful_requests)::int,
            sum(failed_requests)::int, sum(avg_response_time_ms * total_requests), sum(total_cost),
            sum(avg_tokens_used * total_requests),
            bool_and(window_end - window_start = interval '1 hour' AND created_at BETWEEN window_start AND now())
        FROM model_performance GROUP BY model_name
        """,
    )
    assert {row[0] for row in found} == {"opus", "gpt-4o"}
    for model, provider, requests, good, bad, milliseconds, cost, tokens, hours in found:
        own = [row for row in rows if row["model"] == model]
        outcomes = Counter(row["success"] for row in own)
        assert (provider, requests, good, bad, hours) == (
            "github_models",
            len(own),
            outcomes[True],
            outcomes[False],
            True,
        )
        assert milliseconds == pytest.approx(sum(row["ms"] for row in own))
        assert tokens == pytest.approx(sum(row["tokens"] for row in own))
        assert cost == pytest.approx(sum(row["nano"] for row in own) / 10**9)


def test_budgets_have_what_is_spent_of_them_in_the_period_of_now(database: Database, database_url: str) -> None:
    put_budgets(database_url, {"scope": "fleet", "period": "monthly", "limit": 2, "alertThreshold": 0.9})
    put_budgets(database_url, {"scope": "policy", "of": "ops", "period": "daily", "limit": 9, "enabled": False})
    limits = {"budgetLimits": {"daily": 100, "weekly": 500, "monthly": 2000}}
    put_entries(database_url, {"kind": "workspace", "id": "ws-marketing-001", "body": limits})
    spend_before(database_url, "budget/fleet:monthly", 1_900_000_001)

    columns = ", ".join(COLUMNS["cost_budgets"][1:])
    found = execute(database_url, f"SELECT {columns} FROM cost_budgets ORDER BY budget_type, budget_amount")
    assert [row[:4] for row in found] == [
        ("fleet", "monthly", Decimal(2), Decimal("1.900000001")),
        ("workspace", "daily", Decimal(100), Decimal(0)),
        ("workspace", "weekly", Decimal(500), Decimal(0)),
        ("workspace", "monthly", Decimal(2000), Decimal(0)),
    ]
    assert [row[6] for row in found] == [Decimal("0.9"), *[Decimal("0.8")] * 3]
    now = datetime.now(UTC)
    for row in found:
        assert row[4] <= now < row[5]
        assert row[4].astimezone(UTC).time().isoformat() == "00:00:00"
        assert now - timedelta(minutes=5) < row[7] <= now
    month, day, week, _ = found
    assert (month[4].astimezone(UTC).day, day[5] - day[4], week[5] - week[4]) == (
        1,
        timedelta(days=1),
        timedelta(days=7),
    )
    assert week[4].astimezone(UTC).weekday() == 0
    alerted = "SELECT budget_type FROM cost_budgets WHERE spent_amount >= alert_threshold * budget_amount"
    assert execute(database_url, alerted) == [("fleet",)]
    assert execute(database_url, "SELECT count(DISTINCT id) FROM cost_budgets") == [(4,)]
    put_budgets(database_url, {"scope": "policy", "of": "ops", "period": "task", "limit": 0.01})
    of_task = f"SELECT {columns} FROM cost_budgets WHERE budget_period = 'task'"
    assert [row[:-1] for row in execute(database_url, of_task)] == [
        ("policy", "task", Decimal("0.01"), Decimal(0), None, None, Decimal("0.8"))
    ]
    put_entries(database_url, {"kind": "workspace", "id": "acme", "body": {"budgetLimits": {"task": 0.5}}})
    assert execute(database_url, f"{of_task} AND budget_type = 'workspace'")[0][2] == Decimal("0.5")


def test_a_policy_is_read_as_it_was_written(database_url: str) -> None:
    body = {
        "name": "normal",
        "description": "Balanced cost and performance",
        "models": [
            {"provider": "openai", "model": "gpt-4o-mini", "priority": 1},
            {"provider": "anthropic", "model": "claude-3-5-sonnet", "priority": 2},
        ],
        "max_cost_per_task": 0.10,
        "max_tokens": 4000,
        "temperature": 0.7,
    }
    put_entries(database_url, {"kind": "policy", "id": "normal", "body": to_body(parse_policy(body))})
    columns = ", ".join(COLUMNS["routing_policies"][1:])
    ((name, description, config, active, created, updated),) = execute(
        database_url, f"SELECT {columns} FROM routing_policies WHERE is_active"
    )
    assert (name, description, active, created) == ("normal", body["description"], True, updated)
    assert {key: config[key] for key in ("max_cost_per_task", "max_tokens", "temperature")} == {
        "max_cost_per_task": 0.1,
        "max_tokens": 4000,
        "temperature": 0.7,
    }
    assert execute(
        database_url,
        """
        SELECT model ->> 'provider', model ->> 'model', (model ->> 'priority')::int
        FROM routing_policies, jsonb_array_elements(policy_config -> 'models') AS model
        WHERE name = 'normal' ORDER BY 3
        """,
    ) == [("openai", "gpt-4o-mini", 1), ("anthropic", "claude-3-5-sonnet", 2)]
