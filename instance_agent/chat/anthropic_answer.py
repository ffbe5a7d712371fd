"""Answers, streams and errors in the form of Anthropic's Messages."""

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
from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import TextPart, ThinkingPart

FINISH: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "other": "end_turn",
}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ENCODER: Final = msgspec.json.Encoder()
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write_answer(answer: ChatAnswer, *, model: str | None = None, created: int = 0) -> bytes:  # noqa: ARG001
    """Write a whole answer. This protocol shows no time, so `created` is not used."""
    content: list[dict[str, Any]] = []
    for part in answer.parts:
        if isinstance(part, TextPart):
            if part.text:
                content.append({"type": "text", "text": part.text})
        elif isinstance(part, ThinkingPart):
            content.append(_thinking(part))
        else:
            content.append({"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)})
    if answer.refusal:
        content.append({"type": "text", "text": answer.refusal})
    body = {
        "id": answer.id or f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model or answer.model,
        "content": content,
        "stop_reason": "refusal" if answer.refusal else FINISH[answer.finish],
        "stop_sequence": answer.stop_sequence,
        "usage": write_usage(answer.usage),
    }
    return _ENCODER.encode(body)


def _thinking(part: ThinkingPart) -> dict[str, Any]:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}


def _input(arguments: str) -> msgspec.Raw | dict[str, str]:
    """Return the arguments of a call as an object; the protocol has no place for other text, which becomes one field."""
    text = arguments.strip() or "{}"
    try:
        _OBJECT.decode(text)
    except (ValueError, RecursionError):
        return {"arguments": arguments}
    return msgspec.Raw(text.encode())


def write_usage(usage: Usage | None) -> dict[str, int]:
    """Return usage in this protocol's form. It demands both numbers: one that is not known is written as 0, here alone."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    known = {
        "input_tokens": max(0, (usage.input_tokens or 0) - cached - written),
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.cached_tokens is not None:
        known["cache_read_input_tokens"] = cached
    if usage.cache_write_tokens is not None:
        known["cache_creation_input_tokens"] = written
    return known


def write_error(error: ChatError, request_id: str | None = None) -> bytes:
    """Write the body of an error answer."""
    return _ENCODER.encode(_error(error, request_id))


def _error(error: ChatError, request_id: str | None = None) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": error.message}}
    if request_id is not None:
        body["request_id"] = request_id
    return body


def _event(name: str, **fields: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _ENCODER.encode({"type": name, **fields}) + b"\n\n"


class AnthropicStreamWriter:
    """Writes the events of one answer as events of Messages: one open block of content at a time.

    Calls of tools that are interleaved have no place in it: `write` raises ChatError.
    """

    def __init__(self, *, model: str | None = None) -> None:
        self._model = model
        self._started = False
        self._failed = False
        self._index = -1
        self._open: str | int | None = None
        self._usage: Usage | None = None
        self._finish: Finished | None = None
        self._refused = False

    def write(self, event: StreamEvent) -> bytes:
        """Return the bytes for `event`."""
        if self._failed:
            return b""
        match event:
            case TextDelta() | RefusalDelta():
                self._refused |= isinstance(event, RefusalDelta)
                opened = self._block("text", {"type": "text", "text": ""})
                return opened + self._delta({"type": "text_delta", "text": event.text})
            case ToolArgumentsDelta():
                return self._arguments(event)
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallStarted():
                block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                return self._block(event.index, block)
            case Started():
                self._merge(event.usage)
                return self._start(event.id, event.model)
            case Finished():
                self._finish = event
                return b""
            case UsageReported():
                self._merge(event.usage)
                return b""
            case Completed():
                return self._end()
            case StreamFailed():
                return self._fail(event.error)

    def _merge(self, usage: Usage | None) -> None:
        if usage is not None:
            self._usage = self._usage.merged(usage) if self._usage else usage

    def _start(self, id_: str, model: str) -> bytes:
        self._started = True
        message: dict[str, Any] = {
            "id": id_ or f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self._model or model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        return _event("message_start", message=message)

    def _block(self, key: str | int, block: dict[str, Any]) -> bytes:
        """Return the bytes that open a block, unless it is open."""
        if self._open == key:
            return b""
        before = b"" if self._started else self._start("", "")
        before += self._close()
        self._open = key
        self._index += 1
        return before + _event("content_block_start", index=self._index, content_block=block)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _arguments(self, event: ToolArgumentsDelta) -> bytes:
        if self._open != event.index:
            # A block that was closed cannot be opened again: a wrong call would be worse than none.
            raise ChatError("found the calls of tools interleaved in the stream", error_kind="provider", status=502)
        return self._delta({"type": "input_json_delta", "partial_json": event.text})

    def _thinking(self, event: ThinkingDelta) -> bytes:
        if event.redacted is not None:
            opened = self._block("redacted", {"type": "redacted_thinking", "data": event.redacted})
            return opened + self._close()
        written = self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        if event.text:
            written += self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.signature is not None:
            written += self._delta({"type": "signature_delta", "signature": event.signature}) + self._close()
        return written

    def _end(self) -> bytes:
        before = b"" if self._started else self._start("", "")
        finish = self._finish or Finished("other")
        reason = "refusal" if self._refused else FINISH[finish.reason]
        delta = {"stop_reason": reason, "stop_sequence": finish.stop_sequence}
        ending = _event("message_delta", delta=delta, usage=write_usage(self._usage))
        return before + self._close() + ending + _event("message_stop")

    def _fail(self, error: ChatError) -> bytes:
        self._failed = True
        return b"event: error\ndata: " + _ENCODER.encode(_error(error)) + b"\n\n"
