"""GET /api/decisions explains a request; POST /v1/feedback reports how good its answer was."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fleet import Fleet, a_fleet
from support.gateways import Gateway, Reply, a_key, start_gateway
from support.ingest import ingest_all
from support.programs import Program
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database

StartProgram = Callable[..., Program]
TEN_MINUTES = {"x-centralcloud-feedback": "10m"}


def request_id_of(reply: Reply) -> str:
    return reply.headers["x-centralcloud-request-id"]


def ingested(database: Database, url: str, events: int) -> None:
    eventually(lambda: execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(events,)])
    ingest_all(database)


def explained(gateway: Gateway, request_id: str, **options: Any) -> Any:
    reply = gateway.call("GET", f"/api/decisions/{request_id}", **options)
    assert reply.status == 200, reply.body
    return reply.json()


def test_a_request_is_explained_before_and_after_it_is_ingested(
    gateway: Gateway, fake_upstream: FakeUpstream, database: Database, database_url: str
) -> None:
    fake_upstream.behave("status=500", model="gpt", times=1)
    reply = gateway.chat(headers={"x-centralcloud-task-type": "summary", "x-centralcloud-complexity": "9"})

    before = explained(gateway, request_id_of(reply))
    ingested(database, database_url, 4)
    after = explained(gateway, request_id_of(reply))

    assert (before.pop("source"), after.pop("source")) == ("memory", "database")
    assert before == after
    assert (after["status"], after["modelId"], after["workspaceId"]) == ("success", "opus", "acme")
    assert after["task"] == {"type": "summary", "level": "complex", "complexity": 9}
    assert [(each["modelId"], each["status"], each.get("errorKind")) for each in after["attempts"]] == [
        ("gpt", "failure", "provider"),
        ("opus", "success", None),
    ]
    assert [each["model"] for each in after["plan"]["targets"]] == ["gpt", "opus", "flash"]
    assert after["plan"]["struck"] == [{"target": "embed@alpha", "reason": "model_type"}]
    assert after["cost"] == float(reply.headers["x-centralcloud-cost-usd"])
    assert after["attempts"][1]["decisionId"] == reply.headers["x-centralcloud-decision-id"]
    assert after["attempts"][0]["propensity"] > 0
    assert "propensity" not in after["attempts"][1]


def test_feedback_between_a_failed_attempt_and_the_next_one_is_learned_and_what_waits_is_bounded(
    gateway: Gateway, fake_upstream: FakeUpstream, database: Database, database_url: str
) -> None:
    queue = "pgmq.q_model_routing_decisions"
    fake_upstream.behave("status=500", model="gpt", times=1)
    request_id = request_id_of(gateway.chat(headers=TEN_MINUTES))
    eventually(lambda: execute(database_url, f"SELECT count(*) FROM {queue}") == [(3,)])
    # The record of the attempt that has answered comes later.
    last = f"UPDATE {queue} SET vt = %s WHERE msg_id = (SELECT max(msg_id) FROM {queue})"
    execute(database_url, last, ("infinity",))
    ingest_all(database)

    feedback = {"request_id": request_id, "reward": 0.9}
    early = gateway.call("POST", "/v1/feedback", feedback)
    assert (early.status, early.json()["status"]) == (202, "waiting")
    execute(database_url, last, ("-infinity",))
    ingest_all(database)

    outcomes = "SELECT model, outcome, reward FROM routing_records WHERE outcome <> 'routed' ORDER BY id"
    assert execute(database_url, outcomes) == [("gpt", "failure", None), ("opus", "success", 0.9)]

    flood = (
        "INSERT INTO waiting_feedback (request_id, success, key_id) "
        "SELECT gen_random_uuid(), true, %s FROM generate_series(1, 10000)"
    )
    execute(database_url, flood, (str(gateway.key)[:16],))
    refused = gateway.call("POST", "/v1/feedback", {"request_id": str(uuid.uuid4()), "success": True})
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert refused.error["code"] == "too_much_waiting_feedback"
    assert gateway.call("POST", "/v1/feedback", feedback).json()["learned"] is True, "this does not wait"


def test_an_explanation_has_no_prompt_and_no_answer(gateway: Gateway) -> None:
    reply = gateway.chat(text="a rare word: xylograph")
    assert "xylograph" in reply.text
    assert "xylograph" not in gateway.call("GET", f"/api/decisions/{request_id_of(reply)}").body.decode()


def test_the_id_of_a_routed_answer_is_explained(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/api/route", {"prompt": "hi"}).json()
    assert explained(gateway, answer["id"])["requestId"] == answer["requestId"]


def test_a_key_of_a_workspace_sees_its_own_requests_only(
    gateway: Gateway, database: Database, database_url: str
) -> None:
    stranger = a_key(database_url, "admin", workspace="other")
    everyone = a_key(database_url, "viewer")
    eventually(lambda: gateway.call("GET", "/v1/models", key=everyone).status == 200)
    request_id = request_id_of(gateway.chat())

    for ingest in (False, True):
        if ingest:
            ingested(database, database_url, 2)
        hidden = gateway.call("GET", f"/api/decisions/{request_id}", key=stranger)
        refused = gateway.call("POST", "/v1/feedback", {"request_id": request_id, "success": True}, key=stranger)
        assert (hidden.status, hidden.error["code"]) == (404, "request_not_found")
        assert (refused.status, refused.error["code"]) == (404, "request_not_found")
        assert explained(gateway, request_id)["workspaceId"] == "acme"
        assert explained(gateway, request_id, key=everyone)["workspaceId"] == "acme"
    assert execute(database_url, "SELECT 1 FROM feedback UNION ALL SELECT 1 FROM waiting_feedback") == []


def test_a_stranger_is_kept_out_by_the_database_where_this_replica_has_not_seen_the_request(
    gateway: Gateway,
    start: StartProgram,
    tmp_path: Path,
    fake_upstream: FakeUpstream,
    database: Database,
    database_url: str,
) -> None:
    request_id = request_id_of(gateway.chat())
    ingested(database, database_url, 2)
    stranger = a_key(database_url, "user", workspace="other")
    other = start_gateway(
        start,
        tmp_path,
        fake_upstream,
        database_url,
        key=gateway.key,
        INSTANCE_ID="gateway-2",
        INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state-2"),
    )

    assert explained(other, request_id)["source"] == "database"
    assert other.call("GET", f"/api/decisions/{request_id}", key=stranger).status == 404
    body = {"request_id": request_id, "success": True}
    assert other.call("POST", "/v1/feedback", body, key=stranger).status == 404
    assert other.call("POST", "/v1/feedback", body).status == 202


def test_an_unknown_request_is_not_found(gateway: Gateway) -> None:
    unknown = gateway.call("GET", f"/api/decisions/{uuid.uuid4()}")
    invalid = gateway.call("GET", "/api/decisions/none")

    assert (unknown.status, unknown.error["code"]) == (404, "request_not_found")
    assert (invalid.status, invalid.error["field"]) == (422, "request_id")


def test_feedback_becomes_the_outcome_of_a_request_that_waits_for_it(
    gateway: Gateway, database: Database, database_url: str
) -> None:
    request_id = request_id_of(gateway.chat(headers=TEN_MINUTES))
    assert explained(gateway, request_id)["status"] == "waiting_for_feedback"
    ingested(database, database_url, 1)
    body = {"request_id": request_id, "reward": 0.25, "comment": "too long", "user_id": "jane"}

    reply = gateway.call("POST", "/v1/feedback", body)

    assert reply.status == 202
    assert reply.json() == {"request_id": request_id, "status": "learned", "learned": True}
    ingested(database, database_url, 1)
    outcome = execute(database_url, "SELECT outcome, reward FROM routing_records WHERE outcome <> 'routed'")
    assert outcome == [("failure", 0.25)]
    found = explained(gateway, request_id)
    assert (found["status"], found["attempts"][0]["reward"]) == ("failure", 0.25)
    assert found["feedback"] == {
        **found["feedback"], "success": False, "reward": 0.25, "learned": True, "comment": "too long", "userId": "jane",
    }  # fmt: skip
    assert found["cost"] > 0


def test_feedback_says_whether_it_is_learned(gateway: Gateway, database: Database, database_url: str) -> None:
    request_id = request_id_of(gateway.chat())
    early = gateway.call("POST", "/v1/feedback", {"request_id": request_id, "success": True}).json()
    ingested(database, database_url, 2)
    late = gateway.call("POST", "/v1/feedback", {"request_id": f"response-{request_id}", "success": False}).json()

    assert (early["status"], early["learned"]) == ("waiting", None)
    assert (late["status"], late["learned"]) == ("stored", False)
    assert explained(gateway, request_id)["feedback"]["success"] is False


def test_invalid_feedback_is_refused(gateway: Gateway, database_url: str) -> None:
    request_id = str(uuid.uuid4())
    invalid: list[tuple[Any, str | None]] = [
        ({"request_id": request_id}, "success"),
        ({"success": True}, "request_id"),
        ({"request_id": "none", "success": True}, "request_id"),
        ({"request_id": request_id, "success": "yes"}, "success"),
        ({"request_id": request_id, "reward": 1.5}, "reward"),
        ({"request_id": request_id, "reward": True}, "reward"),
        ({"request_id": request_id, "success": True, "comment": "x" * 2001}, "comment"),
        ({"request_id": request_id, "success": True, "comment": "\0"}, "comment"),
        ({"request_id": request_id, "success": True, "stars": 5}, "stars"),
        ([], None),
    ]
    for body, field in invalid:
        refused = gateway.call("POST", "/v1/feedback", body)
        assert (refused.status, refused.error["param"]) == (400, field), body
        assert refused.error["request_id"] == request_id_of(refused)
    viewer = a_key(database_url, "viewer")
    eventually(lambda: gateway.call("GET", "/v1/models", key=viewer).status == 200)
    body = {"request_id": request_id, "success": True}
    assert gateway.call("POST", "/v1/feedback", body, key=viewer).status == 403
    assert execute(database_url, "SELECT count(*) FROM waiting_feedback") == [(0,)]


def test_without_the_database_feedback_is_not_accepted_and_the_newest_requests_are_explained(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, proxy: TcpProxy
) -> None:
    gateway = start_gateway(start, tmp_path, fake_upstream, proxy.url, key=a_key(database_url, "user"))
    request_id = request_id_of(gateway.chat())
    proxy.pause()

    refused = gateway.call("POST", "/v1/feedback", {"request_id": request_id, "success": True})

    assert (refused.status, refused.error["code"]) == (503, "database_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert explained(gateway, request_id)["source"] == "memory"
    assert gateway.call("GET", f"/api/decisions/{uuid.uuid4()}").status == 503


def test_the_openapi_document_is_served_to_clients_with_a_key(gateway: Gateway) -> None:
    document = gateway.call("GET", "/openapi.json")

    assert (document.status, document.headers["content-type"]) == (200, "application/json")
    assert "/api/decisions/{request_id}" in document.json()["paths"]
    assert gateway.call("GET", "/openapi.json", key=None).status == 401
    page = gateway.call("GET", "/docs", key=None)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert all(f"<code>GET {path}</code>" in page.body.decode() for path in ("/api/models", "/health"))
    assert not re.search(r"<script|https?://(?!api\.openai\.com)", page.body.decode())


@pytest.fixture
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


def test_the_role_of_gateways_explains_requests_and_reports_feedback(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, fleet: Fleet
) -> None:
    gateway = start_gateway(
        start, tmp_path, fake_upstream, fleet.gateway, key=a_key(fleet.configurator, "user", workspace="acme")
    )
    request_id = request_id_of(gateway.chat(headers=TEN_MINUTES))
    with Database(fleet.worker, application_name="tests") as worker:
        ingested(worker, fleet.admin, 1)

    assert explained(gateway, request_id)["source"] == "database"
    body = {"request_id": request_id, "success": True}
    assert gateway.call("POST", "/v1/feedback", body).json()["learned"] is True
