"""Records of a gateway: outcomes that are learned exactly once, health, logs and metrics without secrets."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from support.commands import run_command
from support.gateways import UPSTREAM_KEY, Gateway, a_key, start_gateway
from support.programs import Program
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

StartProgram = Callable[..., Program]

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
EMAIL = "jane.doe@example.com"
CARD = "4111 1111 1111 1111"


def ingested(url: str, events: int) -> list[tuple]:
    eventually(lambda: execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(events,)])
    drained = run_command("centralcloud", "drain", env={"DATABASE_URL": url})
    assert drained.returncode == 0, drained.stderr
    return execute(
        url,
        "SELECT model, outcome, error_kind, propensity IS NOT NULL, input_tokens, cost_usd::text, task_type "
        "FROM routing_records WHERE outcome <> 'routed' ORDER BY decision_id",
    )


def test_each_attempt_is_a_decision_with_one_outcome(
    gateway: Gateway, fake_upstream: FakeUpstream, database_url: str
) -> None:
    fake_upstream.behave("status=500", model="gpt", times=1)
    gateway.chat(headers={"x-centralcloud-task-type": "summary", "x-centralcloud-complexity": "9"})
    gateway.chat("opus", stream=True)
    gateway.chat("auto", stream=True)

    records = ingested(database_url, 8)

    assert [each[:4] for each in records] == [
        ("gpt", "failure", "provider", True),
        ("opus", "success", None, False),
        ("opus", "success", None, False),
        ("gpt", "success", None, True),
    ]
    assert records[0][6] == records[1][6] == "summary"
    assert [each[4] for each in records[1:]] == [12, 12, 12]
    answered = "SELECT DISTINCT model, model_version FROM routing_records WHERE outcome = 'success' ORDER BY model"
    assert execute(database_url, answered) == [("gpt", "gpt"), ("opus", "opus")], "as the answers name them"
    # A second ingest finds nothing: each outcome is there once.
    assert run_command("centralcloud", "drain", env={"DATABASE_URL": database_url}).returncode == 0
    assert len(execute(database_url, "SELECT 1 FROM routing_records WHERE outcome <> 'routed'")) == 4


def test_the_events_of_a_request_say_who_asked_and_how_it_was_decided(gateway: Gateway, database_url: str) -> None:
    asked = {"x-centralcloud-session": "s-1", "x-centralcloud-agent-type": "coder", "x-centralcloud-complexity": "8"}
    reply = gateway.chat(stream=True, headers=asked)
    ingested(database_url, 2)

    (row,) = execute(
        database_url,
        "SELECT request_id::text, workspace, key_id, agent_type, complexity_level_10, length(session), model_version "
        "FROM routing_records WHERE outcome = 'routed'",
    )
    (outcome,) = execute(
        database_url,
        "SELECT request_id::text, attempt, cost_nano_usd, first_token_ms >= 0, finish_reason "
        "FROM routing_records WHERE outcome = 'success'",
    )
    ((plan,),) = execute(database_url, "SELECT plan FROM request_plans")
    request_id = reply.headers["x-centralcloud-request-id"]
    assert row == (request_id, "acme", str(gateway.key)[:16], "coder", 8, 16, "gpt")
    assert outcome == (request_id, 1, 20_000, True, "stop")
    assert [each["model"] for each in plan["targets"]] == ["gpt", "opus", "flash"]


def test_names_that_clients_make_up_are_marked_and_objectives_are_stored_where_a_setting_asks_for_it(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    key = a_key(database_url, "user", workspace="acme")
    variables = {"INSTANCE_AGENT_STORE_OBJECTIVE": "true", "INSTANCE_AGENT_GATEWAY_CACHE_BYTES": "1000000"}
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url, key=key, **variables)
    asked = {"x-centralcloud-worker": "w-1", "x-centralcloud-complexity": "5"}
    for _ in range(2):
        gateway.chat(text="test the roof " + "x" * 300, user="u-7", temperature=0, headers=asked)
    gateway.chat("alpha/made-up", metadata={"task_id": "t-1"})
    ingested(database_url, 4)

    objectives = "SELECT objective, selected_model FROM routing_decisions ORDER BY id"
    assert execute(database_url, objectives) == [
        ("test the roof " + "x" * 186, "gpt"),
        ("hello there", "alpha/made-up"),
    ]
    labels = "SELECT user_id, worker, task_id, extra ->> 'named_by' FROM routing_records"
    assert execute(database_url, f"{labels} WHERE outcome = 'routed' ORDER BY id") == [
        ("u-7", "w-1", None, None),
        (None, None, "t-1", "client"),
    ]
    shown = gateway.call("GET", "/metrics").body.decode()
    assert "centralcloud_gateway_cache_hits_total 1.0" in shown
    assert "centralcloud_gateway_cache_misses_total 1.0" in shown

    fake_upstream.behave("status=401", model="lie")
    assert gateway.chat("alpha/lie").status == 502
    assert gateway.chat("gpt").status == 200, "the wrong key of a made-up name says nothing about the service"


def test_a_request_that_waits_for_feedback_has_no_outcome_before_it(gateway: Gateway, database_url: str) -> None:
    reply = gateway.chat(headers={"x-centralcloud-feedback": "10m"})
    assert ingested(database_url, 1) == []

    request_id = reply.headers["x-centralcloud-request-id"]
    execute(database_url, "SELECT * FROM centralcloud.report_feedback(%s, NULL, 0.8, NULL, NULL)", (request_id,))
    (row,) = ingested(database_url, 1)
    assert row[:2] == ("gpt", "success")


def test_a_bad_request_makes_no_decision(gateway: Gateway, database_url: str) -> None:
    assert gateway.call("POST", "/v1/chat/completions", b"{").status == 400
    assert gateway.chat("no-such-model").status == 404
    assert gateway.chat(headers={"x-centralcloud-complexity": "eleven"}).status == 400
    assert gateway.chat(headers={"x-centralcloud-prefer": "beauty"}).status == 400
    assert gateway.chat(headers={"x-centralcloud-feedback": "tomorrow"}).status == 400
    gateway.chat()

    assert len(ingested(database_url, 2)) == 1


def test_two_dead_targets_of_three_fail_no_request(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("reset", model="gpt")
    fake_upstream.behave("status=503", model="opus")

    replies = [gateway.chat() for _ in range(10)]

    assert [reply.status for reply in replies] == [200] * 10
    assert {reply.headers["x-centralcloud-model"] for reply in replies} == {"flash"}


def test_a_target_that_fails_is_left_and_called_once_when_it_is_back(
    gateway: Gateway, fake_upstream: FakeUpstream
) -> None:
    fake_upstream.behave("status=500", model="gpt")
    for _ in range(6):
        gateway.chat()
    failed = len(fake_upstream.requests("gpt"))
    gateway.chat()
    assert failed == len(fake_upstream.requests("gpt")) == 5  # it is open: no request of a client is spent on it

    fake_upstream.reset()
    back = eventually(
        lambda: reply if (reply := gateway.chat()).headers["x-centralcloud-model"] == "gpt" else None,
        what="the probe of the target that is back",
        within_seconds=20,
    )
    assert back.status == 200


def test_a_session_stays_with_its_model(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    session = {"x-centralcloud-session": "s-1"}
    fake_upstream.behave("status=500", model="gpt", times=1)
    first = gateway.chat(headers=session)
    second = gateway.chat(headers=session)

    assert first.headers["x-centralcloud-model"] == "opus"
    assert second.headers["x-centralcloud-model"] in ("opus", "gpt")
    assert second.headers["x-centralcloud-reason"] in ("session", "best")


def test_the_same_id_is_one_call(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    replies = [gateway.chat(headers={"idempotency-key": "one"}) for _ in range(3)]
    another = gateway.chat(text="something else", headers={"idempotency-key": "one"})

    assert {reply.text for reply in replies} == {"You said: hello there"}
    assert len({reply.headers["x-centralcloud-request-id"] for reply in replies}) == 1, "that of the one with records"
    assert len(fake_upstream.requests("gpt")) == 1
    assert another.status == 400


def test_health_has_the_form_of_the_model_router(gateway: Gateway) -> None:
    health = gateway.call("GET", "/health", key=None).json()
    detailed = gateway.call("GET", "/health/detailed", key=None).json()

    assert list(health) == ["status", "timestamp", "service", "version"]
    assert (health["status"], health["service"]) == ("healthy", "model-router")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", health["timestamp"])
    assert gateway.call("GET", "/health/ready", key=None).json()["status"] == "ready"
    assert (detailed["db"], detailed["catalog"]["current"]) == ("up", True)


def test_no_prompt_key_e_mail_or_card_is_in_logs_metrics_or_events(
    gateway: Gateway, fake_upstream: FakeUpstream, database_url: str
) -> None:
    secret = f"zanzibar {EMAIL} with {CARD} and {KEY}"
    gateway.chat(text=secret, headers={"x-centralcloud-session": EMAIL, "x-custom": KEY, "user-agent": KEY})
    gateway.chat(f"model-{KEY}")
    gateway.call("POST", "/v1/chat/completions", {}, key=KEY)
    gateway.call("GET", f"/v1/models/{KEY}")
    gateway.call("GET", f"/{EMAIL}?key={KEY}")
    fake_upstream.behave("echo-key", times=1)
    gateway.chat(text=secret)
    gateway.call("POST", "/v1/chat/completions", json.dumps({"model": "auto", "messages": secret}).encode())
    eventually(lambda: execute(database_url, "SELECT count(*) >= 4 FROM pgmq.q_model_routing_decisions") == [(True,)])

    events = str(execute(database_url, "SELECT message FROM pgmq.q_model_routing_decisions"))
    texts = {
        "log": gateway.program.output(),
        "metrics": gateway.call("GET", "/metrics", key=None).body.decode(),
        "events": events,
    }
    for name, text in texts.items():
        # The card is looked for with eight digits: four of them stand in a random id of an event by chance.
        for found in (EMAIL, CARD[:9], CARD.replace(" ", "")[:8], KEY, "sk-upstream", str(gateway.key), "zanzibar"):
            assert found not in text, f"{found} in the {name}"
    lines = [line for line in gateway.program.log() if line["event"] == "request"]
    assert {"timestamp", "level", "requestId", "modelId", "latency"} <= set(lines[0])


def test_an_upstream_that_quotes_the_request_is_quoted_to_its_client_alone(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    """Its errors hold the prompt and the key in their text, words and headers: in bodies, answers and streams."""
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "operator"),
        LOG_LEVEL="DEBUG", INSTANCE_AGENT_GATEWAY_MAX_ATTEMPTS="1",
    )  # fmt: skip
    answers = []
    for behaviour in (
        "status=400",
        "error-in-200",
        "error-first-event",
        "error-event=1",
        "status=500",
        "status=429+retry-after=60",
    ):
        fake_upstream.behave(f"echo+{behaviour}")
        for model in ("gpt", "opus", "flash"):
            reply = gateway.chat(model, f"zanzibar {EMAIL}", stream="event" in behaviour)
            answers.append((behaviour, model, reply.body.decode(), reply.headers["x-centralcloud-request-id"]))
        fake_upstream.reset()
    other = gateway.chat("auto", "another client")
    tested = gateway.call("POST", "/api/routing/test", {"request": {"prompt": "x", "type": "chat"}, "agent": {}})
    explained = [gateway.call("GET", f"/api/decisions/{request_id}").body.decode() for *_, request_id in answers]
    failed = [line for line in gateway.program.log() if line["event"] == "attempt_failed"]
    sent = "SELECT message FROM pgmq.q_model_routing_decisions"
    eventually(lambda: len(execute(database_url, sent)) >= 2 * len(failed))

    quoted = [each for each in answers if "zanzibar" in each[2]]
    assert len(quoted) >= 12, [(behaviour, model, body) for behaviour, model, body, _ in answers]
    texts = {
        "log": gateway.program.output(),
        "metrics": gateway.call("GET", "/metrics", key=None).body.decode(),
        "events": str(execute(database_url, sent)),
        "explanations": str(explained),
        "answer to another client": other.body.decode(),
        "test of routing": tested.body.decode(),
    }
    for name, text in texts.items():
        for secret in ("zanzibar", EMAIL, UPSTREAM_KEY):
            assert secret not in text, f"{secret} in the {name}"
    assert all(UPSTREAM_KEY not in body for _, _, body, _ in answers)
    assert {line["status"] for line in failed} >= {200, 500, 429}
    assert "alpha: HTTP 500" in {line["reason"] for line in failed}
    assert other.status in (429, 503), "the breakers know why, in other words"


def test_names_that_clients_invent_make_no_series(gateway: Gateway) -> None:
    def series() -> int:
        text = gateway.call("GET", "/metrics", key=None).body.decode()
        return sum(not line.startswith("#") for line in text.splitlines())

    gateway.chat()
    gateway.chat("alpha/invented-0")
    gateway.chat("invented-0")
    before = series()
    for number in range(30):
        gateway.chat(f"invented-{number}")
        gateway.chat(f"alpha/invented-{number}")

    assert series() <= before + 1
    text = gateway.call("GET", "/metrics", key=None).body.decode()
    assert 'model_router_requests_total{model="gpt",provider="alpha",status="200"} 1.0' in text
    assert 'model_router_model_health_score{model="gpt"} 1.0' in text
    assert 'centralcloud_gateway_cost_usd_total{model="gpt",provider="alpha"} 2e-05' in text
    assert 'centralcloud_gateway_tokens_total{kind="input",model="gpt",provider="alpha"} 12.0' in text
    assert 'centralcloud_gateway_tokens_total{kind="output",model="other",provider="alpha"}' in text
    assert 'centralcloud_gateway_cost_unknown_total{model="other",provider="alpha"}' in text
    for name in ("request_duration_seconds", "model_health_score"):
        assert f"model_router_{name}" in text
    for name in ("in_flight", "attempts_total", "breakers", "first_token_seconds", "config_version", "events_waiting"):
        assert f"centralcloud_gateway_{name}" in text
