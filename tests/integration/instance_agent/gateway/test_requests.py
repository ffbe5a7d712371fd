"""Requests through a real gateway: routed, executed, answered with the headers that explain them."""

import json
import socket
import time

from support.gateways import Gateway
from support.upstream.process import FakeUpstream


def test_a_request_for_auto_is_answered_by_the_best_model(gateway: Gateway) -> None:
    reply = gateway.chat()

    assert (reply.status, reply.text) == (200, "You said: hello there")
    assert reply.headers["x-centralcloud-model"] == "gpt"
    assert reply.headers["x-centralcloud-provider"] == "alpha"
    assert reply.headers["x-centralcloud-reason"] == "best"
    assert reply.headers["x-centralcloud-cost-usd"] == "0.00002"  # 12 tokens at 1 USD and 4 at 2 USD a million
    assert len(reply.headers["x-centralcloud-request-id"]) == len(reply.headers["x-centralcloud-decision-id"]) == 36


def test_a_stream_ends_with_a_comment_that_has_the_cost(gateway: Gateway) -> None:
    reply = gateway.chat(stream=True)

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-centralcloud-model"] == "gpt"
    events = reply.body.decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    comment = json.loads(events[-2].removeprefix(": centralcloud "))
    assert comment["cost_usd"] == "0.00002"
    assert comment["request_id"] == reply.headers["x-centralcloud-request-id"]


def test_translated_answers_carry_the_time_of_their_creation(gateway: Gateway) -> None:
    before = int(time.time())
    chunks = [
        json.loads(event.removeprefix("data: "))
        for event in gateway.chat("opus", stream=True).body.decode().strip().split("\n\n")
        if event.startswith("data: {")
    ]
    created = {chunk["created"] for chunk in chunks} | {gateway.chat("opus").json()["created"]}
    assert before <= min(created) <= max(created) <= time.time()
    assert len({chunk["created"] for chunk in chunks}) == 1


def test_a_failed_target_is_followed_by_the_next_one(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("status=500", model="gpt")

    reply = gateway.chat()

    assert (reply.status, reply.headers["x-centralcloud-model"]) == (200, "opus")
    assert reply.headers["x-centralcloud-reason"] == "fallback"
    failed = next(line for line in gateway.program.log() if line["event"] == "attempt_failed")
    assert failed["requestId"] == reply.headers["x-centralcloud-request-id"]
    assert (failed["modelId"], failed["kind"], failed["attempt"]) == ("gpt", "provider", 1)


def test_a_stream_to_a_client_of_http_1_0_ends_with_its_connection(gateway: Gateway) -> None:
    """Also of one that asks to keep it: it has no other way to see the end."""
    body = b'{"model": "gpt", "stream": true, "messages": [{"role": "user", "content": "hello"}]}'
    head = f"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer {gateway.key}\r\nconnection: keep-alive\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        with client.makefile("rb") as stream:
            answer = stream.read()

    assert answer.startswith(b"HTTP/1.0 200")
    assert answer.endswith(b"data: [DONE]\n\n")


def test_errors_name_the_request_and_never_a_key(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("echo-key")

    reply = gateway.chat("gpt")

    assert reply.status == 502
    assert reply.error["request_id"] == reply.headers["x-centralcloud-request-id"]
    assert b"sk-upstream" not in reply.body
    assert "sk-upstream" not in gateway.program.output()
