"""Server-sent events: bytes in any split -> whole events."""

import re
from typing import Final

from msgspec import Struct

#: Two line ends in a row; a carriage return before a line feed is half of one line end.
_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINES: Final = re.compile(rb"\r\n|\n|\r")
#: Comments that stand alone. A stream may have very many: together they cost a hundredth of the time.
_COMMENTS: Final = re.compile(rb"(?::[^\r\n]*+(?:\n\n|\r\n\r\n))++")
#: So many bytes at the end of an unfinished event may be the beginning of its end.
_SEAM: Final = 3
_BOM: Final = b"\xef\xbb\xbf"
#: All at the begin: a client would take the second one for the first, and read the line behind it as one of its own.
_BOMS: Final = re.compile(rb"\A(?:\xef\xbb\xbf)++")
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
        #: The beginning of an event. It grows in place: an event of 32 MiB arrives in many pieces.
        self._buffer = bytearray()
        self._first = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """Return the events that these bytes complete."""
        search = 0
        if self._buffer:
            seam = self._buffer[-_SEAM:] + data
            search = max(0, len(self._buffer) - _SEAM)
            self._buffer += data
            if not self._first and not _has_end(seam):
                self._check_length()
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        if self._first:
            if data.startswith(_BOM):
                data = _BOMS.sub(b"", data, count=1)
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._buffer += data
                return []
            self._first, search = False, 0
        if data.startswith(b":") and (comments := _COMMENTS.match(data)) is not None:
            return [SseEvent(b"", b"", comments[0]), *self._split(data[comments.end() :], 0)]
        return self._split(data, search)

    def _split(self, data: bytes, search: int) -> list[SseEvent]:
        """Split bytes into events; the first end does not begin before `search`."""
        if b"\r" not in data:
            return self._split_at_line_feeds(data, search)
        events = []
        start = 0
        while (match := _END.search(data, search)) is not None:
            end = match.end()
            if end == len(data) and data.endswith(b"\r"):
                break  # a line feed may still belong to it
            events.append(_parse(data[start:end]))
            start = search = end
        self._keep(data[start:])
        return events

    def _split_at_line_feeds(self, data: bytes, search: int) -> list[SseEvent]:
        """Split bytes without carriage returns, as nearly all are, in a quarter of the time."""
        events = []
        start = 0
        # Two bytes are not searched for: that takes three times as long as one.
        while (found := data.find(b"\n", search)) >= 0:
            end = found + 2
            if data[found + 1 : end] != b"\n":
                search = found + 1
                continue
            raw = data[start:end]
            if search == start and raw.startswith(b"data: "):  # one line of data
                events.append(SseEvent(b"", raw[6:-2], raw))
            else:
                events.append(_parse(raw))
            start = search = end
        if start < len(data):
            self._keep(data[start:])
        return events

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of an event."""
        self._buffer += rest
        self._check_length()

    def _check_length(self) -> None:
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise EventTooLongError

    def close(self) -> list[SseEvent]:
        """Return what stands after the last empty line as an event: some services leave the last one out."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [_parse(rest)] if rest.strip(b"\r\n") else []


def _has_end(data: bytearray) -> bool:
    return b"\n\n" in data or (b"\r" in data and _END.search(data) is not None)


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
