"""Providers that send anything at all: a ProviderError of one line, never another exception."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chats import KEY, an_upstream

from instance_agent.providers.errors import ProviderError
from instance_agent.providers.installed import BUILT_IN

DIALECTS = ["openai", "anthropic", "gemini"]
_KEYS = st.sampled_from(
    [
        "error",
        "message",
        "code",
        "type",
        "status",
        "details",
        "reason",
        "retryDelay",
        "metadata",
        "raw",
        "headers",
        "innererror",
        "choices",
        "delta",
        "content",
        "text",
        "parts",
        "finish_reason",
        "finishReason",
        "tool_calls",
        "function",
        "arguments",
        "index",
        "usage",
        "usageMetadata",
        "promptTokenCount",
        "prompt_tokens",
        "candidates",
        "functionCall",
        "args",
        "data",
        "embedding",
        "embeddings",
        "values",
        "models",
        "name",
        "id",
        "stop_reason",
        "input",
        "input_tokens",
        "content_block",
        "promptFeedback",
        "blockReason",
    ]
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "error", KEY, "429", "message_start", "content_block_delta", "tool_use"])
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=30
)
_BODIES = st.binary(max_size=50) | _JSON.map(lambda value: json.dumps(value).encode())


def _check(error: ProviderError) -> None:
    assert KEY not in error.message
    assert "\n" not in error.message
    assert len(error.message) <= 600
    assert 400 <= error.status <= 599
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 86_400


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("reader", ["read_answer", "read_embeddings", "read_models"])
@settings(deadline=None)
@given(body=_BODIES)
def test_a_200_answer_of_any_kind(name: str, reader: str, body: bytes) -> None:
    if (name, reader) == ("anthropic", "read_embeddings"):
        return
    try:
        getattr(BUILT_IN[name], reader)(an_upstream(name), body)
    except ProviderError as error:
        _check(error)


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None)
@given(
    body=_BODIES,
    status=st.integers(min_value=300, max_value=599),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        st.text(max_size=20),
    ),
)
def test_an_error_of_any_kind(name: str, body: bytes, status: int, headers: dict[str, str]) -> None:
    _check(BUILT_IN[name].read_error(an_upstream(name), status, headers, body, 1_800_000_000.0))


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None)
@given(values=st.lists(_JSON, max_size=5))
def test_a_stream_of_any_kind(name: str, values: list[Any]) -> None:
    stream = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    reader = BUILT_IN[name].stream_reader(an_upstream(name))
    forwarder = BUILT_IN[name].stream_forwarder(an_upstream(name), include_usage=False)

    events = reader.feed(stream) + reader.close()
    forwarder.feed(stream)
    forwarder.close()

    assert events
    if forwarder.error is not None:
        _check(forwarder.error)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", b'{"content":[{"type":"tool_use","id":"c","name":"f","input":{"a":"\xff"}}]}'),
        ("gemini", b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":"\xff"}}}]}}]}'),
    ],
)
def test_arguments_that_are_not_utf8_are_shown_as_far_as_they_are(name: str, body: bytes) -> None:
    (call,) = BUILT_IN[name].read_answer(an_upstream(name), body).tool_calls

    assert call.arguments == '{"a":"\ufffd"}'


@pytest.mark.parametrize("arguments", [b"null", b"{}"])
def test_no_arguments_are_an_empty_object(arguments: bytes) -> None:
    bodies = {
        "anthropic": b'{"content":[{"type":"tool_use","id":"c","name":"f","input":%s}]}',
        "gemini": b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":%s}}]}}]}',
    }
    for name, body in bodies.items():
        (call,) = BUILT_IN[name].read_answer(an_upstream(name), body % arguments).tool_calls
        assert call.arguments == "{}"
