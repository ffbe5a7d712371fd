"""Requests through a real gateway: routed, executed, answered with the headers that explain them."""

import json
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


def test_errors_name_the_request_and_never_a_key(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("echo-key")

    reply = gateway.chat("gpt")

    assert reply.status == 502
    assert reply.error["request_id"] == reply.headers["x-centralcloud-request-id"]
    assert b"sk-upstream" not in reply.body
    assert "sk-upstream" not in gateway.program.output()
