"""Requests of Anthropic's protocol: what is read, what is refused, what is a named loss."""

import json
from typing import Any

import pytest

from instance_agent.chat.anthropic_request import read_head, read_request, read_schema
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

HELLO = {"role": "user", "content": "hello"}


def _body(**fields: Any) -> bytes:
    return json.dumps({"model": "auto", "max_tokens": 9, "messages": [HELLO], **fields}).encode()


def _content(*blocks: dict[str, Any]) -> bytes:
    return _body(messages=[{"role": "user", "content": list(blocks)}])


def test_every_kind_of_block_is_read() -> None:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a page"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "hidden"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "r"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c2",
                    "is_error": True,
                    "content": [{"type": "text", "text": "e"}],
                },
            ],
        },
    ]

    request = read_request(
        _body(messages=messages, system=[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])
    )

    assert request.system == ("one", "two")
    assert request.messages == (
        Message(
            "user",
            (
                TextPart("look"),
                ImagePart(data="aGk=", media_type="image/png"),
                ImagePart(url="https://x/y.png"),
                TextPart("a page"),
            ),
        ),
        Message(
            "assistant",
            (
                ThinkingPart("hm", "sig"),
                ThinkingPart("", redacted="hidden"),
                ToolCallPart("c1", "f", '{"a": 1}'),
                ToolCallPart("c2", "g", "{}"),
            ),
        ),
        Message(
            "user", (ToolResultPart("c1", (TextPart("r"),)), ToolResultPart("c2", (TextPart("e"),), is_error=True))
        ),
    )
    assert request.losses == ()


def test_every_setting_is_read() -> None:
    request = read_request(
        _body(
            system="kind",
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            stop_sequences=["end"],
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            metadata={"user_id": "u"},
            stream=True,
        )
    )

    assert (request.system, request.max_output_tokens, request.stop) == (("kind",), 9, ("end",))
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 3)
    assert request.tools == (Tool("f", "d", {"type": "object"}),)
    assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("required"), False)
    assert request.response_format == ResponseFormat("json_schema", {"type": "object"}, strict=True)
    assert (request.reasoning, request.user, request.stream) == (Reasoning("high"), "u", True)


def test_the_older_spelling_of_a_schema_is_read_wherever_the_newer_one_is() -> None:
    form, other = ({"type": "json_schema", "schema": {"type": kind}} for kind in ("object", "array"))
    older, newer = _body(output_format=form), _body(output_config={"format": form}, output_format=other)
    for body in (older, newer):
        assert read_head(body).response_format == "json_schema"
        assert read_schema(body) == {"type": "object"}
        assert read_request(body).response_format == ResponseFormat("json_schema", {"type": "object"}, strict=True)
    for body in (_body(output_format=None), _body(output_config={"effort": "low"}), _body()):
        assert (read_head(body).response_format, read_schema(body)) == (None, None)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_the_choice_of_a_tool_is_read(choice: dict[str, str], read: ToolChoice) -> None:
    assert read_request(_body(tool_choice=choice)).tool_choice == read


@pytest.mark.parametrize(
    ("thinking", "read"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, Reasoning(None, 2000)),
        ({"type": "adaptive"}, Reasoning()),
        ({"type": "disabled"}, Reasoning("none")),
    ],
)
def test_thinking_is_read(thinking: dict[str, Any], read: Reasoning) -> None:
    assert read_request(_body(thinking=thinking)).reasoning == read


@pytest.mark.parametrize(
    ("body", "feature"),
    [
        (
            _body(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            "a tool of the type web_search_20250305",
        ),
        (_body(mcp_servers=[{"url": "x"}]), "mcp_servers"),
        (_body(container="c"), "container"),
        (
            _content({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}}),
            "content of the type document at messages[0].content[0]",
        ),
        (
            _content({"type": "server_tool_use", "id": "s", "name": "x", "input": {}}),
            "content of the type server_tool_use at messages[0].content[0]",
        ),
        (
            _content({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            "an image from the source file at messages[0].content[0]",
        ),
        (
            _content({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "search_result"}]}),
            "content of the type search_result at messages[0].content[0].content[0]",
        ),
    ],
)
def test_a_feature_without_an_equivalent_is_refused_by_name(body: bytes, feature: str) -> None:
    with pytest.raises(UnsupportedFeatureError) as refused:
        read_request(body)

    assert refused.value.feature == feature


def test_fields_without_a_place_are_named_losses() -> None:
    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}, "citations": []}
    body = json.loads(_content(block))

    request = read_request(json.dumps({**body, "service_tier": "auto", "thinking": {"type": "between_tools"}}).encode())

    assert request.losses == ("cache_control", "service_tier", "thinking of the type between_tools")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"model": "m"}', "found no messages, expected a value"),
        (_body(messages=[{"role": "boss", "content": ""}]), "found the role 'boss' at messages[0]"),
        (_content({"type": "tool_use", "name": "f"}), "found no messages[0].content[0].id"),
        (_content({"type": "text"}), "found no messages[0].content[0].text"),
        (
            _content({"type": "tool_use", "id": "c", "name": "f", "input": {"a": "?"}}).replace(b"?", b"\xff"),
            "found bytes that are not UTF-8 at messages[0].content[0].input",
        ),
        (_body(tool_choice={"type": "tool"}), "found no tool_choice.name"),
        (_body(tool_choice={"type": "x"}), "found 'x' at tool_choice.type"),
        (_body(max_tokens="9"), "found str at max_tokens, expected int | null"),
    ],
)
def test_a_broken_request_gets_one_clear_line(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_request(body)

    assert refused.value.message.startswith(message)


def test_the_head_has_what_routing_needs() -> None:
    messages = [
        HELLO,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "12345"}]},
                {"type": "text", "text": "last"},
                {"type": "image", "source": {"type": "url", "url": "u"}},
            ],
        },
    ]

    head = read_head(
        _body(
            messages=messages,
            system="123",
            stream=True,
            tools=[{}],
            thinking={"type": "adaptive"},
            metadata={"user_id": "u"},
        )
    )

    assert (head.model, head.text, head.characters, head.messages) == ("auto", "last", 17, 3)
    assert (head.images, head.tools, head.stream) == (1, 1, True)
    assert (head.max_output_tokens, head.user) == (9, "u")


def test_images_and_documents_in_the_result_of_a_tool_are_inputs_too() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    result = [{"type": "image", "source": source}, {"type": "document", "source": source}]
    content = [{"type": "tool_result", "tool_use_id": "t", "content": result}]
    body = json.dumps({"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}).encode()
    head = read_head(body)
    assert (head.images, head.inputs) == (1, ("documents",))
