"""Server-sent events: bytes in any split -> whole events."""

import re
from typing import Final

from msgspec import Struct

#: Two line ends in a row; a carriage return before a line feed is half of one line end.
_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINES: Final = re.compile(rb"\r\n|\n|\r")
#: Comments that stand alone. A stream may have very many: together they cost a hundredth of the time.
_COMMENTS: Final = re.compile(rb"(?::[^\r\n]*+(?:\n\n|\r\n\r\n))++")
_SHORT_LINE: Final = 1024
_BOM: Final = b"\xef\xbb\xbf"
#: Longer than any event: an answer of a whole image in base64 stays below it.
MAX_EVENT_BYTES: Final = 32 * 1024 * 1024


class EventTooLongError(Exception):
    """An event is longer than `MAX_EVENT_BYTES`."""


class SseEvent(Struct):
    """One event: its name (empty without one), its data, and all its bytes with the empty line."""

    name: bytes
    data: bytes
    raw: bytes


class SseReader:
    """Splits the bytes of a stream into events. Any split of the bytes gives the same events with data.

    Comments (keep-alives) are events without data; one event may hold several.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0
        self._first = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """Return the events that these bytes complete."""
        buffer = self._buffer + data if self._buffer else data
        if self._first:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._first = False
            buffer = buffer.removeprefix(_BOM)
        # A long line that has not ended yet is not read again and again.
        may_be = buffer.startswith(b":") and self._searched < _SHORT_LINE
        if may_be and (comments := _COMMENTS.match(buffer)) is not None:
            self._buffer, self._searched = b"", 0
            return [SseEvent(b"", b"", comments[0]), *self.feed(buffer[comments.end() :])]
        if b"\r" not in buffer:
            return self._split_at_line_feeds(buffer)
        events = []
        start, search = 0, self._searched
        while (match := _END.search(buffer, search)) is not None:
            end = match.end()
            if end == len(buffer) and buffer.endswith(b"\r"):
                break  # a line feed may still belong to it
            events.append(_parse(buffer[start:end]))
            start = search = end
        self._keep(buffer[start:])
        return events

    def _split_at_line_feeds(self, buffer: bytes) -> list[SseEvent]:
        """Split bytes without carriage returns, as nearly all are, in half of the time."""
        events = []
        start, search = 0, self._searched
        while (found := buffer.find(b"\n\n", search)) >= 0:
            end = found + 2
            raw = buffer[start:end]
            if raw.startswith(b"data: ") and raw.find(b"\n") == end - start - 2:  # one line of data
                events.append(SseEvent(b"", raw[6:-2], raw))
            else:
                events.append(_parse(raw))
            start = search = end
        self._keep(buffer[start:])
        return events

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of an event."""
        self._buffer = rest
        # The last three bytes may be the beginning of an end.
        self._searched = max(0, len(rest) - 3)
        if len(rest) > MAX_EVENT_BYTES:
            raise EventTooLongError

    def close(self) -> list[SseEvent]:
        """Return what stands after the last empty line as an event: some services leave the last one out."""
        rest, self._buffer, self._searched = self._buffer, b"", 0
        return [_parse(rest)] if rest.strip(b"\r\n") else []


def _parse(raw: bytes) -> SseEvent:
    name, data = b"", []
    for line in _LINES.split(raw):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(name, b"\n".join(data), raw)
