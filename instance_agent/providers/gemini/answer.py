"""Answers of Gemini's generateContent: whole ones, streams, usage and errors."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import (
    AnswerPart,
    ChatAnswer,
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
from instance_agent.providers.classification import POLICY, classify, provider_error, unreadable
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.numbers import known_usage, token_count
from instance_agent.providers.retry_after import MAX_SECONDS, parse_duration, retry_after_seconds
from instance_agent.providers.sse import SseEvent
from instance_agent.providers.stream import EventStreamReader
from instance_agent.providers.upstream import Upstream
from instance_agent.providers.wire import decode, object_text

_FINISH: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "ESCALATION",
            "MODEL_ARMOR",
        ),
        "content_filter",
    ),
}
_STATUS_OF_WORD: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


#: The arguments of a call that has none.
_EMPTY: Final = msgspec.Raw(b"{}")


class _FunctionCall(Struct):
    name: str = ""
    args: msgspec.Raw = _EMPTY
    id: str | None = None


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Usage(Struct, rename="camel"):
    prompt_token_count: Any = None
    tool_use_prompt_token_count: Any = None
    candidates_token_count: Any = None
    thoughts_token_count: Any = None
    cached_content_token_count: Any = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_ANY: Final = msgspec.json.Decoder()


def read_usage(wire: _Usage | None) -> Usage | None:
    """Return the usage that was reported; Gemini counts thoughts apart from the answer, and both are output."""
    if wire is None:
        return None
    prompt, answer = token_count(wire.prompt_token_count), token_count(wire.candidates_token_count)
    thoughts = token_count(wire.thoughts_token_count)
    return known_usage(
        Usage(
            input_tokens=None if prompt is None else prompt + (token_count(wire.tool_use_prompt_token_count) or 0),
            output_tokens=None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
            cached_tokens=token_count(wire.cached_content_token_count),
            reasoning_tokens=thoughts,
        )
    )


def read_answer(upstream: Upstream, body: bytes) -> ChatAnswer:
    """Read a whole answer; raise ProviderError for an error in it, or for a body that is not an answer."""
    try:
        wire = decode(_ANSWER, body)
    except ValueError:
        raise unreadable(
            upstream, "a body that is not an answer of generateContent" if body else "an empty body"
        ) from None
    _raise_error(upstream, wire)
    if not wire.candidates:
        raise unreadable(upstream, "an answer without a candidate")
    candidate = wire.candidates[0]
    wire_parts = (candidate.content.parts if candidate.content else None) or []
    parts = _joined([part for part in map(_part, wire_parts) if part is not None])
    has_calls = any(isinstance(part, ToolCallPart) for part in parts)
    return ChatAnswer(
        id=wire.response_id or "",
        model=wire.model_version or "",
        parts=tuple(parts),
        finish=_finish(candidate.finish_reason, has_calls),
        raw_finish=candidate.finish_reason,
        usage=read_usage(wire.usage_metadata),
    )


def _joined(parts: list[AnswerPart]) -> list[AnswerPart]:
    """Return the parts with texts that follow each other as one: clients take the first text for the whole."""
    joined: list[AnswerPart] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            joined[-1] = TextPart(last.text + part.text)
        else:
            joined.append(part)
    return joined


def _part(part: _Part) -> AnswerPart | None:
    if part.function_call is not None:
        call = part.function_call
        return ToolCallPart(call.id or _new_call_id(), call.name, object_text(call.args), part.thought_signature)
    if part.text is None:
        return None
    if part.thought:
        return ThinkingPart(part.text, part.thought_signature)
    return TextPart(part.text) if part.text else None


def _new_call_id() -> str:
    return f"call_{uuid4().hex[:24]}"


def _finish(word: str | None, has_calls: bool) -> FinishReason:
    reason = _FINISH.get(word or "", "other")
    return "tool_calls" if has_calls and reason == "stop" else reason


def _raise_error(upstream: Upstream, wire: _Answer) -> None:
    if wire.error:
        raise error_in_answer(upstream, wire.error)
    feedback = wire.prompt_feedback
    if feedback is not None and feedback.block_reason is not None and not wire.candidates:
        said = feedback.block_reason_message or feedback.block_reason
        raise provider_error(
            upstream, POLICY, "the prompt was blocked", said=said, upstream_status=200, code=feedback.block_reason
        )


def read_error(upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Class an answer whose status is not 200."""
    found = find_error(body)
    codes, message = _words(found)
    message = message or body[:2000].decode(errors="replace")
    wait = retry_after_seconds(headers, now)
    return provider_error(
        upstream,
        classify(status, codes, message),
        f"HTTP {status}",
        said=message,
        upstream_status=status,
        retry_after_seconds=_retry_delay(found) if wait is None else wait,
        code=codes[0] if codes else None,
        words=codes[1:],
    )


