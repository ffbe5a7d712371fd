"""Requests of OpenAI's protocol: what is read, what is refused, what is a named loss."""

import json
from typing import Any

import pytest

from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.messages import (
    ImagePart,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from instance_agent.chat.openai_request import read_head, read_request

HELLO = {"role": "user", "content": "hello"}


def _body(**fields: Any) -> bytes:
    return json.dumps({"model": "auto", "messages": [HELLO], **fields}).encode()


def test_every_kind_of_message_is_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
    messages = [
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "assistant", "content": "ok", "reasoning_content": "hm", "tool_calls": [call, {**call, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "first"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "second"}]},
        {"role": "system", "content": "later"},
    ]

    request = read_request(_body(messages=messages))

    assert request.system == ("one", "two")
    assert request.messages == (
        Message("user", (TextPart("look"), ImagePart(url="https://x/y.png", detail="low"))),
        Message(
            "assistant",
            (
                ThinkingPart("hm"),
                TextPart("ok"),
                ToolCallPart("c1", "f", '{"a": 1}'),
                ToolCallPart("c2", "f", '{"a": 1}'),
            ),
        ),
        Message("user", (ToolResultPart("c1", (TextPart("first"),)), ToolResultPart("c2", (TextPart("second"),)))),
        Message("system", (TextPart("later"),)),
    )
    assert request.losses == ()


def test_every_setting_is_read() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
    }
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True, "description": "x"}
    request = read_request(
        _body(
            max_tokens=1,
            max_completion_tokens=2,
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            frequency_penalty=0.1,
            presence_penalty=0.2,
            seed=4,
            stop="end",
            tools=[tool],
            tool_choice={"type": "function", "function": {"name": "f"}},
            parallel_tool_calls=False,
            response_format={"type": "json_schema", "json_schema": schema},
            reasoning_effort="low",
            user="u",
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert request.max_output_tokens == 2
    assert (request.temperature, request.top_p, request.top_k, request.seed) == (0.5, 0.9, 3, 4)
    assert (request.frequency_penalty, request.presence_penalty, request.stop) == (0.1, 0.2, ("end",))
    assert request.tools == (Tool("f", "d", {"type": "object"}, True),)
    assert request.tool_choice == ToolChoice("named", "f")
    assert request.parallel_tool_calls is False
    assert request.response_format == ResponseFormat("json_schema", {"type": "object"}, "s", "x", True)
    assert request.reasoning == Reasoning("low")
    assert (request.user, request.stream, request.include_usage) == ("u", True, True)


def test_a_data_url_becomes_an_image_in_base64() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}

    request = read_request(_body(messages=[{"role": "user", "content": [image]}]))

    assert request.messages[0].parts == (ImagePart(data="aGk=", media_type="image/png"),)


@pytest.mark.parametrize(
    ("fields", "feature"),
    [
        ({"n": 2}, "n = 2"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities text, audio"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "a tool of the type custom"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice of the type allowed_tools"),
        ({"response_format": {"type": "grammar"}}, "response_format of the type grammar"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            "content of the type input_audio at messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "content of the type file at messages[0].content[0]",
        ),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
    ],
)
def test_a_feature_without_an_equivalent_is_refused_by_name(fields: dict[str, Any], feature: str) -> None:
    with pytest.raises(UnsupportedFeatureError) as refused:
        read_request(_body(**fields))

    assert refused.value.feature == feature


@pytest.mark.parametrize("fields", [{"n": 1}, {"logprobs": False}, {"audio": None}, {"modalities": ["text"]}])
def test_the_usual_values_of_refused_features_are_accepted(fields: dict[str, Any]) -> None:
    assert read_request(_body(**fields)).losses == ()


def test_fields_without_a_place_are_named_losses() -> None:
    messages = [{**HELLO, "name": "Ann"}]

    request = read_request(_body(messages=messages, logit_bias={"1": 2}, service_tier="flex", invented=1, store=False))

    assert request.losses == ("invented", "logit_bias", "messages[].name", "service_tier")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "found no model, expected a value"),
        (b'{"model": 1, "messages": []}', "found int at model, expected str"),
        (b'{"model": "m", "messages": [{"role": "user", "content": 5}]}', "found int at messages[0].content, expected"),
        (b'{"model": "m", "messages": [{"role": "boss", "content": ""}]}', "found the role 'boss' at messages[0]"),
        (b'{"model": "m", "messages": [{"role": "tool", "content": ""}]}', "found no messages[0].tool_call_id"),
        (b'{"model": "m", "messages": [], "tool_choice": "maybe"}', "found 'maybe' at tool_choice"),
        (
            b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            "found no messages[0].content[0].text",
        ),
        (b"[1]", "found array at the top of the body, expected object"),
        (b'{"model": "m"', "found a body that is not JSON"),
        (b'{"model": "\xff", "messages": []}', "found a body that is not JSON (not UTF-8)"),
        (b'{"model": "m", "messages": [], "stop": ' + b"[" * 5000 + b"]" * 5000 + b"}", "found"),
    ],
)
def test_a_broken_request_gets_one_clear_line(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_request(body)

    assert refused.value.message.startswith(message)
    assert "\n" not in refused.value.message
    assert (refused.value.status, refused.value.error_kind) == (400, "caller")


def test_the_head_has_what_routing_needs() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    messages = [
        {"role": "system", "content": "12345"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "last"}, image, {"type": "text", "text": "words"}]},
        {"role": "tool", "tool_call_id": "c", "content": "123"},
    ]

    head = read_head(
        _body(
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            max_completion_tokens=7,
            tools=[{}, {}],
            response_format={"type": "json_object"},
            reasoning_effort="high",
            user="u",
            metadata={"a": "b", "n": 1},
        )
    )

    assert (head.model, head.text, head.characters, head.messages) == ("auto", "last\nwords", 23, 5)
    assert (head.images, head.tools, head.stream, head.include_usage) == (1, 2, True, True)
    assert (head.max_output_tokens, head.response_format) == (7, "json_object")
    assert (head.user, head.metadata) == ("u", {"a": "b"})


