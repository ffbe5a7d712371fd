"""Answers of Anthropic's Messages: whole ones, streams, usage and errors."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import (
    AnswerPart,
    ChatAnswer,
    Completed,
    Finished,
    FinishReason,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart
from instance_agent.providers.classification import classify, provider_error, unreadable
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.numbers import known_usage, token_count
from instance_agent.providers.retry_after import retry_after_seconds
from instance_agent.providers.sse import SseEvent
from instance_agent.providers.stream import EventStreamReader
from instance_agent.providers.upstream import Upstream
from instance_agent.providers.wire import decode, object_text

_FINISH: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
#: The HTTP status of each type of error; errors in a stream have the type alone.
_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


#: The arguments of a call that has none.
_EMPTY: Final = msgspec.Raw(b"{}")


class _OutputDetails(Struct):
    thinking_tokens: Any = None


class _Usage(Struct):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    output_tokens_details: _OutputDetails | None = None


class _Block(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _EMPTY


class _Message(Struct):
    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Delta(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    type: str = ""
    index: int | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_MESSAGE: Final = msgspec.json.Decoder(_Message)
_EVENT: Final = msgspec.json.Decoder(_Event)
_ANY: Final = msgspec.json.Decoder()


def read_usage(wire: _Usage | None) -> Usage | None:
    """Return the usage that was reported; its input counts what was read from and written to the cache, too."""
    if wire is None:
        return None
    fresh = token_count(wire.input_tokens)
    cached = token_count(wire.cache_read_input_tokens)
    written = token_count(wire.cache_creation_input_tokens)
    details = wire.output_tokens_details
    return known_usage(
        Usage(
            input_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
            output_tokens=token_count(wire.output_tokens),
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=token_count(details.thinking_tokens) if details else None,
        )
    )


def read_answer(upstream: Upstream, body: bytes) -> ChatAnswer:
    """Read a whole answer; raise ProviderError for an error in it, or for a body that is not an answer."""
    try:
        wire = decode(_MESSAGE, body)
    except ValueError:
        raise unreadable(upstream, "a body that is not a message" if body else "an empty body") from None
    if wire.error:
        raise error_in_answer(upstream, wire.error)
    if wire.content is None:
        raise unreadable(upstream, "an answer without content")
    parts = [part for part in map(_part, wire.content) if part is not None]
    return ChatAnswer(
        id=wire.id or "",
        model=wire.model or "",
        parts=tuple(parts),
        finish=_FINISH.get(wire.stop_reason or "", "other"),
        raw_finish=wire.stop_reason,
        stop_sequence=wire.stop_sequence,
        usage=read_usage(wire.usage),
    )


def _part(block: _Block) -> AnswerPart | None:
    match block.type:
        case "text":
            return TextPart(block.text or "")
        case "thinking":
            return ThinkingPart(block.thinking or "", block.signature)
        case "redacted_thinking":
            return ThinkingPart("", redacted=block.data or "")
        case "tool_use":
            return ToolCallPart(block.id or "", block.name or "", object_text(block.input))
    return None  # blocks of tools that Anthropic runs itself: never asked for in a translated request


def read_error(upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Class an answer whose status is not 200."""
    try:
        found = _ANY.decode(body)
    except (ValueError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    code, message = _words(error)
    message = message or body[:2000].decode(errors="replace")
    return provider_error(
        upstream,
        classify(status, (code,) if code else (), message),
        f"HTTP {status}",
        said=message,
        upstream_status=status,
        retry_after_seconds=retry_after_seconds(headers, now),
        code=code,
    )


def error_in_answer(upstream: Upstream, error: Any) -> ProviderError:
    """Class an error object in a 200 answer, or in an event of its stream."""
    code, message = _words(error)
    classed = classify(_STATUS_OF_TYPE.get(code or "", 500), (code,) if code else (), message)
    return provider_error(upstream, classed, "", said=message, upstream_status=200, code=code)


def _words(error: Any) -> tuple[str | None, str]:
    if not isinstance(error, dict):
        return None, error if isinstance(error, str) else ""
    details = error.get("details")
    # The code in the details is the narrower word, such as enforced_spend_limit_reached.
    code = details.get("error_code") if isinstance(details, dict) else None
    code = code or error.get("type")
    message = error.get("message")
    return code if isinstance(code, str) else None, message if isinstance(message, str) else ""


class AnthropicStreamReader(EventStreamReader):
    """Reads a stream of Messages; `message_stop` is its proper end."""

    expected_end = "the event message_stop"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self._calls: dict[int | None, int] = {}

    def translate(self, event: SseEvent) -> list[StreamEvent]:
        """Translate one event."""
        wire = decode(_EVENT, event.data)
        match wire.type:
            case "content_block_delta" if wire.delta is not None:
                return self._delta(wire.index, wire.delta)
            case "content_block_start" if wire.content_block is not None:
                return self._block(wire.index, wire.content_block)
            case "message_start" if wire.message is not None:
                return [self._start(wire.message)]
            case "message_delta":
                return self._message_delta(wire)
            case "message_stop":
                return [Completed()]
            case "error":
                raise error_in_answer(self._upstream, wire.error)
        if wire.error:
            raise error_in_answer(self._upstream, wire.error)
        return []

    def _start(self, message: _Message) -> Started:
        usage = read_usage(message.usage)
        if usage is not None:
            # The count of output in the first event is a placeholder: the last one reports it.
            usage = known_usage(
                Usage(
                    input_tokens=usage.input_tokens,
                    cached_tokens=usage.cached_tokens,
                    cache_write_tokens=usage.cache_write_tokens,
                )
            )
        return Started(message.id or "", message.model or "", usage)

    def _block(self, index: int | None, block: _Block) -> list[StreamEvent]:
        match block.type:
            case "tool_use":
                position = self._calls[index] = len(self._calls)
                events: list[StreamEvent] = [ToolCallStarted(position, block.id or "", block.name or "")]
                given = object_text(block.input)
                if given != "{}":
                    events.append(ToolArgumentsDelta(position, given))
                return events
            case "text":
                return [TextDelta(block.text)] if block.text else []
            case "thinking":
                return [ThinkingDelta(block.thinking)] if block.thinking else []
            case "redacted_thinking":
                return [ThinkingDelta(redacted=block.data or "")]
        return []

    def _delta(self, index: int | None, delta: _Delta) -> list[StreamEvent]:
        match delta.type:
            case "text_delta":
                return [TextDelta(delta.text)] if delta.text else []
            case "input_json_delta":
                position = self._calls.get(index)
                return (
                    [ToolArgumentsDelta(position, delta.partial_json)]
                    if delta.partial_json and position is not None
                    else []
                )
            case "thinking_delta":
                return [ThinkingDelta(delta.thinking)] if delta.thinking else []
            case "signature_delta":
                return [ThinkingDelta(signature=delta.signature)] if delta.signature else []
        return []

    def _message_delta(self, wire: _Event) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if wire.delta is not None and wire.delta.stop_reason is not None:
            reason = _FINISH.get(wire.delta.stop_reason, "other")
            events.append(Finished(reason, wire.delta.stop_reason, wire.delta.stop_sequence))
        usage = read_usage(wire.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        return events
