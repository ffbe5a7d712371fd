"""Answers that no provider should give, and bodies that no client should send, through a gateway."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateways import Gateway, a_key, start_gateway
from support.lying_provider import LyingProvider, a_lying_provider
from support.programs import programs_in
from support.servers import new_database
from support.upstream.process import FakeUpstream

CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s}]}'
FINISH = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}'
)
MESSAGE = [
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}',
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":1}}',
    b'event: message_stop\ndata: {"type":"message_stop"}',
]
LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


def chunks(*texts: str) -> list[bytes]:
    return [CHUNK % json.dumps({"content": text}).encode() for text in texts]


def in_lines(events: list[bytes], line_end: bytes) -> bytes:
    return b"".join(event.replace(b"\n", line_end) + line_end * 2 for event in events)


@pytest.fixture(scope="module")
def liar() -> Iterator[LyingProvider]:
    with a_lying_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(
    server: str,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
    running_upstream: FakeUpstream,
    liar: LyingProvider,
) -> Iterator[Gateway]:
    """A gateway of the lying provider in two dialects, and of an honest one."""
    folder = tmp_path_factory.mktemp("gateway")
    catalog = folder / "liar.yaml"
    catalog.write_text(
        f"""providers:
  - {{provider: o, dialect: openai, base_url: "{liar.url}"}}
  - {{provider: a, dialect: anthropic, base_url: "{liar.url}"}}
  - {{provider: g, dialect: openai, base_url: "{running_upstream.openai_url}"}}
models:
  - &all
    name: wrong
    provider: o
    model_type: embedding
    pricing: {{input: 1.0, output: 0}}
    complexity_scores: {{simple: 4, medium: 4, complex: 4}}
  - {{<<: *all, name: right, provider: g, complexity_scores: {{simple: 3, medium: 3, complex: 3}}}}
  - {{<<: *all, name: fine, complexity_scores: {{simple: 1, medium: 1, complex: 1}}}}
