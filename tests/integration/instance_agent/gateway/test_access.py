"""Access to a gateway: keys, roles, bodies that are too large, paths that are not there."""

import http.client
import json
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.gateways import Gateway, a_catalog, a_key, start_gateway
from support.ports import free_port
from support.programs import Program
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.runtime.configuration.keys import revoke_key
from centralcloud.runtime.configuration.writing import Author
from centralcloud.runtime.postgres.database import Database

StartProgram = Callable[..., Program]


def test_a_request_without_a_valid_key_is_refused_with_the_same_words(gateway: Gateway) -> None:
    wrong = f"cck_{'0' * 12}_{'x' * 43}"
    replies = [
        gateway.call("POST", "/v1/chat/completions", {}, key=key, headers=headers)
        for key, headers in [(None, {}), (wrong, {}), ("nonsense", {}), (None, {"x-api-key": wrong})]
    ]

    assert {reply.status for reply in replies} == {401}
    assert len({reply.error["message"] for reply in replies}) == 1
    assert all(reply.error["request_id"] for reply in replies)


def test_the_key_of_anthropics_clients_is_accepted(gateway: Gateway) -> None:
    body = {"model": "opus", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    reply = gateway.call("POST", "/v1/messages", body, key=None, headers={"x-api-key": str(gateway.key)})
    refused = gateway.call("POST", "/v1/messages", body, key=None)

    assert reply.status == 200
    assert (refused.status, refused.error["type"]) == (401, "authentication_error")


def test_a_viewer_may_look_and_not_call(gateway: Gateway, database_url: str) -> None:
    viewer = a_key(database_url, "viewer")
    eventually(lambda: gateway.call("GET", "/v1/models", key=viewer).status == 200)

    assert gateway.call("POST", "/v1/chat/completions", {}, key=viewer).status == 403


def test_a_revoked_key_is_refused_within_a_second(gateway: Gateway, database_url: str) -> None:
    key = a_key(database_url, "user")
    eventually(lambda: gateway.call("GET", "/v1/models", key=key).status == 200)
    with Database(database_url, application_name="tests") as database:
        revoke_key(database, Author(who="tests", via="cli", source="tests"), key[:16])

    eventually(lambda: gateway.call("GET", "/v1/models", key=key).status == 401, within_seconds=5.0)


def test_two_keys_are_valid_at_once_and_one_expires(gateway: Gateway, database_url: str) -> None:
    key = a_key(database_url, "user", valid_for=timedelta(seconds=3))
    eventually(lambda: gateway.call("GET", "/v1/models", key=key).status == 200, within_seconds=2.5)

    assert gateway.call("GET", "/v1/models").status == 200
    eventually(lambda: gateway.call("GET", "/v1/models", key=key).status == 401, within_seconds=5.0)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", f"Bearer {gateway.key}")
    connection.putheader("content-length", str(33 * 1024 * 1024))
    connection.endheaders()
    with connection.getresponse() as answer:
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "too_large"
    connection.close()


def test_a_body_in_chunks_that_is_too_large_is_refused(gateway: Gateway) -> None:
    def chunks():  # type: ignore[no-untyped-def]
        for _ in range(33):
            yield b" " * 1024 * 1024

    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    headers = {"authorization": f"Bearer {gateway.key}", "transfer-encoding": "chunked"}
    try:
        connection.request("POST", "/v1/chat/completions", chunks(), headers, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused while it was sent
    else:
        assert connection.getresponse().status == 413
    connection.close()
    assert gateway.chat().status == 200


def test_a_body_of_32_mib_is_accepted(gateway: Gateway) -> None:
    image = "data:image/png;base64," + "A" * (31 * 1024 * 1024)
    content = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": image}}]
    reply = gateway.call(
        "POST", "/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": content}]}
    )
    assert (reply.status, reply.text) == (200, "You said: look (1 images)")


def test_another_path_is_a_404_that_names_those_that_are_there(gateway: Gateway) -> None:
    reply = gateway.call("POST", "/v1/completions", {})
    wrong_method = gateway.call("GET", "/v1/chat/completions")

    assert reply.status == 404
    assert "/v1/chat/completions" in reply.error["message"]
    assert "/v1/models" in reply.error["message"]
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "POST")


def test_without_any_key_clients_of_this_machine_are_served_and_no_web_page(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url)
    started = next(line for line in gateway.program.log() if line["event"] == "gateway_started")

    assert started["keys"] == "none: only clients of this machine are served"
    assert gateway.chat().status == 200
    assert gateway.call("GET", "/v1/models", headers={"origin": "https://evil.example"}).status == 403
    assert gateway.call("GET", "/v1/models", headers={"host": "evil.example"}).status == 403
    assert gateway.call("GET", "/v1/models", headers={"x-forwarded-for": "203.0.113.7"}).status == 401

    a_key(database_url, "user")
    eventually(lambda: gateway.chat().status == 401, what="keys are required once there is one")


def test_without_any_key_it_does_not_listen_elsewhere(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    port = free_port()
    program = start(
        "instance-agent", "serve", "--port", str(port),
        DATABASE_URL=database_url, INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"), INSTANCE_AGENT_LOG_FORMAT="json",
        INSTANCE_AGENT_CATALOG=str(a_catalog(tmp_path, fake_upstream)), INSTANCE_AGENT_GATEWAY_ADDRESS="0.0.0.0",
    )  # fmt: skip

    assert program.process.wait(timeout=30) == 1
    assert "found no key, and the address 0.0.0.0" in program.output()
    assert "Traceback" not in program.output()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_a_normal_start_on_another_address_warns_of_nothing(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    key = a_key(database_url, "user")
    env = {"INSTANCE_AGENT_GATEWAY_ADDRESS": "0.0.0.0"}
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url, key=key, **env)

    assert [line for line in gateway.program.log() if line["level"] != "info"] == []


def test_metrics_are_for_this_machine_and_for_operators(gateway: Gateway, database_url: str) -> None:
    operator = a_key(database_url, "operator")
    proxied = {"x-forwarded-for": "203.0.113.7"}
    eventually(lambda: gateway.call("GET", "/v1/models", key=operator).status == 200)

    assert gateway.call("GET", "/metrics", key=None).status == 200
    assert gateway.call("GET", "/metrics", key=None, headers=proxied).status == 401
    assert gateway.call("GET", "/metrics", headers=proxied).status == 403
    assert gateway.call("GET", "/metrics", key=operator, headers=proxied).status == 200


def test_web_pages_may_call_only_where_a_setting_names_them(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    key = a_key(database_url)
    asks = {"origin": "https://app.example", "access-control-request-method": "POST"}
    closed = start_gateway(start, tmp_path, fake_upstream, database_url, key=key)
    assert "access-control-allow-origin" not in closed.call("OPTIONS", "/v1/models", key=None, headers=asks).headers
    closed.program.end()

    opened = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=key,
        INSTANCE_AGENT_GATEWAY_CORS_ORIGINS="https://app.example, https://other.example",
    )  # fmt: skip
    preflight = opened.call("OPTIONS", "/v1/models", key=None, headers=asks)
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    stream = opened.chat(stream=True, headers={"origin": "https://app.example"})
    assert stream.headers["access-control-allow-origin"] == "https://app.example"
