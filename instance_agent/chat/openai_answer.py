"""Answers, streams and errors in the form of OpenAI's Chat Completions."""

from typing import Any, Final
from uuid import uuid4

import msgspec

from instance_agent.chat.answers import (
    ChatAnswer,
    Completed,
    Finished,
    FinishReason,
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
from instance_agent.chat.messages import ThinkingPart

FINISH: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}
_ENCODER: Final = msgspec.json.Encoder()


def write_answer(answer: ChatAnswer, *, model: str | None = None, created: int = 0) -> bytes:
    """Write a whole answer. Signatures of thoughts and hidden thoughts have no place in this protocol and are left out."""
    calls = [_call(call.id, call.name, call.arguments, call.signature) for call in answer.tool_calls]
    text = answer.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (calls or answer.refusal) else None,
        "refusal": answer.refusal,
    }
    thoughts = "".join(part.text for part in answer.parts if isinstance(part, ThinkingPart))
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = calls
    body: dict[str, Any] = {
        "id": answer.id or f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": created,
        "model": model or answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[answer.finish]}],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return _ENCODER.encode(body)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return usage in this protocol's form, without the numbers that are not known."""
    known: dict[str, Any] = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    if usage.input_tokens is not None and usage.output_tokens is not None:
        known["total_tokens"] = usage.input_tokens + usage.output_tokens
    if usage.cached_tokens is not None:
        known["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        known["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.cost_nano_usd is not None:
        known["cost"] = usage.cost_nano_usd / 1e9
    return {name: value for name, value in known.items() if value is not None}


def write_error(error: ChatError, request_id: str | None = None) -> bytes:
    """Write the body of an error answer."""
    return _ENCODER.encode(_error(error, request_id))


def _error(error: ChatError, request_id: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "message": error.message,
        "type": _ERROR_TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error"),
        "param": error.param if isinstance(error, InvalidRequestError) else None,
        "code": error.code,
    }
    if request_id is not None:
        body["request_id"] = request_id
    return {"error": body}


def _call(id_: str, name: str, arguments: str, signature: str | None) -> dict[str, Any]:
    call: dict[str, Any] = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    if signature is not None:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


class OpenAIStreamWriter:
    """Writes the events of one answer as chunks of a chat completion."""

    def __init__(self, *, model: str | None = None, include_usage: bool = False, created: int = 0) -> None:
        self._model = model
        self._include_usage = include_usage
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model or "",
        }
        self._role_sent = False
        self._failed = False
        self._usage: Usage | None = None

    def write(self, event: StreamEvent) -> bytes:
        """Return the chunks for `event`."""
        if self._failed:
            return b""
        match event:
            case TextDelta():
                return self._chunk({"content": event.text})
            case ToolArgumentsDelta():
                return self._chunk({"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]})
            case ThinkingDelta():
                return self._chunk({"reasoning_content": event.text}) if event.text else b""
            case RefusalDelta():
                return self._chunk({"refusal": event.text})
            case ToolCallStarted():
                call = {"index": event.index, **_call(event.id, event.name, "", event.signature)}
                return self._chunk({"tool_calls": [call]})
            case Finished():
                return self._chunk({}, FINISH[event.reason])
            case Started():
                self._head["id"] = event.id or self._head["id"]
                self._head["model"] = self._model or event.model
                self._merge(event.usage)
                return self._chunk({"content": ""})
            case UsageReported():
                self._merge(event.usage)
                return b""
            case Completed():
                return self._end()
            case StreamFailed():
                self._failed = True
                return b"data: " + _ENCODER.encode(_error(event.error)) + b"\n\n"

    def _merge(self, usage: Usage | None) -> None:
        if usage is not None:
            self._usage = self._usage.merged(usage) if self._usage else usage

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if not self._role_sent:
            self._role_sent = True
            delta = {"role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _ENCODER.encode({**self._head, "choices": [choice]}) + b"\n\n"

    def _end(self) -> bytes:
        usage = b""
        if self._include_usage and self._usage is not None:
            last = {**self._head, "choices": [], "usage": write_usage(self._usage)}
            usage = b"data: " + _ENCODER.encode(last) + b"\n\n"
        return usage + b"data: [DONE]\n\n"
