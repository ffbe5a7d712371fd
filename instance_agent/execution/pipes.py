"""The way of one stream from the bytes of the upstream to the bytes of the client."""

import time
from typing import Any, Final, Protocol

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
from instance_agent.providers.dialect import StreamForwarder, StreamReader

_TOKENS: Final = (TextDelta, ThinkingDelta, RefusalDelta, ToolArgumentsDelta)


class Pipe(Protocol):
    """One stream.

    Attributes:
        characters: of the answer so far.
        error: set by a failure; its event is not among the bytes.
        completed: the proper end was seen.
        events: of the last `feed` or `close`.
    """

    @property
    def begun(self) -> bool:
        """Whether a token, a call or the finish has been seen."""

    @property
    def characters(self) -> int:
        """Characters of the answer so far."""

    @property
    def usage(self) -> Usage | None:
        """Usage so far."""

    @property
    def finish(self) -> FinishReason | None:
        """Why the model stopped, None before."""

    @property
    def error(self) -> ChatError | None:
        """The failure, if there was one."""

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

    def error_event(self, error: ChatError) -> bytes:
        """Return the event that ends the client's stream with an error."""


def pipe_for(request: ExecutionRequest, target: CallTarget) -> Pipe:
    """Return the pipe for a stream of `target` to the client of `request`."""
    if request.operation == "responses":
        return RawPipe(request)
    include_usage = request.head.include_usage
    if forwards(request, target):
        return ForwardPipe(request, target.dialect.stream_forwarder(target.upstream, include_usage=include_usage))
    return TranslatePipe(request, target.dialect.stream_reader(target.upstream))


def _writer(request: ExecutionRequest) -> StreamWriter:
    return request.protocol.stream_writer(include_usage=request.head.include_usage, created=int(time.time()))


class ForwardPipe:
    """Bytes go through; a reader reads along."""

    __slots__ = ("_forwarder", "_request", "close", "feed")

    def __init__(self, request: ExecutionRequest, forwarder: StreamForwarder) -> None:
        self._request = request
        self._forwarder = forwarder
        self.feed = forwarder.feed
        self.close = forwarder.close

    begun = property(lambda self: self._forwarder.begun)
    characters = property(lambda self: self._forwarder.output_characters)
    usage = property(lambda self: self._forwarder.usage)
    finish = property(lambda self: self._forwarder.finish)
    error = property(lambda self: self._forwarder.error)
    completed = property(lambda self: self._forwarder.completed)
    events = property(lambda self: self._forwarder.events)

    def error_event(self, error: ChatError) -> bytes:
        """Return the event that ends the client's stream with an error."""
        return _writer(self._request).write(StreamFailed(error))


class TranslatePipe:
    """Events are read from one protocol and written in another."""

    def __init__(self, request: ExecutionRequest, reader: StreamReader) -> None:
        self._reader = reader
        self._writer = _writer(request)
        self.begun = False
        self.characters = 0
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
            written.append(self._writer.write(event))
        return b"".join(written)

    def _observe(self, event: Any) -> None:
        kind = type(event)
        if kind in _TOKENS:
            self.begun = True
            self.characters += len(event.text)
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


class RawPipe:
    """Bytes that are not read: begun with the first ones, complete with the end of the connection."""

    def __init__(self, request: ExecutionRequest) -> None:
        self._request = request
        self.begun = False
        self.characters = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.error: ChatError | None = None
        self.completed = False
        self.events: list[StreamEvent] = []

    def feed(self, data: bytes) -> bytes:
        """Return the bytes."""
        self.begun = True
        self.characters += len(data)
        return data

    def close(self) -> bytes:
        """Return nothing more."""
        self.completed = True
        return b""

    def error_event(self, error: ChatError) -> bytes:
        """Return the event that ends the client's stream with an error."""
        return _writer(self._request).write(StreamFailed(error))


def collector_for(request: ExecutionRequest) -> AnswerCollector | None:
    """Return a collector of the answer for the checks that need all of it, None when none of them applies."""
    head = request.head
    return AnswerCollector() if head.response_format is not None or head.tools else None
