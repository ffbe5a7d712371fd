"""Server-sent events: the same events, however the bytes are split."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instance_agent.providers import sse
from instance_agent.providers.sse import EventTooLongError, SseEvent, SseReader

_LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"event: error", b": comment", b"id: 1", b'data: {"x": 1}', b""]
)
_STREAMS = st.lists(st.tuples(_LINES, _LINE_ENDS), max_size=20).map(lambda lines: b"".join(a + b for a, b in lines))


def _read(stream: bytes, cuts: list[int]) -> list[SseEvent]:
    reader = SseReader()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = []
    for start, end in pairwise(places):
        events += reader.feed(stream[start:end])
    return _joined(events + reader.close())


def _joined(events: list[SseEvent]) -> list[SseEvent]:
    """Return the events with comments that follow each other as one: pieces join them in another way."""
    joined: list[SseEvent] = []
    for event in events:
        if joined and not any((event.name, event.data, joined[-1].name, joined[-1].data)):
            joined[-1] = SseEvent(b"", b"", joined[-1].raw + event.raw)
        else:
            joined.append(event)
    return joined


@settings(deadline=None)
@given(_STREAMS, st.lists(st.integers(min_value=0, max_value=500), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert _read(stream, cuts) == _read(stream, [])


@settings(deadline=None)
@given(_STREAMS)
def test_single_bytes_give_the_same_events_and_no_byte_is_lost(stream: bytes) -> None:
    events = _read(stream, list(range(len(stream))))

    assert events == _read(stream, [])
    assert b"".join(event.raw for event in events).replace(b"\r", b"\n").strip(b"\n") == stream.replace(
        b"\r", b"\n"
    ).strip(b"\n")


def test_lines_of_data_are_joined_and_a_comment_has_none() -> None:
    first, second = SseReader().feed(b": hello\n\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n")

    assert (first.name, first.data) == (b"", b"")
    assert (second.name, second.data) == (b"x", b"a\nb")
    assert [event.data for event in SseReader().feed(b": a\rdata: b\n\n: c\n\n")] == [b"b", b""]


def test_a_byte_order_mark_before_the_first_event_is_skipped_in_any_split() -> None:
    reader = SseReader()

    events = [event for byte in b"\xef\xbb\xbfdata: a\n\n" for event in reader.feed(bytes([byte]))]

    assert [event.data for event in events] == [b"a"]


@pytest.mark.parametrize("size", [1, 2, 4, 1000])
def test_no_second_byte_order_mark_hides_a_line(size: int) -> None:
    """A client that skips the one that is left would take the line behind it for a comment of the gateway."""
    reader, data = SseReader(), b"\xef\xbb\xbf" * 3 + b": centralcloud {}\n\ndata: a\n\n"

    pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]

    assert b"".join(event.raw for piece in pieces for event in reader.feed(piece)) == data[9:]


def test_the_last_event_needs_no_empty_line() -> None:
    reader = SseReader()

    assert reader.feed(b"data: [DONE]") == []
    assert [event.data for event in reader.close()] == [b"[DONE]"]


def test_an_event_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    reader = SseReader()

    with pytest.raises(EventTooLongError):
        reader.feed(b"data: " + b"x" * 100)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_a_long_event_in_many_pieces_is_read_once(end: bytes) -> None:
    """Copied at each piece, half as many pieces took 7 s."""
    reader = SseReader()
    began = time.process_time()

    for _ in range(8_000):
        assert reader.feed(b"x" * 2_000) == []
    (event,) = reader.feed(end)

    assert len(event.raw) == 16_000_000 + len(end)
    assert time.process_time() - began < 3
