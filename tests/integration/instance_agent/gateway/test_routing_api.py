"""POST /api/route and /api/routing/test, with the requests of the model router's documentation."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import run_command
from support.gateways import Gateway, a_key, start_gateway
from support.ingest import ingest_all
from support.programs import Program
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database

#: As the documentation of the model router has them.
ROUTE = {
    "id": "req-12345",
    "agentType": "creative",
    "workspaceId": "ws-marketing-001",
    "userId": "user-123",
    "prompt": "Generate a creative marketing message for our new product",
    "parameters": {"temperature": 0.8, "maxTokens": 500},
    "metadata": {"requestType": "completion", "priority": "normal"},
}
TEST = {
    "agentType": "creative",
    "workspaceId": "ws-marketing-001",
    "requestType": "completion",
    "prompt": "Test prompt",
}


@pytest.fixture
def router(start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str) -> Gateway:
    """A gateway, called with a key that belongs to no workspace, and may act for any."""
    return start_gateway(start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "operator"))


def queued(url: str) -> int:
    return int(execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions")[0][0])


def test_the_request_of_the_documentation_gets_every_field_of_its_answer(
    router: Gateway, fake_upstream: FakeUpstream
) -> None:
    reply = router.call("POST", "/api/route", ROUTE)
    answer = reply.json()

    assert reply.status == 200
    assert list(answer) == ["id", "requestId", "modelId", "response", "usage", "latency", "status", "timestamp"]
    assert answer["id"] == f"response-{reply.headers['x-centralcloud-request-id']}"
    assert (answer["requestId"], answer["modelId"], answer["status"]) == ("req-12345", "gpt", "success")
    assert answer["response"] == f"You said: {ROUTE['prompt']}"
    tokens = answer["usage"]["promptTokens"], answer["usage"]["completionTokens"]
    # 1 and 2 USD for a million tokens.
    cost = (tokens[0] * 1_000 + tokens[1] * 2_000) / 1_000_000_000
    assert answer["usage"] == {
        "promptTokens": tokens[0],
        "completionTokens": tokens[1],
        "totalTokens": sum(tokens),
        "cost": cost,
    }
    assert cost > 0
    assert answer["latency"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", answer["timestamp"])
    sent = fake_upstream.last_body()
    assert (sent["temperature"], sent["max_tokens"], sent["model"]) == (0.8, 500, "gpt")
    assert reply.headers["x-centralcloud-reason"] == "best"


def test_what_the_request_says_of_itself_is_kept_in_the_event(
    router: Gateway, database: Database, database_url: str
) -> None:
    router.call("POST", "/api/route", ROUTE)
    eventually(lambda: queued(database_url) == 2)
    ingest_all(database)

    kept = execute(
        database_url,
        "SELECT user_id, workspace, agent_type, extra ->> 'priority', extra ->> 'request_type', "
        "extra ->> 'client_request_id' FROM routing_records WHERE outcome = 'routed'",
    )
    assert kept == [("user-123", "ws-marketing-001", "creative", "normal", "completion", "req-12345")]


def test_the_same_id_is_one_upstream_call(router: Gateway, fake_upstream: FakeUpstream, database_url: str) -> None:
    fake_upstream.behave("slow-headers=0.5", times=1)
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: router.call("POST", "/api/route", ROUTE), range(4)))
    replies.append(router.call("POST", "/api/route", ROUTE))

    assert [reply.status for reply in replies] == [200] * 5
    assert len({reply.body for reply in replies}) == 1
    assert len({reply.headers["x-centralcloud-request-id"] for reply in replies}) == 1
    assert len(fake_upstream.requests()) == 1
    another = router.call("POST", "/api/route", ROUTE | {"prompt": "something else"})
    assert (another.status, another.error["field"]) == (422, "id")
    # The id of another key is another request.
    key = a_key(database_url, "user", workspace="ws-marketing-001")
    eventually(lambda: router.call("GET", "/v1/models", key=key).status == 200)
    assert router.call("POST", "/api/route", ROUTE, key=key).json()["id"] != replies[0].json()["id"]
    assert len(fake_upstream.requests()) == 2


def test_a_request_without_an_id_gets_one(router: Gateway, fake_upstream: FakeUpstream) -> None:
    replies = [router.call("POST", "/api/route", {"prompt": "hi"}) for _ in range(2)]
    ids = [reply.headers["x-centralcloud-request-id"] for reply in replies]
    assert [reply.json()["requestId"] for reply in replies] == ids
    assert len(fake_upstream.requests()) == 2


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"prompt": None}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"userId": 5}, "userId"),
    ({"userId": "a\u202eb"}, "userId"),
    ({"id": "x" * 201}, "id"),
    ({"id": "a\0b"}, "id"),
    ({"metadata": {"priority": "a\0b"}}, "metadata.priority"),
    ({"parameters": []}, "parameters"),
    ({"parameters": {"maxTokens": "many"}}, "parameters.maxTokens"),
    ({"parameters": {"temperature": "hot"}}, "parameters.temperature"),
    ({"parameters": {"stream": True}}, "parameters.stream"),
    ({"metadata": {"priority": 1}}, "metadata.priority"),
    ({"metadata": {"requestType": "embedding"}}, "metadata.requestType"),
    ({"metadata": {"complexity": "eleven"}}, "metadata.complexity"),
]


def test_an_invalid_request_is_refused_with_the_path_of_the_field(
    router: Gateway, fake_upstream: FakeUpstream, database_url: str
) -> None:
    for change, field in INVALID:
        refused = router.call("POST", "/api/route", ROUTE | change)
        assert (refused.status, refused.error["field"]) == (422, field), change
        assert refused.error["requestId"] == refused.headers["x-centralcloud-request-id"]
    unknown = router.call("POST", "/api/route", ROUTE | {"model": "none"})
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
    assert fake_upstream.requests() == []


def test_a_failed_request_names_the_request_and_is_not_kept(router: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("status=500")
    failed = router.call("POST", "/api/route", ROUTE)
    fake_upstream.reset()
    again = router.call("POST", "/api/route", ROUTE)

    assert (failed.status, again.status) == (502, 200)
    assert failed.error["requestId"] == failed.headers["x-centralcloud-request-id"]


def test_a_key_of_a_workspace_routes_for_no_other(router: Gateway, database_url: str) -> None:
    key = a_key(database_url, "user", workspace="ws-sales-001")
    eventually(lambda: router.call("GET", "/v1/models", key=key).status == 200)

    for path, body in (("/api/route", ROUTE), ("/api/routing/test", TEST)):
        refused = router.call("POST", path, body, key=key)
        assert (refused.status, refused.error["code"]) == (403, "forbidden")
        assert router.call("POST", path, body | {"workspaceId": "ws-sales-001"}, key=key).status == 200

    own = a_key(database_url, "user")
    eventually(lambda: router.call("GET", "/v1/models", key=own).status == 200)
    refused = router.call("POST", "/api/route", ROUTE, key=own)
    assert (refused.status, "expected a key of this workspace" in refused.error["message"]) == (403, True)
    assert router.call("POST", "/api/route", {"prompt": "hi"}, key=own).status == 200
    assert router.call("POST", "/api/routing/test", TEST, key=own).status == 200, "a plan is read only"


def test_a_test_of_routing_shows_the_plan_and_calls_nothing(
    router: Gateway, fake_upstream: FakeUpstream, database: Database, database_url: str
) -> None:
    reply = router.call("POST", "/api/routing/test", TEST)
    short = router.call("POST", "/api/routing/test", {"agentType": "creative", "requestType": "completion"})
    plan = reply.json()

    assert (reply.status, short.status) == (200, 200)
    assert (plan["modelId"], plan["provider"], plan["rule"]) == ("gpt", "alpha", None)
    assert [each["modelId"] for each in plan["targets"]] == ["gpt", "opus", "flash"]
    assert plan["reason"] == plan["targets"][0]["reason"]
    assert plan["reason"].startswith("the best: its chance was")
    assert ("embed@alpha", "model_type") in [(each["target"], each["code"]) for each in plan["leftOut"]]
    assert plan["task"]["agentType"] == "creative"
    assert all(each["reason"] for each in (*plan["targets"], *plan["leftOut"]))
    assert fake_upstream.requests() == []
    # An event of a request that came later is there, so one of the tests would be, too.
    router.call("POST", "/api/route", {"prompt": "hi"})
    eventually(lambda: queued(database_url) == 2)
    ingest_all(database)
    assert execute(database_url, "SELECT count(DISTINCT request_id) FROM routing_records") == [(1,)]


def test_the_command_line_shows_the_same_plan(router: Gateway, tmp_path: Path) -> None:
    """The catalog of the gateway, and its state folder: learned scores and the registry, without its database."""
    asked = {"agentType": "creative", "prompt": "Sort a list.", "model": "claude-any", "metadata": {"prefer": "cost"}}
    plan = router.call("POST", "/api/routing/test", asked).json()
    shown = run_command(
        "instance-agent", "route", "--explain", "--json", "--available", "--model=claude-any", "--prefer=cost",
        "--agent-type=creative", "Sort a list.",
        env={
            "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")
        },
    )  # fmt: skip

    assert shown.returncode == 0, shown.stderr
    own = json.loads(shown.stdout)
    assert [each["model"] for each in own.pop("ranking")] == ["gpt", "opus", "flash"]
    assert own == plan | {"requestId": None, "configVersion": own["configVersion"]}