def error_in_answer(upstream: Upstream, found: Any) -> ProviderError:
    """Class an error object in a 200 answer, or in an event of its stream."""
    codes, message = _words(found)
    number = found.get("code") if isinstance(found, dict) else None
    status = number if isinstance(number, int) and 400 <= number <= 599 else None
    if status is None:
        status = next((_STATUS_OF_WORD[code] for code in codes if code in _STATUS_OF_WORD), 500)
    return provider_error(
        upstream,
        classify(status, codes, message),
        "",
        said=message,
        upstream_status=200,
        retry_after_seconds=_retry_delay(found),
        code=codes[0] if codes else None,
        words=codes[1:],
    )


def find_error(body: bytes) -> Any:
    """Return the error object of a body; a stream without `alt=sse` wraps it in a list."""
    try:
        found = _ANY.decode(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and found:
        found = found[0]
    return found.get("error") if isinstance(found, dict) else None


def _words(found: Any) -> tuple[tuple[str, ...], str]:
    if not isinstance(found, dict):
        return (), found if isinstance(found, str) else ""
    reasons = [detail.get("reason") for detail in _details(found)]
    codes = [code for code in (*reasons, found.get("status")) if isinstance(code, str)]
    message = found.get("message")
    return tuple(codes), message if isinstance(message, str) else ""


def _details(found: Any) -> list[dict[str, Any]]:
    details = found.get("details") if isinstance(found, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _retry_delay(found: Any) -> float | None:
    """Return the wait of google.rpc.RetryInfo, such as `34.07s`."""
    for detail in _details(found):
        delay = detail.get("retryDelay")
        seconds = parse_duration(delay) if isinstance(delay, str) else None
        if seconds is not None:
            return min(seconds, MAX_SECONDS)
    return None


class GeminiStreamReader(EventStreamReader):
    """Reads a stream of generateContent answers; a `finishReason` before the end of the bytes is its proper end."""

    expected_end = "a finishReason"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self._started = False
        self._finished = False
        self._calls = 0

    def is_whole(self) -> bool:
        """Return whether the model has finished."""
        return self._finished

    def translate(self, event: SseEvent) -> list[StreamEvent]:
        """Translate one piece of the answer."""
        wire = decode(_ANSWER, event.data)
        _raise_error(self._upstream, wire)
        events: list[StreamEvent] = []
        if not self._started:
            self._started = True
            events.append(Started(wire.response_id or "", wire.model_version or ""))
        if wire.candidates:
            self._candidate(wire.candidates[0], events)
        usage = read_usage(wire.usage_metadata)
        if usage is not None:
            events.append(UsageReported(usage))
        return events

    def _candidate(self, candidate: _Candidate, events: list[StreamEvent]) -> None:
        for part in (candidate.content.parts if candidate.content else None) or ():
            read = _part(part)
            match read:
                case TextPart():
                    events.append(TextDelta(read.text))
                case ThinkingPart():
                    events.append(ThinkingDelta(read.text, read.signature))
                case ToolCallPart():
                    events.append(ToolCallStarted(self._calls, read.id, read.name, read.signature))
                    events.append(ToolArgumentsDelta(self._calls, read.arguments))
                    self._calls += 1
        if candidate.finish_reason is not None and not self._finished:
            self._finished = True
            events.append(Finished(_finish(candidate.finish_reason, self._calls > 0), candidate.finish_reason))
