"""Streams of server-sent events: the part that every dialect shares, reading and forwarding."""

import re
from abc import ABC, abstractmethod
from typing import Final

import msgspec

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
from instance_agent.providers.classification import cut_off, unreadable
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.sse import EventTooLongError, SseEvent, SseReader
from instance_agent.providers.upstream import Upstream

#: A name without numbers, with the comma that goes with it, in any spacing of one line. It is never part of a text: there a
#: quotation mark has a backslash before it.
_NO_USAGE: Final = re.compile(
    rb',[ \t]*"usage"[ \t]*:[ \t]*null(?=[ \t]*[,}])|(?<=\{)[ \t]*"usage"[ \t]*:[ \t]*null[ \t]*,'
)
#: In the two spacings that nearly all services have, which cost a tenth of the pattern.
_USUAL_NO_USAGE: Final = (b',"usage":null', b', "usage": null')
_DONE: Final = b"[DONE]"
#: The gateway's own comments begin so, with the cost of the request: clients may trust them.
_OWN_COMMENT: Final = re.compile(rb"(?:\A|(?<=[\r\n])):[ \t]*centralcloud[^\r\n]*(?:\r\n|[\r\n])?")
#: Bytes of an event beside its data, where the data is all of it, in one line; a comment of the gateway is longer.
_ONE_LINE: Final = len(b"data: " + b"\n\n")
#: Bytes of comments and other events without data, between two events. OpenRouter sends comments of 25 bytes while a model
#: thinks: at one a second, 1 MiB is half a day of them.
MAX_SILENT_BYTES: Final = 1024 * 1024
#: Stands for an event of more than `MAX_EVENT_BYTES`.
_TOO_LONG: Final = SseEvent(b"", b"", b"")


class EventStreamReader(ABC):
    """Reads one streamed answer: a `StreamReader` whose subclass translates the events of a dialect.

    Attributes:
        begun: a token, a call or the finish has been read.
        usage_only: the last event held usage and nothing else.
        lenient: JSON of an unknown shape is passed over: the client that it is forwarded to may know it.
    """

    #: The end that a whole stream has, for errors.
    expected_end: str

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._sse = SseReader()
        self.begun = False
        self.ended = False
        self.usage_only = False
        self.lenient = False
        self._silent_bytes = 0

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""
        return [event for each in self.split(data) for event in self.read(each)]

    def close(self) -> list[StreamEvent]:
        """Return the last events; `StreamFailed` when the proper end is missing."""
        events = [event for each in self._sse.close() for event in self.read(each)]
        return events + self.end()

    def split(self, data: bytes) -> list[SseEvent]:
        """Split bytes into events; an event of any length beyond the bound ends the stream."""
        if self.ended:
            return []
        try:
            return self._sse.feed(data)
        except EventTooLongError:
            return [_TOO_LONG]

    def rest(self) -> list[SseEvent]:
        """Return the event that the end of the bytes completes, if there is one."""
        return self._sse.close()

    def read(self, event: SseEvent) -> list[StreamEvent]:
        """Translate one event."""
        self.usage_only = False
        if self.ended:
            return []
        if not event.data:
            return self._without_data(event)
        self._silent_bytes = 0
        try:
            events = self.translate(event)
        except ProviderError as error:
            return self._fail(error)
        except ValueError as error:
            if self.lenient and isinstance(error, msgspec.ValidationError):
                return []
            return self._fail(unreadable(self._upstream, "an event that cannot be read"))
        for each in events:
            kind = type(each)
            if kind is TextDelta:  # nearly every event
                self.begun = True
            elif kind is Completed:
                self.ended = True
            elif kind is not Started and kind is not UsageReported:
                self.begun = True
        return events

    def _without_data(self, event: SseEvent) -> list[StreamEvent]:
        if event is _TOO_LONG:
            return self._fail(unreadable(self._upstream, "an event of more than 32 MiB"))
        self._silent_bytes += len(event.raw)
        if self._silent_bytes > MAX_SILENT_BYTES:
            return self._fail(unreadable(self._upstream, "more than 1 MiB of comments without an event"))
        return []

    def end(self) -> list[StreamEvent]:
        """Return the events for the end of the bytes."""
        if self.ended:
            return []
        if self.is_whole():
            self.ended = True
            return [Completed()]
        return self._fail(cut_off(self._upstream, self.expected_end, begun=self.begun))

    def is_whole(self) -> bool:
        """Return whether the end of the bytes is the proper end now, for a protocol without an event for it."""
        return False

    @abstractmethod
    def translate(self, event: SseEvent) -> list[StreamEvent]:
        """Translate an event that has data; raise ProviderError for an error in it, ValueError for other data."""

    def _fail(self, error: ProviderError) -> list[StreamEvent]:
        self.ended = True
        return [StreamFailed(error.after_first_byte() if self.begun else error)]


