"""Answers, streams and errors as clients get them."""

import json
import re
from typing import Any

import pytest

from instance_agent.chat.answers import (
    ChatAnswer,
    Completed,
    Finished,
    RefusalDelta,
    Started,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from instance_agent.chat.errors import ChatError, InvalidRequestError
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart
from instance_agent.chat.protocol import ClientProtocol
from instance_agent.chat.protocols import ANTHROPIC, OPENAI

USAGE = Usage(input_tokens=10, output_tokens=4, cached_tokens=3, reasoning_tokens=1, cost_nano_usd=15_000)
ANSWER = ChatAnswer(
    id="a1",
    model="provider-model",
    parts=(ThinkingPart("hm", "sig"), TextPart("text"), ToolCallPart("c1", "f", '{"a": 1}')),
    finish="tool_calls",
    usage=USAGE,
)
OVERLOADED = ChatError("overloaded", error_kind="provider", status=502, code="busy")


def _events(written: bytes) -> list[Any]:
    datas = re.findall(rb"^data: (.*)$", written, re.MULTILINE)
    return [data.decode() if data == b"[DONE]" else json.loads(data) for data in datas]


def test_a_whole_answer_in_openais_form() -> None:
    body = json.loads(OPENAI.write_answer(ANSWER, model="auto", created=5))

    assert (body["id"], body["object"], body["created"], body["model"]) == ("a1", "chat.completion", 5, "auto")
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "text"
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert body["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
        "cost": 0.000015,
    }


def test_a_whole_answer_in_anthropics_form() -> None:
    body = json.loads(ANTHROPIC.write_answer(ANSWER, model="auto"))

    assert (body["id"], body["type"], body["role"], body["model"]) == ("a1", "message", "assistant", "auto")
    assert body["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "text"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    assert (body["stop_reason"], body["stop_sequence"]) == ("tool_use", None)
    assert body["usage"] == {"input_tokens": 7, "output_tokens": 4, "cache_read_input_tokens": 3}


def test_usage_that_is_not_known_is_absent_for_openai_and_zero_for_anthropic_which_demands_it() -> None:
    answer = ChatAnswer(id="", model="m", parts=(), finish="stop")

    assert "usage" not in json.loads(OPENAI.write_answer(answer))
    assert json.loads(ANTHROPIC.write_answer(answer))["usage"] == {"input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    ("finish", "openai", "anthropic"),
    [
        ("stop", "stop", "end_turn"),
        ("stop_sequence", "stop", "stop_sequence"),
        ("length", "length", "max_tokens"),
        ("tool_calls", "tool_calls", "tool_use"),
        ("content_filter", "content_filter", "refusal"),
        ("other", "stop", "end_turn"),
    ],
)
def test_each_reason_to_stop_has_its_word(finish: Any, openai: str, anthropic: str) -> None:
    answer = ChatAnswer(id="", model="m", parts=(TextPart("x"),), finish=finish)

    assert json.loads(OPENAI.write_answer(answer))["choices"][0]["finish_reason"] == openai
    assert json.loads(ANTHROPIC.write_answer(answer))["stop_reason"] == anthropic


def test_a_refusal_is_a_field_for_openai_and_text_with_its_reason_for_anthropic() -> None:
    answer = ChatAnswer(id="", model="m", parts=(), finish="stop", refusal="I will not")

    message = json.loads(OPENAI.write_answer(answer))["choices"][0]["message"]
    body = json.loads(ANTHROPIC.write_answer(answer))

    assert (message["content"], message["refusal"]) == (None, "I will not")
    assert (body["content"][0]["text"], body["stop_reason"]) == ("I will not", "refusal")


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", "7"])
def test_arguments_that_are_not_an_object_are_shown_as_text_to_anthropics_client(arguments: str) -> None:
    answer = ChatAnswer(id="", model="m", parts=(ToolCallPart("c", "f", arguments),), finish="tool_calls")

    assert json.loads(ANTHROPIC.write_answer(answer))["content"][0]["input"] == {"arguments": arguments}


STREAM: list[StreamEvent] = [
    Started("a1", "provider-model", Usage(input_tokens=10)),
    ThinkingDelta("hm"),
    ThinkingDelta(signature="sig"),
    TextDelta("te"),
    TextDelta("xt"),
    ToolCallStarted(0, "c1", "f"),
    ToolArgumentsDelta(0, '{"a":'),
    ToolArgumentsDelta(0, " 1}"),
    ToolCallStarted(1, "c2", "g"),
    Finished("tool_calls"),
    UsageReported(Usage(output_tokens=4)),
    Completed(),
]


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_in_openais_form(include_usage: bool) -> None:
    writer = OPENAI.stream_writer(model="auto", include_usage=include_usage, created=5)

    *chunks, last, done = _events(b"".join(writer.write(event) for event in STREAM))

    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content") or "" for delta in deltas) == "text"
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "hm"
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [(call["index"], call.get("id"), call["function"]["arguments"]) for call in calls] == [
        (0, "c1", ""),
        (0, None, '{"a":'),
        (0, None, " 1}"),
        (1, "c2", ""),
    ]
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in [*chunks, last]} == {("a1", "auto", 5)}
    if include_usage:
        assert last["choices"] == []
        assert last["usage"] == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    else:
        assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_a_stream_in_anthropics_form() -> None:
    writer = ANTHROPIC.stream_writer(model="auto")

    events = _events(b"".join(writer.write(event) for event in STREAM))

    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    starts = [event for event in events if event["type"] == "content_block_start"]
    assert [(each["index"], each["content_block"]["type"]) for each in starts] == [
        (0, "thinking"),
        (1, "text"),
        (2, "tool_use"),
        (3, "tool_use"),
    ]
    assert events[0]["message"]["usage"]["input_tokens"] == 10
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"] == {"input_tokens": 10, "output_tokens": 4}


def test_a_failed_stream_ends_with_an_error_and_without_the_end_of_a_whole_one() -> None:
    events = [Started("a", "m"), TextDelta("half"), StreamFailed(OVERLOADED)]
    openai, anthropic = OPENAI.stream_writer(), ANTHROPIC.stream_writer()

    first = _events(b"".join(openai.write(event) for event in events))
    second = _events(b"".join(anthropic.write(event) for event in events))

    assert first[-1] == {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": "busy"}}
    assert "[DONE]" not in first
    assert second[-1] == {"type": "error", "error": {"type": "api_error", "message": "overloaded"}}
    assert "message_stop" not in [event["type"] for event in second]
    assert anthropic.write(Completed()) == b""


def test_calls_that_are_interleaved_fail_the_stream_of_anthropic_instead_of_mixing() -> None:
    writer = ANTHROPIC.stream_writer()
    events = [
        ToolCallStarted(0, "c1", "f"),
        ToolCallStarted(1, "c2", "g"),
    ]
    for event in events:
        writer.write(event)

    with pytest.raises(ChatError, match="interleaved"):
        writer.write(ToolArgumentsDelta(0, "{}"))


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
def test_nothing_follows_the_error_of_a_stream(protocol: ClientProtocol) -> None:
    writer = protocol.stream_writer()

    assert writer.write(StreamFailed(ChatError("broken", error_kind="provider", status=502)))
    assert [writer.write(event) for event in (TextDelta("x"), Finished("stop"), Completed())] == [b""] * 3


def test_a_streamed_refusal() -> None:
    events: list[StreamEvent] = [RefusalDelta("no"), Finished("stop"), Completed()]
    openai, anthropic = OPENAI.stream_writer(), ANTHROPIC.stream_writer()

    first = _events(b"".join(openai.write(event) for event in events))
    second = _events(b"".join(anthropic.write(event) for event in events))

    assert first[0]["choices"][0]["delta"]["refusal"] == "no"
    assert second[-2]["delta"]["stop_reason"] == "refusal"


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (404, "not_found_error", "not_found_error"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_error"),
        (502, "server_error", "api_error"),
        (504, "timeout_error", "timeout_error"),
    ],
)
def test_errors_have_the_type_that_clients_expect(status: int, openai: str, anthropic: str) -> None:
    error = ChatError("x", error_kind="provider", status=status)

    assert json.loads(OPENAI.write_error(error, "r1"))["error"] == {
        "message": "x",
        "type": openai,
        "param": None,
        "code": None,
        "request_id": "r1",
    }
    assert json.loads(ANTHROPIC.write_error(error, "r1")) == {
        "type": "error",
        "error": {"type": anthropic, "message": "x"},
        "request_id": "r1",
    }


def test_an_invalid_request_names_its_field() -> None:
    error = InvalidRequestError("found int at model, expected str", param="model")

    assert json.loads(OPENAI.write_error(error))["error"]["param"] == "model"


def test_later_usage_wins_where_it_has_numbers() -> None:
    merged = Usage(input_tokens=10, output_tokens=1).merged(Usage(output_tokens=4, reasoning_tokens=2))

    assert merged == Usage(input_tokens=10, output_tokens=4, reasoning_tokens=2)
