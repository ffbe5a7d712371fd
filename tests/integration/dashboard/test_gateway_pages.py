"""The pages of the gateways and of a request, over real events."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from support.dashboards import a_dashboard
from support.fleet import a_fleet
from support.ingest import ingest
from support.requests import a_request_id, an_attempt, report_feedback
from support.servers import execute
from support.waiting import eventually

from centralcloud.dashboard.pages import gateway
from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.sources.gateways import DAY, FILTERED_HOUR, FOUND_REQUESTS, GATEWAYS
from centralcloud.dashboard.sources.request import REQUEST
from centralcloud.runtime.postgres.database import Database

HOSTILE = "<script>alert(1)</script>"
PLAN = {
    "task": {"type": "code", "level": "simple", "complexity": None, "from": ["header", "classifier"], "confidence": 0.9},
    "kind": "best",
    "policy": "code",
    "targets": [{"model": "gpt-4o", "provider": "openai", "reason": "best", "score": 4.5}],
    "struck": [{"target": "old@openai", "reason": "deprecated"}],
    "config_version": 1,
}  # fmt: skip


@pytest.fixture
def requests(database: Database, database_url: str) -> dict[str, str]:
    """Ids of requests: one that failed over, one that failed, one that is open."""
    ids = {name: a_request_id() for name in ("failed_over", "failed", "open")}
    common = {"workspace": HOSTILE, "policy": "code", "task_type": "code"}
    ingest(
        database,
        database_url,
        [
            an_attempt(ids["failed_over"], 1, "routed", plan=PLAN, **common),
            an_attempt(ids["failed_over"], 1, "failure", error_kind="timeout", response_time_ms=1000),
            an_attempt(ids["failed_over"], 2, "routed", "claude", **common),
            an_attempt(ids["failed_over"], 2, "success", "claude", response_time_ms=500, first_token_ms=100),
            an_attempt(ids["failed"], 1, "routed", workspace="acme"),
            an_attempt(ids["failed"], 1, "failure", error_kind="provider"),
            an_attempt(ids["open"], 1, "routed"),
        ],
    )
    return ids


@pytest.fixture
def dashboard(database: Database, requests: dict[str, str]) -> Iterator[Dashboard]:
    with a_dashboard(database) as dashboard:
        eventually(lambda: dashboard.reader.snapshot.read_at is not None)
        yield dashboard


def get(dashboard: Dashboard, path: str) -> tuple[int, str, str]:
    """Status, text, and the address that the answer leads to."""

    async def fetch() -> tuple[int, str, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(dashboard.url.rstrip("/") + path, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    return asyncio.run(fetch())


def test_the_rate_of_a_young_gateway_is_that_of_its_life(
    database: Database, database_url: str, requests: dict[str, str]
) -> None:
    def seconds() -> float:
        with database.transaction() as connection:
            (found,) = GATEWAYS.read(connection)
        return found.seconds

    assert (seconds(), len(requests)) == (300, 3), "it has reported no state"
    execute(
        database_url,
        "INSERT INTO instances (instance_id, applied_version) SELECT DISTINCT instance_id, 0 FROM routing_records",
    )
    assert seconds() == 60
    execute(database_url, "UPDATE instances SET first_seen_at = now() - interval '90 seconds'")
    assert 90 <= seconds() < 150
    execute(database_url, "UPDATE instances SET first_seen_at = now() - interval '1 day'")
    assert seconds() == 300


def test_the_page_of_the_gateways_shows_how_requests_end(dashboard: Dashboard) -> None:
    status, html, _ = get(dashboard, "/gateway")
    assert status == 200
    assert (
        "<h1>1 gateway answers 3 requests in five minutes" in html or "<h1>1 gateway answers 1 request a minute" in html
    )
    assert html.count('"visually-hidden">Request ') == 3
    assert "answered after a failure" in html
    assert HOSTILE not in html


def test_filters_find_the_requests_that_fulfil_all_of_them(dashboard: Dashboard, requests: dict[str, str]) -> None:
    found = {
        "outcome=failed": "failed",
        "outcome=failed_over&model=claude": "failed_over",
        "outcome=open": "open",
        "workspace=acme": "failed",
        "error_kind=timeout&policy=code": "failed_over",
    }
    for query, name in found.items():
        html = get(dashboard, f"/gateway?{query}")[1]
        assert html.count('"visually-hidden">Request ') == 1, query
        assert f"Request {requests[name]}" in html, query
    assert (
        "None of the newest requests fulfils these conditions."
        in get(dashboard, "/gateway?workspace=acme&policy=code")[1]
    )


def test_the_sums_of_the_hour_follow_the_filters(database: Database, requests: dict[str, str]) -> None:
    with database.transaction() as connection:
        everything = FILTERED_HOUR.read(connection)
        acme = FILTERED_HOUR.read(connection, "acme")
    total = next(each for each in everything if each.dimension == "all")
    assert (total.requests, total.at_once, total.failed_over, total.failed) == (3, 0, 1, 1)
    assert (total.total_p50, total.first_token_p50) == (1500, 100)
    assert {each.name: each.requests for each in everything if each.dimension == "workspace"} == {
        HOSTILE: 1, "acme": 1, None: 1,
    }  # fmt: skip
    assert next(each.requests for each in acme if each.dimension == "all") == 1


def test_a_request_is_explained_from_its_task_to_what_was_learned(
    dashboard: Dashboard, requests: dict[str, str]
) -> None:
    status, html, _ = get(dashboard, f"/request/{requests['failed_over']}")
    assert status == 200
    for words in (
        "claude answered a complex task in 1.5 s, after 1 failed attempt",
        "from the classifier, from the text",
        "the best by its score",
        "it is deprecated: used only when a client names it",
        "after a failure: no answer in time",
        "counts as a failure for complex tasks",
        "counts as a success for complex tasks",
    ):
        assert words in html, words
    assert "None has arrived." in html
    assert HOSTILE not in html


def test_feedback_is_shown_without_its_words(dashboard: Dashboard, requests: dict[str, str], database_url: str) -> None:
    report_feedback(database_url, requests["failed"], success=False, reward=0.25, comment="a secret")
    html = get(dashboard, f"/request/{requests['failed']}")[1]
    assert "Bad, reward 0.25 of 1. Learning does not count it" in html
    assert "a secret" not in html


def test_live_updates_find_the_page_of_a_path_with_a_parameter(dashboard: Dashboard, requests: dict[str, str]) -> None:
    path = f"/request/{requests['open']}"

    async def watch() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                dashboard.url.replace("http", "ws") + "live",
                params={"page": f"{path}?zone=UTC"},
                origin=dashboard.url.rstrip("/"),
            ) as socket,
        ):
            first = json.loads(await socket.receive_str())
            assert "was called for a complex task" in first["fragments"]["heading"]
            assert requests["open"] in first["fragments"]["heading"]

    asyncio.run(watch())


def test_a_form_leads_to_the_request(dashboard: Dashboard, requests: dict[str, str]) -> None:
    status, _, location = get(dashboard, f"/request?request_id=+{requests['open']}+")
    assert (status, location) == (302, f"/request/{requests['open']}")
    assert get(dashboard, "/request?request_id=//evil.example/")[2] == "/request/%2F%2Fevil.example%2F"
    status, html, _ = get(dashboard, "/request?request_id=")
    assert status == 404
    assert "Found no request id, expected an address such as /request/request_id." in html


def test_what_is_gone_is_named(dashboard: Dashboard, requests: dict[str, str], database_url: str) -> None:
    status, html, _ = get(dashboard, f"/request/{HOSTILE}")
    assert status == 404
    assert HOSTILE not in html
    assert get(dashboard, "/request/a%2Fb")[0] == 404
    status, html, _ = get(dashboard, f"/request/{uuid.uuid4()}")
    assert status == 404
    assert "refused before a model was called" in html
    old = int((datetime.now(UTC) - timedelta(days=120)).timestamp() * 1000)
    long_ago = uuid.UUID(int=old << 80 | 7 << 76 | 2 << 62)
    status, html, _ = get(dashboard, f"/request/{long_ago}")
    assert status == 404
    assert "are kept for 90 days" in html
    assert "No plan has arrived" in get(dashboard, f"/request/{requests['failed']}")[1]
    execute(database_url, "DELETE FROM routing_records")
    eventually(
        lambda: "Only the plan of this request is here" in get(dashboard, f"/request/{requests['failed_over']}")[1]
    )


def test_without_a_gateway_the_page_is_one_card_with_a_command(database: Database) -> None:
    with a_dashboard(database) as dashboard:
        eventually(lambda: dashboard.reader.snapshot.read_at is not None)
        html = get(dashboard, "/gateway")[1]
    assert "No gateway has answered a request yet" in html
    assert "instance-agent serve" in html
    assert "<table" not in html


def test_breakers_and_budgets_are_in_the_heading(
    database: Database, database_url: str, requests: dict[str, str]
) -> None:
    execute(
        database_url,
        """
        INSERT INTO target_health (kind, key, reporter, state, reason, reported_at, expires_at)
        VALUES ('breaker', 'gpt-4o@openai|0a1b2c3d', 'gw', 'open', 'calls of it failed', now(), now() + interval '1 hour')
        """,
    )
    execute(
        database_url,
        """
        INSERT INTO spend_periods (meter, period_start, period_end, unit, limit_amount, spent)
        VALUES ('budget/workspace:acme:daily', now(), now() + interval '1 hour', 'nano_usd', 1000, 1000)
        """,
    )
    with a_dashboard(database) as dashboard:
        eventually(lambda: dashboard.reader.snapshot.read_at is not None)
        html = get(dashboard, "/gateway")[1]
    assert "gpt-4o is failing over; 1 budget is used up</h1>" in html
    assert "open: no calls" in html
    assert "workspace acme, a day" in html


def test_the_role_of_dashboards_may_read_all_of_it_and_no_key(server: str) -> None:
    body = {"name": "Atlas", "provider": "p", "parameters": {"secret": 1}}
    with a_fleet(server) as fleet:
        execute(
            fleet.admin,
            "INSERT INTO configuration_entries VALUES ('model', 'atlas', %s, 1), ('key', 'k', '{\"hash\": \"x\"}', 1)",
            (json.dumps(body),),
        )
        with Database(fleet.dashboard, application_name="tests") as database, database.transaction() as connection:
            for source in gateway.PAGE.sources:
                source.read(connection)
            REQUEST.read(connection, str(uuid.uuid4()))
            FOUND_REQUESTS.read(connection, 10)
            DAY.read(connection)
            rows = connection.execute("SELECT kind, id, body::text FROM dashboard_configuration").fetchall()
    assert [(kind, name) for kind, name, _ in rows] == [("model", "atlas")]
    assert "secret" not in rows[0][2]
    assert json.loads(rows[0][2])["status"] == "active"
