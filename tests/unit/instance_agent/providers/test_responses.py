"""Reading of OpenAI's Responses: forms that services send besides the usual one, and the class of their errors."""

import json
from typing import Any

import pytest

from instance_agent.chat.answers import Completed, Finished, StreamEvent, StreamFailed, TextDelta, UsageReported
from instance_agent.providers.collector import AnswerCollector
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.openai.responses import ResponsesStreamReader, read_response
from instance_agent.providers.upstream import Secret, Upstream

UPSTREAM = Upstream(
    provider="alpha", dialect="openai", base_url="http://alpha.example/v1", api_key=Secret("sk-secret-0123456789")
)


def events(*bodies: dict[str, Any]) -> list[StreamEvent]:
    reader = ResponsesStreamReader(UPSTREAM)
    data = b"".join(f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode() for body in bodies)
    return [*reader.feed(data), *reader.close()]


def completed(**fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": "r", "status": "completed", **fields}}


def test_texts_and_arguments_that_come_without_pieces_are_read() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city": 1}'}
    found = events(
        {"type": "response.output_text.done", "text": "whole"},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        completed(),
    )
    collector = AnswerCollector()
    for each in found:
        collector.add(each)
    answer = collector.answer()
    assert answer.text == "whole"
    assert [(each.name, each.arguments) for each in answer.tool_calls] == [("weather", '{"city": 1}')]
    assert answer.finish == "tool_calls"


def test_a_tool_of_the_providers_is_an_answer_and_not_a_call_of_the_clients() -> None:
    found = events(
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "web_search_call", "id": "w"}},
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "free text"},
        completed(),
    )
    assert [each.reason for each in found if isinstance(each, Finished)] == ["stop"]
    body = {"status": "completed", "output": [{"type": "image_generation_call", "id": "i", "result": "..."}]}
    assert [each.arguments for each in read_response(UPSTREAM, json.dumps(body).encode()).tool_calls] == ["{}"]


def test_absent_usage_stays_absent() -> None:
    assert not [each for each in events(completed()) if isinstance(each, UsageReported)]
    assert isinstance(events(completed())[-1], Completed)
    zero = {"input_tokens": 0, "output_tokens": 0}
    assert not [each for each in events(completed(usage=zero)) if isinstance(each, UsageReported)]


def test_a_stream_without_its_end_failed() -> None:
    *_, last = events({"type": "response.output_text.delta", "delta": "one"})
    assert isinstance(last, StreamFailed)


def test_unknown_events_and_reasoning_items_are_not_tokens() -> None:
    reader = ResponsesStreamReader(UPSTREAM)
    for body in (
        {"type": "response.invented", "delta": 7},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "x"}},
    ):
        assert reader.feed(f"data: {json.dumps(body)}\n\n".encode()) == []
    assert not reader.begun
    (text,) = reader.feed(b'data: {"type": "response.output_text.delta", "delta": "one"}\n\n')
    assert isinstance(text, TextDelta)


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        ("server_error", "provider", "refused"),
        ("rate_limit_exceeded", "provider", "refused"),
        ("invalid_image_format", "caller", "caller"),
        ("image_content_policy_violation", "policy", "policy"),
    ],
)
def test_the_error_of_a_response_has_its_class(code: str, kind: str, retry: str) -> None:
    error = {"code": code, "message": "no: sk-secret-0123456789"}
    for found in (
        events({"type": "response.failed", "response": {"status": "failed", "error": error}}),
        events({"type": "error", **error}),
        events({"type": "error", "error": error}),
    ):
        (failed,) = found
        assert isinstance(failed, StreamFailed)
        assert isinstance(failed.error, ProviderError)
        assert (failed.error.error_kind, failed.error.retry) == (kind, retry)
        assert "sk-secret" not in failed.error.message
    with pytest.raises(ProviderError):
        read_response(UPSTREAM, json.dumps({"status": "failed", "error": error}).encode())
