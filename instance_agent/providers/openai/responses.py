"""Answers of OpenAI's Responses, whole and as a stream: read along while their bytes go through to the client."""

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
from instance_agent.chat.errors import ChatError, InvalidRequestError
from instance_agent.chat.messages import TextPart, ToolCallPart
from instance_agent.providers.classification import unreadable
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.openai.errors import error_in_answer, find_error
from instance_agent.providers.openai.usage import ResponsesUsage, read_usage
from instance_agent.providers.sse import SseEvent
from instance_agent.providers.stream import EventStreamReader
from instance_agent.providers.upstream import Upstream
from instance_agent.providers.wire import decode

#: Items of an output that are neither text nor a call of a tool of the client's.
_QUIET_ITEMS: Final = frozenset({"message", "reasoning"})
_INCOMPLETE: Final[dict[str, FinishReason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}
#: Errors of a response that lie in the request: other targets would say the same.
_OF_THE_CALLER: Final = ("invalid_", "image_", "unsupported_", "empty_", "failed_to_download_")
_OF_THE_POLICY: Final = frozenset({"image_content_policy_violation", "bio_policy", "misalignment_policy_violation"})
_ENCODER: Final = msgspec.json.Encoder()


class _Incomplete(Struct):
    reason: str | None = None


class _Head(Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None
    usage: ResponsesUsage | None = None


class _Item(Struct):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    content: Any = None


class _Response(_Head):
    output: list[_Item] | None = None


class _Event(Struct):
    type: str = ""
    delta: Any = None
    text: Any = None
    item: _Item | None = None
    output_index: int | None = None
    response: _Head | None = None
    code: Any = None
    message: Any = None
    error: Any = None
    sequence_number: int | None = None


_RESPONSE: Final = msgspec.json.Decoder(_Response)
_EVENT: Final = msgspec.json.Decoder(_Event)


def read_response(upstream: Upstream, body: bytes) -> ChatAnswer:
    """Read a whole answer; raise ProviderError for an error in it, or for a body that is not an answer.

    One that runs in the background is not finished: it has neither text nor usage, and its finish is ``other``.
    """
    try:
        wire = decode(_RESPONSE, body)
    except ValueError:
        raise unreadable(upstream, "a body that is not a response" if body else "an empty body") from None
    if wire.error:
        raise _failure(upstream, wire.error)
    if wire.status is None and wire.output is None:
        raise unreadable(upstream, "an answer without an output")
    parts: list[AnswerPart] = []
    refusals: list[str] = []
    for item in wire.output or ():
        if item.type == "message":
            texts, refused = _contents(item.content)
            parts += [TextPart(text) for text in texts]
            refusals += refused
        elif item.type == "function_call":
            arguments = item.arguments if isinstance(item.arguments, str) else ""
            parts.append(ToolCallPart(item.call_id or item.id or "", item.name or "", arguments))
        elif item.type not in _QUIET_ITEMS:
            parts.append(ToolCallPart(item.id or "", item.type or "", "{}"))
    return ChatAnswer(
        id=wire.id or "",
        model=wire.model or "",
        parts=tuple(parts),
        finish=_finish(wire, has_calls=any(item.type == "function_call" for item in wire.output or ())),
        raw_finish=wire.status,
        refusal="".join(refusals) or None,
        usage=read_usage(wire.usage),
    )


def write_stream_error(error: ChatError, sequence_number: int) -> bytes:
    """Write the event that ends a stream of Responses with an error.

    Its fields are those of the protocol's event `error`. The object beside them lets clients raise that look for one.
    """
    param = error.param if isinstance(error, InvalidRequestError) else None
    code = error.code or "server_error"
    body = {
        "type": "error",
        "code": code,
        "message": error.message,
        "param": param,
        "sequence_number": sequence_number,
        "error": {"type": "server_error" if error.status >= 500 else "invalid_request_error", "code": code,
                  "message": error.message, "param": param},
    }  # fmt: skip
    return b"event: error\ndata: " + _ENCODER.encode(body) + b"\n\n"


class ResponsesStreamReader(EventStreamReader):
    """Reads a stream of Responses; `response.completed` or `response.incomplete` is its proper end.

    Attributes:
        sequence_number: of the newest event.
    """

    expected_end = "response.completed"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.sequence_number = -1
        self._texts = False
        #: Whether arguments were read, by the position of the call in the output.
        self._calls: dict[int, bool] = {}
        self._client_calls = False

    def translate(self, event: SseEvent) -> list[StreamEvent]:
        """Translate one event."""
        if event.data.startswith(b"[DONE]"):
            return []
        wire = decode(_EVENT, event.data)
        if wire.sequence_number is not None:
            self.sequence_number = wire.sequence_number
        kind = wire.type
        if kind.endswith(".delta"):
            return self._delta(kind, wire)
        if kind in ("response.completed", "response.incomplete", "response.failed", "response.cancelled"):
            return self._end(wire.response or _Head())
        if kind == "error" or event.name == b"error":
            raise _failure(self._upstream, wire.error or {"code": wire.code, "message": wire.message})
        if kind == "" and wire.error:
            raise _failure(self._upstream, find_error(event.data))
        if kind == "response.created" and wire.response is not None:
            return [Started(wire.response.id or "", wire.response.model or "")]
        if kind == "response.output_text.done" and not self._texts and isinstance(wire.text, str) and wire.text:
            self._texts = True
            return [TextDelta(wire.text)]
        if kind == "response.output_item.added" and wire.item is not None:
            return self._item(wire.item, wire.output_index)
        if kind == "response.output_item.done" and wire.item is not None:
            return self._item_done(wire.item, wire.output_index)
        return []

    def _delta(self, kind: str, wire: _Event) -> list[StreamEvent]:
        text = wire.delta if isinstance(wire.delta, str) else ""
        if not text:
            return []
        if kind == "response.output_text.delta":
            self._texts = True
            return [TextDelta(text)]
        if kind == "response.refusal.delta":
            return [RefusalDelta(text)]
        if kind == "response.function_call_arguments.delta":
            position = wire.output_index or 0
            started = [] if position in self._calls else [ToolCallStarted(position, "", "")]
            self._calls[position] = self._client_calls = True
            return [*started, ToolArgumentsDelta(position, text)]
        # Thoughts, and what tools of the provider's write: not the answer, and a token all the same.
        return [ThinkingDelta(text)]

    def _item(self, item: _Item, output_index: int | None) -> list[StreamEvent]:
        position = len(self._calls) if output_index is None else output_index
        if item.type in _QUIET_ITEMS or position in self._calls:
            return []
        if item.type == "function_call":
            self._calls[position], self._client_calls = False, True
            return [ToolCallStarted(position, item.call_id or item.id or "", item.name or "")]
        # A tool of the provider's, or one whose input is free text.
        self._calls[position] = True
        return [ToolCallStarted(position, item.id or "", item.type or ""), ToolArgumentsDelta(position, "{}")]

    def _item_done(self, item: _Item, output_index: int | None) -> list[StreamEvent]:
        """Some services send no pieces of arguments, and some no begin of an item."""
        events = self._item(item, output_index)
        position = max(self._calls, default=0) if output_index is None else output_index
        if self._calls.get(position) is False and isinstance(item.arguments, str) and item.arguments:
            self._calls[position] = True
            events.append(ToolArgumentsDelta(position, item.arguments))
        return events

    def _end(self, head: _Head) -> list[StreamEvent]:
        if head.error or head.status == "failed":
            raise _failure(self._upstream, head.error)
        events: list[StreamEvent] = [Finished(_finish(head, has_calls=self._client_calls), head.status)]
        usage = read_usage(head.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        return [*events, Completed()]


def _failure(upstream: Upstream, found: Any) -> ProviderError:
    """Class the error of a response. Its codes are its own: those about a prompt or an image are of the caller's making."""
    code = found.get("code") if isinstance(found, dict) else None
    if isinstance(code, str) and isinstance(found, dict):
        if code in _OF_THE_POLICY:
            found = {**found, "code": "content_policy_violation"}
        elif code.startswith(_OF_THE_CALLER) and not found.get("type"):
            found = {**found, "type": "invalid_request_error"}
    return error_in_answer(upstream, found or {"message": "the response failed"})


def _finish(head: _Head, *, has_calls: bool) -> FinishReason:
    if head.status == "incomplete":
        reason = head.incomplete_details.reason if head.incomplete_details else None
        return _INCOMPLETE.get(reason or "", "other")
    if head.status in (None, "completed"):
        return "tool_calls" if has_calls else "stop"
    return "other"


def _contents(content: Any) -> tuple[list[str], list[str]]:
    """Return the texts and the refusals of a message."""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return texts, [part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]
