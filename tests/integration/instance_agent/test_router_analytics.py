"""`RouterAnalytics` with a database: the sums of every instance, equal to the rows and to `instance-agent costs`."""

import asyncio
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import an_event
from support.maintenance import ingest, maintain
from support.requests import a_request_id
from support.servers import execute
from support.spending import put_budgets, spend_before
from typer.testing import CliRunner

from centralcloud.runtime.postgres.database import Database
from instance_agent import RouterAnalytics
from instance_agent.cli.app import app
from instance_agent.client.usage_records import UsageRecords

PROVIDERS = {"qwen": "lm_studio", "llama": "ollama", "gpt-4o": "openai", "opus": "anthropic"}
TASKS = ("code_generation", "reasoning", None)


def attempt(instance: str, request_id: str, number: int, model: str, task: str | None, **outcome: Any) -> list[dict]:
    """The two events of an attempt, as an instance sends them."""
    common = {
        "request_id": request_id, "attempt": number, "decision_id": f"{request_id}-{number}", "selected_model": model,
        "selected_provider": PROVIDERS[model], "task_type": task,
    }  # fmt: skip
    now = {"timestamp": datetime.now(UTC).isoformat()}
    events = [an_event(instance, outcome="routed", **common), an_event(instance, **common, **outcome)]
    return [event | now for event in events]


def calls_of_fleet(count: int) -> tuple[list[dict], int]:
    """Events of requests of three instances, and how many of these went from a local model to a paid one."""
    rng = random.Random(14)
    events: list[dict] = []
    escalated = 0
    for number in range(count):
        instance, request_id, task = f"instance-{number % 3}", a_request_id(), rng.choice(TASKS)
        good = {
            "outcome": "success", "response_time_ms": rng.randrange(100, 2_000), "input_tokens": rng.randrange(1, 500),
            "output_tokens": rng.randrange(1, 500), "cost_nano_usd": rng.choice([None, 15_000, 1, 333_333_333]),
        }  # fmt: skip
        first, second = rng.choice(list(PROVIDERS)), rng.choice(["gpt-4o", "opus"])
        if rng.random() < 0.3:
            bad = {"outcome": "failure", "error_kind": rng.choice(["timeout", "provider"]), "response_time_ms": 50}
            events += attempt(instance, request_id, 1, first, task, **bad)
            events += attempt(instance, request_id, 2, second, task, **good)
            escalated += first in ("qwen", "llama")
        else:
            events += attempt(instance, request_id, 1, first, task, **good)
    events += attempt("instance-0", a_request_id(), 1, "opus", None, outcome="failure", error_kind="caller")
    return events, escalated