def test_the_head_does_not_refuse_what_a_target_of_the_same_protocol_may_know() -> None:
    body = _body(
        n=3, logprobs=True, messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]
    )

    assert read_head(body).messages == 1


def test_the_head_says_which_inputs_a_model_must_accept() -> None:
    parts = [
        {"type": "text", "text": "hear, see and read"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
    ]
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": parts}]}).encode()
    assert read_head(body).inputs == ("audio", "documents", "video")


def test_the_head_bounds_the_answer_as_any_service_may_read_it() -> None:
    both = read_head(_body(max_tokens=100_000, max_completion_tokens=1))
    assert both.max_output_tokens == 100_000, "a service may read the older field alone"
    assert read_head(_body(max_tokens=-1)).max_output_tokens is None
    assert read_head(_body(max_tokens=5, max_completion_tokens=-1)).max_output_tokens is None
    asked = [1, 8, 200, "8", 8.0, 0, -3, "x", None]
    assert [read_head(_body(n=n)).choices for n in asked] == [1, 8, 200, 8, 8, 1, 1, 1, 1]


def test_the_head_counts_the_bytes_that_routing_does_not_read() -> None:
    assert read_head(_body(messages=[HELLO] * 100)).unread == 0
    text = "x" * 100_000
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
    hidden: list[dict[str, Any]] = [
        {"tools": [{"type": "function", "function": {"name": "f", "description": text}}]},
        {"messages": [HELLO, {"role": "assistant", "tool_calls": [call]}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": text}}},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": text}}]}]},
    ]
    for fields in hidden:
        assert 99_000 < read_head(_body(**fields)).unread < 101_000, list(fields)
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    assert read_head(_body(messages=[{"role": "user", "content": [image]}])).unread == 0
    letters = _body(messages=[{"role": "user", "content": "你" * 10_000}])
    assert b"\\u4f60" in letters
    assert 19_000 < read_head(letters).unread < 21_000
