"""Analytics over HTTP, of a gateway whose login may read no table."""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from support.fleet import Fleet, a_fleet
from support.gateways import Gateway, a_catalog, a_key, start_gateway
from support.maintenance import maintain
from support.programs import programs_in
from support.servers import execute
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from instance_agent import RouterAnalytics
from instance_agent.cli.app import app


@pytest.fixture(scope="module")
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def keys(fleet: Fleet) -> dict[str, str]:
    """Keys of two workspaces, and one of none."""
    return {
        name: a_key(fleet.configurator, "user", workspace=workspace)
        for name, workspace in (("acme", "acme"), ("other", "other"), ("fleet", None))
    }


@pytest.fixture(scope="module")
def gateway(
    fleet: Fleet, keys: dict[str, str], running_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that has answered four requests of acme, two of which needed a second model, and one of other."""
    folder: Path = tmp_path_factory.mktemp("analytics")
    with programs_in(folder) as start:
        catalog = a_catalog(folder, running_upstream)
        catalog.write_text(catalog.read_text().replace('{"claude-*": auto}', '{"old-flash": flash}'))
        variables = {"INSTANCE_AGENT_CATALOG": os.fspath(catalog)}
        gateway = start_gateway(start, folder, running_upstream, fleet.gateway, key=keys["acme"], **variables)
        task = {"x-centralcloud-task-type": "summary", "x-centralcloud-worker": "worker-7"}
        for _ in range(2):
            assert gateway.chat("opus", headers=task).status == 200
        running_upstream.behave("status=500", model="gpt", times=2)
        for _ in range(2):
            assert gateway.chat("auto", headers=task).status == 200
        gateway.key = keys["other"]
        assert gateway.chat("flash").status == 200
        gateway.key = keys["acme"]
        eventually(lambda: execute(fleet.admin, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(14,)])
        with Database(fleet.worker, application_name="tests") as worker:
            drain(worker, batch_size=100)
            maintain(worker)
        yield gateway


def read(gateway: Gateway, path: str, key: str | None = "") -> dict:
    reply = gateway.call("GET", path, key=key)
    assert reply.status == 200, reply.body
    found: dict = reply.json()
    return found


def test_a_workspace_sees_its_own_and_a_key_without_one_sees_all(
    gateway: Gateway, keys: dict[str, str], fleet: Fleet
) -> None:
    ((cost,),) = execute(fleet.admin, "SELECT sum(cost_nano_usd) FROM routing_records")
    whole = read(gateway, "/api/routing/costs?by=workspace", keys["fleet"])
    costs = {each["workspaceId"]: each["costNanoUsd"] for each in whole["costs"]}

    assert whole["total"]["costNanoUsd"] == sum(costs.values()) == cost
    assert set(costs) == {"acme", "other"}
    assert all(costs.values())
    for name in ("acme", "other"):
        own = read(gateway, "/api/routing/costs?by=workspace,key", keys[name])
        assert [(each["workspaceId"], each["costNanoUsd"]) for each in own["costs"]] == [(name, costs[name])]
        assert own["costs"][0]["keyId"] == keys[name][:16]
        report = read(gateway, f"/api/analytics/workspaces/{name}", keys[name])
        assert report["total"]["costNanoUsd"] == costs[name]
        requests = read(gateway, "/api/metrics/requests", keys[name])["requests"]
        assert {each["workspaceId"] for each in requests} == {name}
    for key, path in ((keys["other"], "acme"), (keys["fleet"], "unknown"), (keys["acme"], "unknown")):
        refused = gateway.call("GET", f"/api/analytics/workspaces/{path}", key=key)
        assert (refused.status, refused.error["code"]) == (404, "workspace_not_found")
    models = read(gateway, "/api/analytics/models", keys["other"])
    assert [each["modelId"] for each in models["models"]] == ["flash"]
    assert models["escalations"] == []
    assert read(gateway, "/api/routing/performance", keys["other"])["escalationsByReason"] == {}


def test_the_numbers_are_those_of_the_rows(gateway: Gateway, keys: dict[str, str], fleet: Fleet) -> None:
    rows = execute(
        fleet.admin,
        """
        SELECT model, count(*), count(*) FILTER (WHERE outcome = 'success'), coalesce(sum(input_tokens), 0),
            coalesce(sum(output_tokens), 0), coalesce(sum(cost_nano_usd), 0)
        FROM routing_records WHERE outcome <> 'routed' GROUP BY model
        """,
    )
    found = read(gateway, "/api/analytics/models", keys["fleet"])["models"]
    columns = ("modelId", "attempts", "successes", "promptTokens", "completionTokens", "costNanoUsd")
    assert sorted(tuple(each[name] for name in columns) for each in found) == sorted(rows)
    decisions = execute(
        fleet.admin,
        "SELECT request_id::text, selected_model, attempts, tokens_used, round(actual_cost * 1000000000) "
        "FROM routing_decisions",
    )
    listed = read(gateway, "/api/metrics/requests", keys["fleet"])["requests"]
    assert sorted(
        (
            each["requestId"],
            each["modelId"],
            each["attempts"],
            each["promptTokens"] + each["completionTokens"],
            each["costNanoUsd"],
        )
        for each in listed
    ) == sorted(decisions)


def test_an_alias_is_the_model_that_it_stands_for_unless_it_has_calls_of_its_own(
    gateway: Gateway, keys: dict[str, str]
) -> None:
    flash = read(gateway, "/api/analytics/models?timeRange=24h&modelId=flash", keys["fleet"])["models"]
    assert flash
    assert read(gateway, "/api/analytics/models?timeRange=24h&modelId=old-flash", keys["fleet"])["models"] == flash
    assert read(gateway, "/api/routing/costs?modelId=old-flash", keys["fleet"])["total"]["costNanoUsd"] > 0
    performance = read(gateway, "/api/routing/performance?modelId=old-flash", keys["fleet"])
    assert [each["modelId"] for each in performance["performance"]] == ["flash"]
    assert read(gateway, "/api/analytics/models?modelId=unheard-of", keys["fleet"])["models"] == []


def test_reports_have_the_performance_of_each_model_and_the_reasons_of_escalations(gateway: Gateway) -> None:
    performance = read(gateway, "/api/routing/performance?by=model,worker")
    models = {each["modelId"]: each for each in performance["performance"]}
    assert performance["escalationsByReason"] == {"provider": 2}
    assert (models["gpt"]["failures"], models["gpt"]["successRate"], models["gpt"]["requests"]) == (2, 0.0, 2)
    assert (models["opus"]["successes"], models["opus"]["requests"], models["opus"]["worker"]) == (4, 2, "worker-7")
    assert models["opus"]["tokensPerSecond"] > 0
    assert performance["total"]["requests"] == 4
    assert performance["policies"] == []
    report = read(gateway, "/api/analytics/models?timeRange=1h&modelId=opus")
    assert [each["modelId"] for each in report["models"]] == ["opus"]
    assert report["escalations"] == [{"reason": "provider", "fromModelId": "gpt", "toModelId": "opus", "requests": 2}]
    assert report["summedUntil"].endswith("Z")
    (task,) = read(gateway, "/api/analytics/workspaces/acme")["tasks"]
    assert (task["taskType"], task["attempts"]) == ("summary", 6)
    newest = read(gateway, "/api/metrics/requests?limit=1")
    assert [(each["modelId"], each["attempts"], each["status"]) for each in newest["requests"]] == [
        ("opus", 2, "success")
    ]
    assert read(gateway, "/api/analytics/recommendations")["recommendations"] == [], "too few outcomes"


def test_invalid_parameters_are_named(gateway: Gateway) -> None:
    for path, field in (
        ("/api/metrics/requests?limit=0", "limit"),
        ("/api/metrics/requests?limit=1001", "limit"),
        ("/api/metrics/requests?limit=x", "limit"),
        ("/api/metrics/requests?page=2", "page"),
        ("/api/analytics/models?timeRange=1y", "timeRange"),
        ("/api/analytics/models?timeRange=1d&timeRange=2d", "timeRange"),
        ("/api/routing/costs?period=year", "period"),
        ("/api/routing/costs?by=model,user", "by"),
        ("/api/routing/costs?timezone=Mars/Olympus", "timezone"),
        ("/api/routing/performance?modelId=", "modelId"),
    ):
        refused = gateway.call("GET", path)
        assert (refused.status, refused.error["field"]) == (422, field), path


def test_the_overview_counts_models_by_their_health(gateway: Gateway) -> None:
    overview = read(gateway, "/api/health/overview")
    assert (overview["models"]["total"], overview["models"]["inactive"]) == (4, 0)
    assert overview["models"]["healthy"] + overview["models"]["degraded"] + overview["models"]["unhealthy"] == 4
    assert {each["provider"] for each in overview["providers"]} == {"alpha", "beta", "gamma"}


def test_the_command_line_shows_the_same_costs(gateway: Gateway, keys: dict[str, str], fleet: Fleet) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, env={"DATABASE_URL": fleet.gateway})
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    whole = read(gateway, "/api/routing/costs?by=workspace,model", keys["fleet"])
    found = json.loads(run("costs", "--by", "workspace,model", "--json").replace("+00:00", "Z"))
    assert (found["costs"], found["total"]) == (whole["costs"], whole["total"])
    table = run("costs", "--by", "workspace", "--workspace", "other", "--period", "month")
    assert "other" in table
    assert "acme" not in table
    as_of = r"As of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, [^;]+ ago; later calls are not summed yet\.\n"
    assert re.fullmatch(f"nothing to recommend\n{as_of}", run("recommendations", "--workspace", "acme"))
    assert re.search(f"in all [0-9.]+ USD\n{as_of}$", table)
    moved = run("costs", "--timezone", "Asia/Kathmandu")
    assert re.search(r"As of [0-9 :-]{19} \+0545, ", moved)
    for arguments in (["--by", "user"], ["--period", "year"], ["--timezone", "Mars/Olympus"], ["--time-range", "1y"]):
        refused = CliRunner().invoke(app, ["costs", *arguments], env={"DATABASE_URL": fleet.gateway})
        assert isinstance(refused.exception, SettingsError), arguments
        assert str(refused.exception).startswith(arguments[0])


def test_the_reports_of_python_are_those_of_the_gateway(
    gateway: Gateway, keys: dict[str, str], fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fleet.gateway)
    analytics = RouterAnalytics()

    costs, whole = analytics.get_cost_analysis(), read(gateway, "/api/routing/costs", keys["fleet"])
    assert costs["total_cost_nano_usd"] == whole["total"]["costNanoUsd"] > 0
    assert costs["by_model"] == {each["modelId"]: each["cost"] for each in whole["costs"]}
    assert costs["by_day"] == {each["periodStart"][:10]: each["cost"] for each in whole["periods"]}
    assert costs["summed_until"] == datetime.fromisoformat(whole["summedUntil"])
    report = analytics.get_model_performance_report()
    for each in read(gateway, "/api/routing/performance", keys["fleet"])["performance"]:
        own = report.pop(each["modelId"])
        assert (own["requests"], own["cost_nano_usd"], own["success_rate"]) == (
            each["attempts"],
            each["costNanoUsd"],
            each["successRate"],
        )
        assert (own["input_tokens"], own["output_tokens"]) == (each["promptTokens"], each["completionTokens"])
        assert own["average_response_time"] == pytest.approx(each["averageLatency"] / 1000, abs=1e-4)
        assert own["tokens_per_second"] == pytest.approx(each["tokensPerSecond"] or None, abs=0.01)
    assert not report
    assert (analytics.get_daily_budget_remaining(), analytics.get_optimization_recommendations()) == (None, [])


def test_the_reports_of_python_say_which_right_a_login_lacks(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", fleet.instance)
    analytics = RouterAnalytics(daily_budget_usd=1)
    for report in (
        analytics.get_cost_analysis,
        analytics.get_model_performance_report,
        analytics.get_optimization_recommendations,
        analytics.get_daily_budget_remaining,
    ):
        with pytest.raises(
            CentralCloudError, match=r"may not read the sums of use .*with the rights of centralcloud_gat"
        ):
            report()
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/nothing")
    with pytest.raises(
        CentralCloudError, match=r"the sums of use cannot be read from the database: .*refused"
    ) as refused:
        RouterAnalytics().get_cost_analysis()
    assert "\n" not in str(refused.value)
    assert RouterAnalytics.of_process().get_daily_budget_remaining() is None


def test_dashboards_read_the_sums_and_the_views_and_no_keys(fleet: Fleet, gateway: Gateway) -> None:
    queries = ("SELECT workspace, cost_nano_usd FROM usage_roll_ups", "SELECT * FROM escalation_roll_ups")
    for query in (*queries, "SELECT * FROM model_selections", "SELECT * FROM model_performance"):
        assert execute(fleet.dashboard, query), query
    execute(fleet.dashboard, "SELECT * FROM cost_budgets")
    with pytest.raises(Exception, match="permission denied"):
        execute(fleet.dashboard, "SELECT key_id FROM usage_roll_ups")
    with pytest.raises(Exception, match="permission denied"):
        execute(fleet.gateway, "SELECT 1 FROM usage_roll_ups")