@pytest.fixture
def fleet(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("INSTANCE_AGENT_CATALOG", "INSTANCE_AGENT_DAILY_BUDGET_USD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def test_the_numbers_are_those_of_the_rows_and_of_the_command(fleet: str, database: Database) -> None:
    events, escalated = calls_of_fleet(120)
    ingest(database, fleet, events)
    maintain(database)
    analytics = RouterAnalytics()
    costs, report = analytics.get_cost_analysis(), analytics.get_model_performance_report()

    rows = execute(
        fleet,
        """
        SELECT model, provider, count(*), count(*) FILTER (WHERE outcome = 'success'),
            count(*) FILTER (WHERE outcome = 'failure' AND error_kind <> 'caller'), sum(cost_nano_usd)::bigint,
            sum(input_tokens)::bigint, sum(output_tokens)::bigint,
            count(*) FILTER (WHERE outcome = 'success' AND cost_nano_usd IS NULL), count(DISTINCT instance_id)
        FROM routing_records WHERE outcome <> 'routed' GROUP BY model, provider ORDER BY count(*) DESC, model
        """,
    )
    assert {row[-1] for row in rows} == {3}, "each model was called by three instances"
    assert {
        name: (each["provider"], each["requests"], each["cost_nano_usd"], each["input_tokens"], each["output_tokens"])
        for name, each in report.items()
    } == {row[0]: (row[1], row[2], row[5], row[6], row[7]) for row in rows}
    for model, _, _, good, bad, *_ in rows:
        assert report[model]["success_rate"] == good / (good + bad)
        assert report[model]["errors"] == +Counter(failure=bad, blameless=int(model == "opus"))
        assert (report[model]["median_response_time"], report[model]["p95_response_time"]) == (None, None)
    total = sum(row[5] for row in rows)
    assert (costs["total_cost_nano_usd"], costs["total_cost"]) == (total, total / 10**9)
    assert costs["by_day"] == {f"{datetime.now(UTC):%Y-%m-%d}": total / 10**9}
    by_task = execute(
        fleet,
        "SELECT coalesce(task_type, 'unknown'), sum(cost_nano_usd)::bigint FROM routing_records GROUP BY 1 ORDER BY 2 DESC",
    )
    assert list(costs["by_task_type"].items()) == [(task, nano / 10**9) for task, nano in by_task]
    assert costs["total_tokens"] == sum(row[6] + row[7] for row in rows)
    local = sum(row[2] for row in rows if row[1] in ("lm_studio", "ollama"))
    assert costs["local_share"] == local / sum(row[2] for row in rows)
    assert (costs["escalated_requests"], costs["unknown_cost_calls"]) == (escalated, sum(row[8] for row in rows))
    assert costs["estimated_calls"] is None
    assert costs["summed_until"] is not None

    printed = CliRunner().invoke(app, ["costs", "--by", "model", "--json"]).stdout
    shown = json.loads(printed)
    assert costs["total_cost_nano_usd"] == shown["total"]["costNanoUsd"]
    assert costs["by_model"] == {each["modelId"]: each["cost"] for each in shown["costs"]}

    assert asyncio.run(analytics.get_cost_analysis_async()) == costs
    assert asyncio.run(analytics.get_model_performance_report_async()) == report
    assert RouterAnalytics.of_process().get_cost_analysis()["summed_until"] is None
    assert RouterAnalytics(UsageRecords()).get_cost_analysis()["total_cost_nano_usd"] == 0


def test_days_are_those_of_utc_and_the_budget_counts_the_whole_fleet(fleet: str, database: Database) -> None:
    for instance in ("instance-1", "instance-2"):
        good = {"outcome": "success", "cost_nano_usd": 400_000_000, "response_time_ms": 100}
        ingest(database, fleet, attempt(instance, a_request_id(), 1, "opus", None, **good))
    maintain(database)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    execute(
        fleet,
        """
        INSERT INTO usage_roll_ups (
            window_start, id, workspace, key_id, policy, worker, task_type, model_name, provider, cost_nano_usd
        )
        SELECT %s - n * interval '15 minutes', gen_random_uuid(), '', '', '', '', '', 'opus', 'anthropic', n
        FROM unnest(ARRAY[1, 96, 97]) AS n
        """,
        (midnight,),
    )
    analytics = RouterAnalytics(daily_budget_usd=1)
    for days, nano in ((1, 800_000_000), (2, 800_000_097), (3, 800_000_194), (None, 800_000_194)):
        assert analytics.get_cost_analysis(days)["total_cost_nano_usd"] == nano, days
        assert sum(analytics.get_cost_analysis(days)["by_day"].values()) == pytest.approx(nano / 10**9, abs=1e-12)
    yesterday = f"{midnight - timedelta(days=1):%Y-%m-%d}"
    assert analytics.get_cost_analysis(3)["by_day"][yesterday] == 97 / 10**9
    assert analytics.get_daily_budget_remaining() == asyncio.run(analytics.get_daily_budget_remaining_async()) == 0.2
    (budget,) = analytics.get_optimization_recommendations()
    assert (budget["kind"], budget["numbers"]) == ("budget", {"used_usd": 0.8, "limit_usd": 1.0})
    assert asyncio.run(analytics.get_optimization_recommendations_async()) == [budget]

    assert RouterAnalytics().get_daily_budget_remaining() is None
    put_budgets(fleet, {"scope": "fleet", "period": "daily", "limit": 3, "timezone": "Asia/Kathmandu"})
    spend_before(fleet, "budget/fleet:daily", 1_250_000_000)
    assert RouterAnalytics().get_daily_budget_remaining() == 1.75
    assert analytics.get_daily_budget_remaining() == 0.2, "an own budget comes first"


def test_recommendations_are_those_of_the_command(fleet: str, database: Database) -> None:
    events = []
    for model, cost in (("opus", 1_000_000), ("gpt-4o", 100_000)):
        for _ in range(250):
            good = {"outcome": "success", "cost_nano_usd": cost, "input_tokens": 10, "output_tokens": 10}
            events += attempt("instance-1", a_request_id(), 1, model, "reasoning", **good)
    for _ in range(150):
        request_id = a_request_id()
        bad = {"outcome": "failure", "error_kind": "provider"}
        events += attempt("instance-2", request_id, 1, "qwen", None, **bad)
        events += attempt("instance-2", request_id, 2, "opus", None, outcome="success", cost_nano_usd=1)
    ingest(database, fleet, events)
    maintain(database)
    put_budgets(fleet, {"scope": "fleet", "period": "monthly", "limit": 1})
    spend_before(fleet, "budget/fleet:monthly", 1_000_000_000)

    found = RouterAnalytics().get_optimization_recommendations()
    shown = json.loads(CliRunner().invoke(app, ["recommendations", "--json"]).stdout)["recommendations"]
    assert [(each["kind"], each["message"]) for each in found[:-1]] == [(each["kind"], each["text"]) for each in shown]
    cheaper = next(each for each in found if each["kind"] == "cheaper_model")
    assert (cheaper["numbers"]["modelId"], cheaper["numbers"]["insteadModelId"]) == ("opus", "gpt-4o")
    assert cheaper["numbers"]["savingNanoUsd"] == 250 * 1_000_000 + 150 - 400 * 100_000
    assert found[-1]["kind"] == "local_models"
    assert found[-1]["numbers"] == {"escalated": 150, "requests": 650}