class EventStreamForwarder:
    """Forwards the bytes of a stream to a client of the same protocol; a `StreamForwarder`."""

    def __init__(self, reader: EventStreamReader, *, strip_usage: bool) -> None:
        self._reader = reader
        reader.lenient = True
        self._strip_usage = strip_usage
        self.output_characters = 0
        self.finish: FinishReason | None = None
        self.usage: Usage | None = None
        self.error: ProviderError | None = None
        self.completed = False
        self.events: list[StreamEvent] = []
        """The events of the last `feed` or `close`, for validators."""

    @property
    def begun(self) -> bool:
        """Whether a token, a call or the finish has been seen."""
        return self._reader.begun

    def feed(self, data: bytes) -> bytes:
        """Return the bytes for the client: whole events only."""
        self.events = []
        events = self._reader.split(data)
        if len(events) == 1:
            return self._forward(events[0])
        return b"".join([self._forward(event) for event in events])

    def close(self) -> bytes:
        """Return the last bytes; set `error` when the proper end is missing.

        An event whose empty line is missing gets it, and a line that is not an event is left out: more may follow.
        """
        self.events = []
        forwarded = [(self._forward(event), event.data) for event in self._reader.rest()]
        self._observe(self._reader.end())
        return b"".join([raw.rstrip(b"\r\n") + b"\n\n" for raw, data in forwarded if raw and data])

    def _forward(self, event: SseEvent) -> bytes:
        reader = self._reader
        if reader.ended:
            return b""
        events = reader.read(event)
        if len(events) == 1 and type(events[0]) is TextDelta:  # nearly every event
            self.events.append(events[0])
            self.output_characters += len(events[0].text)
        else:
            self._observe(events)
            if self.error is not None or (self._strip_usage and reader.usage_only):
                return b""
            if self.completed and event.data.startswith(_DONE):
                return b"data: [DONE]\n\n"  # in any form of the provider's: clients get a comment before it
        raw = event.raw
        if len(raw) - len(event.data) > _ONE_LINE and b"centralcloud" in raw:
            raw = _without_own_comments(raw)
        return _without_usage(raw) if self._strip_usage else raw

    def _observe(self, events: list[StreamEvent]) -> None:
        self.events += events
        for event in events:
            match event:
                case TextDelta() | ThinkingDelta() | RefusalDelta() | ToolArgumentsDelta():
                    self.output_characters += len(event.text)
                case Finished():
                    self.finish = event.reason
                case UsageReported():
                    self.usage = self.usage.merged(event.usage) if self.usage else event.usage
                case Started():
                    self.usage = event.usage or self.usage
                case Completed():
                    self.completed = True
                case StreamFailed(error=ProviderError() as error):
                    self.error = error
                case ToolCallStarted():
                    pass


def _without_own_comments(raw: bytes) -> bytes:
    """Return an event without the comments that only the gateway may write."""
    left = _OWN_COMMENT.sub(b"", raw)
    return left if left.strip(b"\r\n") else b""


def _without_usage(raw: bytes) -> bytes:
    """Return an event without a usage of null, which services send in each chunk where usage was asked for."""
    if b'usage"' not in raw:  # with both quotation marks, the search takes twice as long
        return raw
    for usual in _USUAL_NO_USAGE:
        if usual in raw:
            return raw.replace(usual, b"")
    return _NO_USAGE.sub(b"", raw)
