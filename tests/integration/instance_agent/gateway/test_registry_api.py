"""The fleet's registry over HTTP: the requests of the model router's documentation, and what is refused."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.fleet import Fleet, a_fleet
from support.gateways import ENDPOINT, Gateway, a_key, registered, start_gateway
from support.programs import Program
from support.registry import a_model, write
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database

StartProgram = Callable[..., Program]

#: As the documentation of the model router has it.
GPT_4_TURBO = {
    "name": "GPT-4 Turbo",
    "version": "gpt-4-1106-preview",
    "provider": "openai",
    "modelType": "chat",
    "capabilities": [{"type": "text-generation", "maxTokens": 4096}],
    "parameters": {"temperature": 0.7, "maxTokens": 4096},
    "status": "active",
    "tags": ["gpt-4", "high-quality", "reasoning"],
}
HEALTH = {"status": "healthy", "responseTime": 500, "errorRate": 0.01, "availability": 99.9}
QWEN = "qwen/qwen3-30b-a3b-2507"
QWEN_PATH = "/api/models/qwen%2Fqwen3-30b-a3b-2507"


def test_the_model_of_the_documentation_is_registered_and_found(admin: Gateway) -> None:
    refused = admin.call("POST", "/api/models", {**GPT_4_TURBO, "provider": "opnai"})
    assert (refused.status, refused.error["field"]) == (422, "provider")
    assert 'provider: found "opnai" (did you mean openai?)' in refused.error["message"]
    without = admin.call("POST", "/api/models", {"name": "m", "provider": "openai"})
    assert (without.status, without.error["field"]) == (422, "version")
    created = admin.call("POST", "/api/models", GPT_4_TURBO)
    found = admin.call("GET", created.headers["location"])

    assert created.status == 201
    assert created.json() == found.json() == {**found.json(), **GPT_4_TURBO, "id": "gpt-4-1106-preview"}
    assert admin.call("GET", "/api/models").json()["count"] == 1


def test_a_model_is_registered_once(admin: Gateway) -> None:
    admin.call("POST", "/api/models", GPT_4_TURBO)
    again = admin.call("POST", "/api/models", GPT_4_TURBO)

    assert (again.status, again.error["code"]) == (409, "model_exists")
    assert again.error["requestId"] == again.headers["x-centralcloud-request-id"]


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"name": None}, "name"),
    ({"name": 7}, "name"),
    ({"status": "asleep"}, "status"),
    ({"capabilities": [{"type": "vision"}, {"typ": "x"}]}, "capabilities[1].typ"),
    ({"pricing": {"input": -1, "output": 1}}, "pricing.input"),
    ({"id": "batch"}, "id"),
    ({"id": "auto:simple"}, "id"),
    ({"tags": "gpt"}, "tags"),
]


def test_an_invalid_model_is_refused_with_the_path_of_the_field(admin: Gateway) -> None:
    for change, field in INVALID:
        refused = admin.call("POST", "/api/models", GPT_4_TURBO | change)
        assert (refused.status, refused.error["code"], refused.error["field"]) == (422, "invalid_field", field)
        assert refused.error["message"].startswith(f"{field}: found ")
    assert admin.call("GET", "/api/models").json()["count"] == 0


def test_a_body_that_is_not_an_object_is_refused(admin: Gateway) -> None:
    broken = admin.call("POST", "/api/models", b'{"name": ')
    a_list = admin.call("POST", "/api/models", [GPT_4_TURBO])

    assert (broken.status, broken.error["code"]) == (400, "invalid_request")
    assert (a_list.status, "field" in a_list.error) == (422, False)


def test_an_id_with_a_slash_is_percent_encoded_in_paths(admin: Gateway, fake_upstream: FakeUpstream) -> None:
    created = registered(admin, QWEN)
    assert created.headers["location"] == QWEN_PATH

    assert admin.call("GET", QWEN_PATH).json()["id"] == QWEN
    assert admin.chat(QWEN).headers["x-centralcloud-model"] == QWEN
    assert admin.call("PATCH", f"{QWEN_PATH}/status", {"status": "inactive"}).json()["status"] == "inactive"
    assert admin.call("POST", f"{QWEN_PATH}/health", HEALTH).json()["modelId"] == QWEN
    assert admin.call("POST", f"{QWEN_PATH}/endpoints", ENDPOINT).json()["modelId"] == QWEN
    assert [each["url"] for each in admin.call("GET", f"{QWEN_PATH}/endpoints").json()["endpoints"]] == [
        ENDPOINT["url"]
    ]
    batch = {"updates": [{"modelId": QWEN, "status": "active"}]}
    assert admin.call("PATCH", "/api/models/batch/status", batch).status == 200
    assert admin.call("GET", QWEN_PATH).json()["status"] == "active"


def test_filters_combine(admin: Gateway, database: Database) -> None:
    write(
        database,
        a_model("a", provider="openai", status="active"),
        a_model("b", provider="openai", status="inactive"),
        a_model("c", provider="other", status="active"),
        a_model("d", provider="openai", modelType="embedding"),
    )
    eventually(lambda: admin.call("GET", "/api/models").json()["count"] == 4)

    def ids(query: str) -> list[str]:
        return [each["id"] for each in admin.call("GET", f"/api/models?{query}").json()["models"]]

    assert ids("provider=openai&status=active&modelType=chat") == ["a"]
    assert ids("provider=openai") == ["a", "b", "d"]
    assert ids("provider=openai&provider=other&status=active") == ["a", "c", "d"]
    assert ids("provider=unknown") == []
    assert admin.call("GET", "/api/models?modeltype=chat").error["field"] == "modeltype"
    assert admin.call("GET", "/api/models?status=asleep").status == 422


def test_an_unknown_model_is_not_found(admin: Gateway) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "/status", {"status": "active"}),
        ("GET", "/health", None),
        ("POST", "/health", HEALTH),
        ("GET", "/endpoints", None),
        ("POST", "/endpoints", ENDPOINT),
        ("DELETE", "/endpoints/ep-1", None),
    ]
    for method, path, body in calls:
        missing = admin.call(method, f"/api/models/none{path}", body)
        assert (missing.status, missing.error["code"]) == (404, "model_not_found"), (method, path)
        strange = admin.call(method, f"/api/models/a%00b{path}", body)
        assert (strange.status, strange.error["code"]) == (404, "model_not_found"), (method, path)
    # One that only this gateway knows, from its catalog file, is not the fleet's.
    assert "catalog file" in admin.call("GET", "/api/models/gpt").error["message"]
    inactive = admin.call("PATCH", "/api/models/gpt/status", {"status": "inactive"})
    assert (inactive.status, "catalog file" in inactive.error["message"]) == (404, True)
    assert "catalog file" in admin.call("POST", "/api/models/gpt/health", HEALTH).error["message"]


def test_a_batch_is_one_change_with_a_report_for_each_item(admin: Gateway, database_url: str) -> None:
    registered(admin, "model-1")
    registered(admin, "model-2")
    version = int(admin.call("GET", "/api/models").headers["x-centralcloud-config-version"])
    updates = [{"modelId": "model-1", "status": "active"}, {"modelId": "model-2", "status": "inactive"}]

    done = admin.call("PATCH", "/api/models/batch/status", {"updates": updates})

    assert done.json() == {
        "results": [
            {"modelId": "model-1", "status": "active", "result": "unchanged"},
            {"modelId": "model-2", "status": "inactive", "result": "changed"},
        ],
        "configVersion": version + 1,
    }
    actions = execute(database_url, "SELECT who, via FROM operator_actions ORDER BY id DESC LIMIT 1")
    assert [(who.split(" as ")[0], via) for who, via in actions] == [("test", "api")]


def test_a_batch_with_an_unknown_model_changes_nothing(admin: Gateway) -> None:
    registered(admin, "model-1")
    updates = [{"modelId": "model-1", "status": "inactive"}, {"modelId": "none", "status": "inactive"}]

    refused = admin.call("PATCH", "/api/models/batch/status", {"updates": updates})
    repeated = admin.call("PATCH", "/api/models/batch/status", {"updates": [updates[0]] * 2})
    wrong = admin.call("PATCH", "/api/models/batch/status", {"updates": [updates[0], {"modelId": "model-1"}]})

    assert (refused.status, refused.error["field"]) == (422, "updates[1].modelId")
    assert [each["result"] for each in refused.json()["results"]] == ["valid", "not_found"]
    assert [each["result"] for each in repeated.json()["results"]] == ["valid", "repeated"]
    assert (wrong.status, wrong.error["field"]) == (422, "updates[1].status")
    asleep = {"updates": [updates[0], {"modelId": "model-1", "status": "asleep"}]}
    words = 'updates[1].status: found "asleep", expected one of active, inactive'
    assert admin.call("PATCH", "/api/models/batch/status", asleep).error["message"] == words
    assert admin.call("GET", "/api/models/model-1").json()["status"] == "active"


def test_a_model_that_was_reported_unhealthy_gets_no_request_until_the_report_expires(admin: Gateway) -> None:
    registered(admin, "best")
    assert admin.chat().headers["x-centralcloud-model"] == "best"

    posted = admin.call("POST", "/api/models/best/health", {"status": "unhealthy", "ttlSeconds": 3})

    assert posted.status == 200
    assert admin.chat().headers["x-centralcloud-model"] == "gpt"
    shown = admin.call("GET", "/api/models/best/health").json()
    assert (shown["status"], shown["targets"][0]["usable"]) == ("unhealthy", False)
    eventually(lambda: admin.chat().headers["x-centralcloud-model"] == "best", what="the end of the report")
    assert admin.call("GET", "/api/models/best/health").json()["status"] == "unknown"


def test_health_is_shown_as_it_was_posted(admin: Gateway) -> None:
    admin.call("POST", "/api/models", GPT_4_TURBO)
    path = "/api/models/gpt-4-1106-preview/health"
    posted = admin.call("POST", path, HEALTH)

    found = admin.call("GET", path).json()
    assert (posted.status, found) == (200, {**found, **HEALTH})
    # Why nothing is routed to it.
    assert "OPENAI_API_KEY" in found["targets"][0]["reason"]
    assert admin.call("POST", path, {"status": "fine"}).error["field"] == "status"
    assert admin.call("POST", path, {**HEALTH, "ttlSeconds": 0}).error["field"] == "ttlSeconds"


def test_an_inactive_model_gets_no_request_on_any_replica(
    admin: Gateway, start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    other = start_gateway(
        start,
        tmp_path,
        fake_upstream,
        database_url,
        key=admin.key,
        INSTANCE_ID="gateway-2",
        INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state-2"),
    )
    registered(admin, "best")
    for replica in (admin, other):
        eventually(lambda replica=replica: replica.chat().headers["x-centralcloud-model"] == "best")

    began = time.monotonic()
    assert other.call("PATCH", "/api/models/best/status", {"status": "inactive"}).status == 200
    # The replica that answered uses it already.
    assert other.chat().headers["x-centralcloud-model"] == "gpt"
    eventually(lambda: admin.chat().headers["x-centralcloud-model"] == "gpt", within_seconds=5)
    seconds = time.monotonic() - began
    calls = len(fake_upstream.requests("best"))
    for replica in (admin, other) * 20:
        assert replica.chat().headers["x-centralcloud-model"] == "gpt"
    assert replica.chat("best").status == 503
    assert len(fake_upstream.requests("best")) == calls
    assert seconds <= 1.0, f"the other replica used the model for {seconds:.2f} s"


def test_a_change_that_waits_for_another_one_is_given_up_and_holds_up_no_chat(
    admin: Gateway, database_url: str
) -> None:
    registered(admin, "best")
    with psycopg.connect(database_url) as connection, ThreadPoolExecutor(8) as threads:
        connection.execute("SELECT centralcloud.lock_configuration()")
        began = time.monotonic()
        body = {"status": "inactive"}
        waiting = [threads.submit(admin.call, "PATCH", "/api/models/best/status", body) for _ in range(8)]
        assert [admin.chat().status for _ in range(20)] == [200] * 20
        assert admin.call("GET", "/api/models/best").status == 200
        assert time.monotonic() - began < 5
        replies = [each.result() for each in waiting]
        assert time.monotonic() - began < 9
    assert {reply.status for reply in replies} == {503}
    assert all(int(reply.headers["retry-after"]) > 0 for reply in replies)
    eventually(lambda: admin.call("PATCH", "/api/models/best/status", body).status == 200, what="the next change")


@pytest.fixture
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


@pytest.fixture
def least_rights(start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, fleet: Fleet) -> Gateway:
    """A gateway with the rights of a gateway, which may not change the configuration."""
    key = a_key(fleet.configurator, "admin")
    return start_gateway(start, tmp_path, fake_upstream, fleet.gateway, key=key)


def test_a_login_without_the_right_is_refused_with_the_remedy(least_rights: Gateway, fleet: Fleet) -> None:
    with Database(fleet.configurator, application_name="tests") as database:
        write(database, a_model("known"))
    refused = least_rights.call("POST", "/api/models", GPT_4_TURBO)

    assert (refused.status, refused.error["code"]) == (403, "database_right_missing")
    assert "centralcloud_configurator" in refused.error["message"]
    assert "grants --apply" in refused.error["message"]
    eventually(lambda: least_rights.call("GET", "/api/models/known").status == 200)
    assert least_rights.call("POST", "/api/models/known/health", HEALTH).status == 200


def test_a_database_that_is_not_migrated_is_503_on_every_path(admin: Gateway, database_url: str) -> None:
    """A right that is missing is 403, with another remedy."""
    registered(admin, "best")
    chat = admin.chat()
    request_id = "01890000-0000-7000-8000-000000000000"
    requests = (
        ("POST", "/api/models", {**GPT_4_TURBO, "id": "other"}),
        ("DELETE", "/api/models/best", None),
        ("PATCH", "/api/models/best/status", {"status": "inactive"}),
        ("PATCH", "/api/models/batch/status", {"updates": [{"modelId": "best", "status": "inactive"}]}),
        ("POST", "/api/models/best/health", HEALTH),
        ("POST", "/api/models/best/endpoints", {"url": "https://a.example/v1"}),
        ("DELETE", "/api/models/best/endpoints/ep-1", None),
        ("POST", "/v1/feedback", {"request_id": request_id, "success": True}),
        ("GET", f"/api/decisions/{request_id}", None),
    )
    lost = (
        "ALTER SCHEMA centralcloud RENAME TO gone",
        "ALTER SCHEMA gone RENAME TO centralcloud; ALTER TABLE configuration_state RENAME TO gone; "
        "ALTER TABLE model_health RENAME TO gone_too; ALTER TABLE routing_records RENAME TO gone_as_well",
    )
    for statement in lost:
        execute(database_url, statement)
        for method, path, body in requests:
            reply = admin.call(method, path, body)
            assert (reply.status, reply.error["code"]) == (503, "not_migrated"), (statement, method, path)
            assert "run `centralcloud migrate` on it" in reply.error["message"]
    assert chat.status == admin.chat().status == 200


def test_without_the_database_reads_are_answered_and_changes_refused_in_time(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, proxy: TcpProxy
) -> None:
    key = a_key(database_url, "admin")
    gateway = start_gateway(start, tmp_path, fake_upstream, proxy.url, key=key)
    registered(gateway, "best")
    proxy.pause()

    began = time.monotonic()
    refused = gateway.call("PATCH", "/api/models/best/status", {"status": "inactive"})

    assert (refused.status, refused.error["code"]) == (503, "database_unavailable")
    assert time.monotonic() - began < 9
    assert int(refused.headers["retry-after"]) > 0
    assert gateway.call("GET", "/api/models/best").json()["status"] == "active"
    assert gateway.chat().status == 200