"""
    )
    with new_database(server, template) as database_url, programs_in(folder) as start:
        key = a_key(database_url, "user", workspace="acme")
        yield start_gateway(start, folder, running_upstream, database_url, key=key, INSTANCE_AGENT_CATALOG=str(catalog))


def test_own_lines_stand_alone_whatever_a_stream_has_sent_last(gateway: Gateway, liar: LyingProvider) -> None:
    openai = pytest.importorskip("openai", reason="the vendors' clients are in the extra `clients`")
    anthropic = pytest.importorskip("anthropic", reason="the vendors' clients are in the extra `clients`")
    good: dict[str, bytes] = {}
    cut: dict[str, bytes] = {}
    for name, end in LINE_ENDS.items():
        chat = in_lines([*chunks("hi"), FINISH, b"data: [DONE]"], end)
        message = in_lines(MESSAGE, end)
        for place, missing in (("", 0), ("-half", 1), ("-open", 2)):
            left = -missing * len(end) or None
            good |= {f"o/{name}{place}": chat[:left], f"a/{name}{place}": message[:left]}
    for name, end, rest in (
        ("comment", b"\n", b": keep-alive"),
        ("comment-line", b"\r\n", b": keep-alive\r\n"),
        ("comment-return", b"\r", b": keep-alive\r"),
        ("name", b"\n", b"event: x"),
        ("name-line", b"\n", b"event: x\n"),
        ("field", b"\r", b"data"),
        ("nothing", b"\r\n", b""),
    ):
        cut |= {f"o/{name}": in_lines(chunks("hi"), end) + rest, f"a/{name}": in_lines(MESSAGE[:3], end) + rest}
    liar.answers = {name.partition("/")[2]: body for name, body in (good | cut).items() if name.startswith("o/")}
    messages = {name.partition("/")[2]: body for name, body in (good | cut).items() if name.startswith("a/")}

    of_openai = openai.OpenAI(base_url=gateway.openai_url, api_key=gateway.key, max_retries=0)
    of_anthropic = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)
    asked: list[Any] = [{"role": "user", "content": "x"}]

    def ask_openai(model: str) -> str:
        stream = of_openai.chat.completions.create(model=model, messages=asked, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    def ask_anthropic(model: str) -> str:
        with of_anthropic.messages.stream(model=model, max_tokens=9, messages=asked) as stream:
            text = "".join(stream.text_stream)
            return text if stream.get_final_message().stop_reason == "end_turn" else "no end"

    for name in (each for each in good if each.startswith("o/")):
        assert ask_openai(name) == "hi", name
    for name in (each for each in cut if each.startswith("o/")):
        with pytest.raises(openai.APIError, match="found the end of the stream"):
            ask_openai(name)
    raw = {"model": "o/crlf", "messages": [{"role": "user", "content": "x"}], "stream": True}
    for ending in ("lf", "crlf", "cr", "cr-open"):
        lines = gateway.call("POST", "/v1/chat/completions", {**raw, "model": f"o/{ending}"}).body.splitlines()
        assert [line for line in lines if line][-1] == b"data: [DONE]", ending
        assert [line for line in lines if line][-2].startswith(b": centralcloud {"), ending

    liar.answers = messages
    for name in (each for each in good if each.startswith("a/")):
        assert ask_anthropic(name) == "hi", name
    for name in (each for each in cut if each.startswith("a/")):
        with pytest.raises(anthropic.APIError, match="found the end of the stream"):
            ask_anthropic(name)
    of_openai.close()
    of_anthropic.close()


def an_answer(content: Any = "hi", **usage: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(body).encode()


def test_an_answer_that_chats_take_is_one_for_api_route_and_odd_numbers_are_unknown(
    gateway: Gateway, liar: LyingProvider
) -> None:
    odd = {"prompt_tokens": 10**18, "completion_tokens": 1}
    liar.answers = {
        "parts": an_answer([{"type": "text", "text": "hi"}], prompt_tokens=5, completion_tokens=1),
        "number": an_answer(5),
        "half": an_answer("a\ud800"),
        "text-tokens": an_answer(prompt_tokens="5", completion_tokens=5.5),
        "many-tokens": an_answer(**odd),
        "big-float": an_answer(prompt_tokens=1e300, completion_tokens=10**400),
        "big-cost": an_answer(prompt_tokens=5, completion_tokens=1, cost=1e300),
        "some-cost": an_answer(prompt_tokens=5, completion_tokens=1, cost=1e12),
        "paid": an_answer(prompt_tokens=5, completion_tokens=1, cost=0.25),
    }
    texts = {"number": "", "half": "a\ufffd"}
    for name in liar.answers:
        routed = gateway.call("POST", "/api/route", {"prompt": "x", "model": f"o/{name}"})
        assert routed.status == 200, (name, routed.body)
        assert routed.json()["response"] == texts.get(name, "hi")
        assert gateway.chat(f"o/{name}").status == 200
        if name == "paid":
            assert routed.json()["usage"]["cost"] == 0.25
        else:
            assert "x-centralcloud-cost-usd" not in routed.headers, name

    liar.answers = {
        "streamed": in_lines(
            [*chunks("hi"), FINISH[:-1] + b',"usage":{"prompt_tokens":5,"cost":1e300}}', b"data: [DONE]"], b"\n"
        )
    }
    streamed = gateway.chat("o/streamed", stream=True)
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    assert b"cost_usd" not in streamed.body
    assert "gateway_request_failed" not in gateway.program.events()


def test_embeddings_that_do_not_fit_their_inputs_fall_back(gateway: Gateway, liar: LyingProvider) -> None:
    def data(*vectors: Any, places: tuple[Any, ...] = ()) -> bytes:
        found = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        for each, place in zip(found, places, strict=False):
            each["index"] = place
        return json.dumps({"object": "list", "data": found, "model": "m", "usage": {"prompt_tokens": 2}}).encode()

    nan = base64.b64encode(struct.pack("<2f", 1.0, float("nan"))).decode()
    wrong = [
        data([1.0, 2.0]),
        data([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]),
        data([1.0, 2.0], [1.0, 2.0], places=(0, 99)),
        data([1.0, 2.0], [1.0, 2.0], places=(0, -1)),
        data([1.0, 2.0], [1.0, 2.0], places=(1, 1)),
        data([1.0, 2.0], [1.0, 2.0], places=(0, None)),
        data([1.0, 2.0], [1.0]),
        data([], []),
        data(nan, nan),
    ]
    liar.answers = {"wrong": wrong[0]}
    liar.calls.clear()
    answer = gateway.call("POST", "/v1/embeddings", {"model": "auto", "input": ["one", "two"]})
    assert answer.status == 200, answer.body
    assert answer.headers["x-centralcloud-model"] == "right"
    assert liar.calls == ["wrong"]
    for body in wrong:
        liar.answers = {"wrong": body}
        answer = gateway.call("POST", "/v1/embeddings", {"model": "wrong", "input": ["one", "two"]})
        # Its own breaker may be open by now; another model never answers for the name.
        assert answer.status in (502, 503), body

    for asked in (["one", "two"], [[1, 2], [3]], [1, 2, 3], "one"):
        two = data([1.0, 2.0], [3.0, 4.0], places=(1, 0))
        liar.answers = {"fine": data([1.0, 2.0]) if asked in ("one", [1, 2, 3]) else two}
        answer = gateway.call("POST", "/v1/embeddings", {"model": "fine", "input": asked})
        assert answer.status == 200, (asked, answer.body)


def test_bodies_beyond_the_bounds_are_refused_and_name_what_is_wrong(gateway: Gateway, liar: LyingProvider) -> None:
    liar.answers = {"m": an_answer("hi", prompt_tokens=1, completion_tokens=1)}
    many = b'{"model":"o/m","messages":[{"role":"user","content":"%s"}],"tools":[%s{}]}'
    commas = b'a, b\\\\\\" [ {' * 200_000

    assert gateway.call("POST", "/v1/chat/completions", many % (commas, b"")).status == 200
    refused = gateway.call("POST", "/v1/chat/completions", many % (commas, b"{}," * 60_000))
    assert (refused.status, "100,000 elements" in refused.error["message"]) == (413, True)

    inputs = gateway.call("POST", "/v1/embeddings", {"model": "fine", "input": ["a"] * 10_001})
    assert (inputs.status, "10,001 inputs" in inputs.error["message"]) == (400, True)

    large = gateway.call("POST", "/api/route", {"prompt": "x" * (4 * 1024 * 1024)})
    assert (large.status, "4,194,304 bytes" in large.error["message"]) == (413, True)
    assert gateway.call("POST", "/v1/feedback", {"comment": "x" * (64 * 1024)}).status == 413

    number = gateway.call(
        "POST", "/api/route", b'{"prompt":"x","model":"o/m","parameters":{"stop":["a"],"temperature":1e999}}'
    )
    assert (number.status, number.error["field"]) == (422, "parameters.temperature")
    assert "number out of range" in number.error["message"]

    for key in ("k" * 205 + "a", "k" * 201):
        long = gateway.chat("o/m", headers={"idempotency-key": key})
        assert (long.status, long.error["param"]) == (400, "idempotency-key")
    assert gateway.chat("o/m", headers={"idempotency-key": "k" * 200}).status == 200
    other = gateway.chat("o/m", "other words", headers={"idempotency-key": "k" * 200})
    assert (other.status, other.error["param"]) == (400, "idempotency-key")
