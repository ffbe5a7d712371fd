"""Answers of OpenAI-compatible services: whole ones, streams, usage and errors in a 200 answer."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import (
    AnswerPart,
    ChatAnswer,
    Completed,
    Finished,
    FinishReason,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    UsageReported,
)
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart
from instance_agent.providers.classification import unreadable
from instance_agent.providers.openai.errors import error_in_answer, find_error
from instance_agent.providers.openai.usage import ChatUsage, read_usage
from instance_agent.providers.sse import SseEvent
from instance_agent.providers.stream import EventStreamReader
from instance_agent.providers.upstream import Upstream
from instance_agent.providers.wire import decode, new_call_id

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class _Function(Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: Any = None


class _Message(Struct):
    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    index: int | None = None
    error: Any = None


class _Answer(Struct):
    id: str | None = None
    model: str | None = None
    system_fingerprint: Any = None
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    code: Any = None
    detail: Any = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def read_answer(upstream: Upstream, body: bytes) -> ChatAnswer:
    """Read a whole answer; raise ProviderError for an error in it, or for a body that is not an answer."""
    try:
        wire = decode(_ANSWER, body)
    except ValueError:
        raise unreadable(upstream, "a body that is not a chat completion" if body else "an empty body") from None
    _raise_error(upstream, wire)
    if not wire.choices or wire.choices[0].message is None:
        raise unreadable(upstream, "an answer without a choice")
    choice, message = wire.choices[0], wire.choices[0].message
    parts: list[AnswerPart] = []
    thoughts = _thoughts(message)
    if thoughts:
        parts.append(ThinkingPart(thoughts))
    text = _text(message.content)
    if text:
        parts.append(TextPart(text))
    for call in message.tool_calls or ():
        function = call.function or _Function()
        arguments = _arguments(function.arguments)
        parts.append(ToolCallPart(call.id or new_call_id(), function.name or "", arguments, _signature(call)))
    return ChatAnswer(
        id=wire.id or "",
        model=wire.model or "",
        parts=tuple(parts),
        finish=_finish(choice.finish_reason, bool(message.tool_calls)),
        raw_finish=choice.finish_reason,
        refusal=message.refusal or None,
        usage=read_usage(wire.usage),
        fingerprint=_fingerprint(wire),
    )


def _fingerprint(wire: _Answer) -> str | None:
    found = wire.system_fingerprint
    return found if isinstance(found, str) and found else None


def _raise_error(upstream: Upstream, wire: _Answer) -> None:
    if wire.error:
        raise error_in_answer(upstream, wire.error)
    if wire.choices and wire.choices[0].error:
        raise error_in_answer(upstream, wire.choices[0].error)
    if not wire.choices and (wire.object == "error" or wire.detail):
        raise error_in_answer(upstream, {"message": wire.message or wire.detail, "code": wire.code})


def _finish(word: str | None, has_calls: bool) -> FinishReason:
    # Some services say "stop" beside calls of tools.
    reason = _FINISH.get(word or "", "other")
    return "tool_calls" if has_calls and reason == "stop" else reason


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def _thoughts(message: _Message) -> str:
    if message.reasoning_content:
        return message.reasoning_content
    return message.reasoning if isinstance(message.reasoning, str) else ""


def _arguments(arguments: Any) -> str:
    """Return arguments as JSON text: some services send an object."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def _signature(call: _ToolCall) -> str | None:
    google = call.extra_content.get("google") if isinstance(call.extra_content, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


class OpenAIStreamReader(EventStreamReader):
    """Reads a stream of chat completion chunks; `[DONE]` is its proper end."""

    expected_end = "data: [DONE]"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self._started = False
        self._calls: list[tuple[int | None, str | None]] = []

    def translate(self, event: SseEvent) -> list[StreamEvent]:
        """Translate one chunk."""
        if event.data.startswith(b"[DONE]"):
            return [Completed()]
        if event.name == b"error":
            raise error_in_answer(self._upstream, find_error(event.data))
        wire = decode(_ANSWER, event.data)
        choices = wire.choices
        if wire.error or not choices or choices[0].error:
            _raise_error(self._upstream, wire)
        events: list[StreamEvent] = []
        if not self._started and (wire.id or wire.model):
            self._started = True
            events.append(Started(wire.id or "", wire.model or "", fingerprint=_fingerprint(wire)))
        if choices:
            self._choice(choices[0], events)
        if wire.usage is not None and (usage := read_usage(wire.usage)) is not None:
            events.append(UsageReported(usage))
            self.usage_only = not choices
        return events

    def _choice(self, choice: _Choice, events: list[StreamEvent]) -> None:
        delta = choice.delta or choice.message
        if choice.index:
            return
        if delta is not None:
            if (delta.reasoning_content or delta.reasoning) and (thoughts := _thoughts(delta)):
                events.append(ThinkingDelta(thoughts))
            if delta.content and (text := _text(delta.content)):
                events.append(TextDelta(text))
            if delta.refusal:
                events.append(RefusalDelta(delta.refusal))
            for call in delta.tool_calls or ():
                self._call(call, events)
        if choice.finish_reason is not None:
            reason = _finish(choice.finish_reason, bool(self._calls))
            events.append(Finished(reason, choice.finish_reason))

    def _call(self, call: _ToolCall, events: list[StreamEvent]) -> None:
        function = call.function or _Function()
        position = self._position(call, function)
        if position is None:
            position = len(self._calls)
            self._calls.append((call.index, call.id))
            started = ToolCallStarted(position, call.id or new_call_id(), function.name or "", _signature(call))
            events.append(started)
        text = _arguments(function.arguments)
        if text:
            events.append(ToolArgumentsDelta(position, text))

    def _position(self, call: _ToolCall, function: _Function) -> int | None:
        """Return the call that this piece belongs to; None for a new one.

        Some services give every call the index 0, or none: an id of its own with a name begins a new call.
        """
        for position in range(len(self._calls) - 1, -1, -1):
            index, id_ = self._calls[position]
            other_call = bool(call.id and function.name and id_ and call.id != id_)
            if (call.index is None or call.index == index) and not other_call:
                return position
        return None
