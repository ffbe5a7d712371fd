"""The way of one stream from the bytes of the upstream to the bytes of the client."""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from instance_agent.chat.answers import (
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
from instance_agent.chat.protocol import StreamWriter
from instance_agent.execution.operations import forwards
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.providers.collector import AnswerCollector
from instance_agent.providers.dialect import StreamReader
from instance_agent.providers.openai.responses import ResponsesStreamReader
from instance_agent.providers.stream import EventStreamForwarder

_TOKENS: Final = (TextDelta, ThinkingDelta, RefusalDelta, ToolArgumentsDelta)


ErrorEvent: TypeAlias = Callable[[ChatError], bytes]


class Pipe(Protocol):
    """One stream: a `StreamForwarder` of a dialect, or a `TranslatePipe`."""

    @property
    def begun(self) -> bool:
        """Whether a token, a call or the finish has been seen."""

    @property
    def output_characters(self) -> int:
        """Characters of the answer so far."""

    @property
    def usage(self) -> Usage | None:
        """Usage so far."""

    @property
    def finish(self) -> FinishReason | None:
        """Why the model stopped, None before."""

    @property
    def error(self) -> ChatError | None:
        """The failure, if there was one. Its event is not among the bytes."""

    @property
    def completed(self) -> bool:
        """Whether the proper end was seen."""

    @property
    def events(self) -> list[StreamEvent]:
        """The events of the last `feed` or `close`."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes for the client."""

    def close(self) -> bytes:
        """Return the last bytes, at the end of the upstream's."""


def pipe_for(request: ExecutionRequest, target: CallTarget) -> tuple[Pipe, ErrorEvent]:
    """Return the pipe for a stream of `target` to the client of `request`, and the event that ends it with an error."""
    upstream = target.upstream
    if request.operation == "responses":
        reader = ResponsesStreamReader(upstream)
        return EventStreamForwarder(reader, strip_usage=False), lambda error: request.stream_error(
            error, reader.sequence_number + 1
        )
    if forwards(request, target):
        forwarder = target.dialect.stream_forwarder(upstream, include_usage=request.head.include_usage)
        return forwarder, request.stream_error
    pipe = TranslatePipe(request, target.dialect.stream_reader(upstream))
    return pipe, pipe.error_event


def _writer(request: ExecutionRequest) -> StreamWriter:
    return request.protocol.stream_writer(include_usage=request.head.include_usage, created=int(time.time()))


class TranslatePipe:
    """Events are read from one protocol and written in another."""

    def __init__(self, request: ExecutionRequest, reader: StreamReader) -> None:
        self._reader = reader
        self._writer = _writer(request)
        self.begun = False
        self.output_characters = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.error: ChatError | None = None
        self.completed = False
        self.events: list[StreamEvent] = []

    def feed(self, data: bytes) -> bytes:
        """Return the bytes for the client."""
        return self._write(self._reader.feed(data))

    def close(self) -> bytes:
        """Return the last bytes."""
        return self._write(self._reader.close())

    def error_event(self, error: ChatError) -> bytes:
        """Return the event that ends the client's stream with an error."""
        return self._writer.write(StreamFailed(error))

    def _write(self, events: list[StreamEvent]) -> bytes:
        self.events = events
        written = []
        for event in events:
            self._observe(event)
            if self.error is not None:
                break
            try:
                written.append(self._writer.write(event))
            except ChatError as error:  # no place for the event in the client's protocol
                self.error, self.completed = error, False
                break
        return b"".join(written)

    def _observe(self, event: Any) -> None:
        kind = type(event)
        if kind in _TOKENS:
            self.begun = True
            self.output_characters += len(event.text)
        elif kind is Finished:
            self.begun = True
            self.finish = event.reason
        elif kind is ToolCallStarted:
            self.begun = True
        elif kind is UsageReported or kind is Started:
            if event.usage is not None:
                self.usage = self.usage.merged(event.usage) if self.usage else event.usage
        elif kind is Completed:
            self.completed = True
        elif kind is StreamFailed:
            self.error = event.error


def collector_for(request: ExecutionRequest) -> AnswerCollector:
    """Return a collector of the answer for the checks: of all of it where one of them needs that."""
    return AnswerCollector(sketch=request.head.response_format is None)
