"""Access to a gateway: keys, roles, bodies that are too large, paths that are not there."""

import http.client
import json
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

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
    root = gateway.call("GET", "/", key=None)
    assert (root.status, "; GET /docs needs none" in root.error["message"]) == (401, True)
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


def request_line(gateway: Gateway, request_id: str) -> dict[str, Any] | None:
    lines = (line for line in gateway.program.log() if line["event"] == "request")
    return next((line for line in lines if line["requestId"] == request_id), None)


def test_another_path_is_a_404_that_names_those_that_are_there(gateway: Gateway) -> None:
    reply = gateway.call("POST", "/v1/completions", {})
    wrong_method = gateway.call("GET", "/v1/chat/completions")

    assert reply.status == 404
    assert "/v1/chat/completions" in reply.error["message"]
    assert "/v1/models" in reply.error["message"]
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "POST")
    logged = [
        eventually(lambda reply=reply: request_line(gateway, reply.headers["x-centralcloud-request-id"]))
        for reply in (reply, wrong_method, gateway.chat())
    ]
    assert [(line["path"], line.get("requestedPath")) for line in logged] == [
        ("(unknown)", "/v1/completions"),
        ("(unknown)", "/v1/chat/completions"),
        ("/v1/chat/completions", None),
    ]


def test_without_any_key_clients_of_this_machine_are_served_and_no_web_page(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url)
    started = next(line for line in gateway.program.log() if line["event"] == "gateway_started")

    assert started["keys"] == "none: only clients of this machine are served"
    assert gateway.chat().status == 200
    assert gateway.call("GET", "/v1/models", headers={"origin": "https://evil.example"}).status == 403
    assert gateway.call("GET", "/v1/models", headers={"host": "evil.example"}).status == 403
    for header in ("x-forwarded-for", "x-forwarded-host", "via", "cf-connecting-ip"):
        reply = gateway.call("POST", "/api/models", {}, headers={header: "203.0.113.7"})
        assert (header, reply.status) == (header, 401)

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
    rebound = {"host": "evil.example", "origin": "https://evil.example"}
    assert gateway.call("GET", "/metrics", key=None, headers=rebound).status == 401
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
    wanted = "authorization,x-stainless-os,anthropic-dangerous-direct-browser-access"
    vendors = opened.call("OPTIONS", "/v1/models", key=None, headers={**asks, "access-control-request-headers": wanted})
    assert vendors.headers["access-control-allow-headers"] == wanted
    stream = opened.chat(stream=True, headers={"origin": "https://app.example"})
    assert stream.headers["access-control-allow-origin"] == "https://app.example"
    exposed = stream.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "request-id", "x-centralcloud-losses", "retry-after"} <= set(exposed)


def sent_raw(gateway: Gateway, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and return status, headers and body of the first answer that is not 100."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(data)
        with client.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            headers = {name.lower(): value for name, value in http.client.parse_headers(stream).items()}
            return status, headers, stream.read(int(headers.get("content-length", 0)))


def feedback(expect: bytes) -> bytes:
    """A request with a key, which waits before it sends its body."""
    head = b"POST /v1/feedback HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\ncontent-length: 9\r\nexpect: "
    return head + expect + b"\r\n\r\n"


MALFORMED = [
    (b"GET / HTTP/1.1\r\nhost: x\r\nx-secret-name: " + b"a" * 9000 + b"\r\n\r\n", 400, "8,190 bytes"),
    (b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: secret-name\r\n" % i for i in range(70)) + b"\r\n", 400, "64 headers"),
    (b"secret-name\r\n\r\n", 400, "malformed"),
    (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "malformed"),
    (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nsecret-name\r\n", 400, "malformed"),
    (b"GET /health HTTP/2.0\r\nhost: x\r\n\r\n", 505, "HTTP/2.0"),
    (feedback(b"100-continue").replace(b"KEY", b"none"), 401, "no valid key"),
    (feedback(b"junk").replace(b"/v1/feedback", b"/nowhere").replace(b"KEY", b"none"), 401, "no valid key"),
    (feedback(b"junk"), 417, "Expect"),
    (feedback(b"100-continue"), 100, ""),
]


def test_what_is_not_http_is_refused_in_the_form_of_errors_and_without_its_words(gateway: Gateway) -> None:
    for data, expected, words in MALFORMED:
        status, headers, body = sent_raw(gateway, data.replace(b"KEY", str(gateway.key).encode()))
        assert (status, data[:60]) == (expected, data[:60])
        if expected == 100:
            continue
        error = json.loads(body)["error"]
        assert words in error["message"], data[:60]
        assert headers["server"] == "instance-agent"
        assert headers["x-centralcloud-request-id"] == error.get("request_id", error.get("requestId"))
        assert b"secret-name" not in body
    assert gateway.chat().status == 200


def test_no_body_is_read_of_a_request_without_a_key(gateway: Gateway) -> None:
    head = "{} {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30000000\r\n\r\n"
    for method, path, status in (
        ("GET", "/health", 200), ("GET", "/docs", 200), ("GET", "/metrics", 200), ("POST", "/health/x", 401),
        ("POST", "/docsfoo", 401), ("POST", "/metrics", 401), ("POST", "/docs", 401), ("DELETE", "/health", 401),
    ):  # fmt: skip
        found = sent_raw(gateway, head.format(method, path).encode())  # the answer comes, although no body does
        assert (method, path, found[0]) == (method, path, status)
    assert gateway.call("POST", "/docs", {}).status == 405
    assert gateway.call("POST", "/docsfoo", {}).status == 404
    refused = [line for line in gateway.program.log() if line["event"] == "request" and line["status"] == 401]
    assert len(refused) == 5, "each is logged"
