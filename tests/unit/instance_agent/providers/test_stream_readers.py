"""Streams of the three dialects: the same events in any split, the same answer as without a stream, and proper ends."""

import itertools
import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chats import SCHEMA, WEATHER, a_request, an_upstream, answer_bytes, asked_by, collected, stream_bytes

from instance_agent.chat.answers import Started, StreamEvent, StreamFailed, UsageReported
from instance_agent.chat.messages import Reasoning, ResponseFormat, ToolCallPart
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.installed import BUILT_IN
from instance_agent.providers.openai.answer import OpenAIStreamReader

DIALECTS = ["openai", "anthropic", "gemini"]
REQUESTS: dict[str, dict[str, Any]] = {
    "text": {},
    "one tool": {"tools": (WEATHER,)},
    "two tools": {"tools": (WEATHER, WEATHER), "text": "both tools please"},
    "thinking": {"reasoning": Reasoning("low")},
    "schema": {"response_format": ResponseFormat("json_schema", SCHEMA)},
    "cut by length": {"max_output_tokens": 1},
}


def _stream(name: str, kind: str) -> bytes:
    call = BUILT_IN[name].chat(an_upstream(name), a_request(stream=True, **REQUESTS[kind]), "fake-small")
    return stream_bytes(name, asked_by(name, call))


def _read(name: str, stream: bytes, cuts: list[int]) -> list[StreamEvent]:
    reader = BUILT_IN[name].stream_reader(an_upstream(name))
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = [event for start, end in itertools.pairwise(places) for event in reader.feed(stream[start:end])]
    return events + reader.close()


def _plain(events: list[StreamEvent]) -> str:
    """Return events without the random ids of calls that Gemini does not name."""
    return re.sub(r"call_[0-9a-f]{24}", "call", repr(events))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", REQUESTS)
@settings(deadline=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=5000), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_events(name: str, kind: str, cuts: list[int]) -> None:
    stream = _stream(name, kind)

    assert _plain(_read(name, stream, cuts)) == _plain(_read(name, stream, []))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_stream_gives_the_answer_that_a_plain_call_gives(name: str, kind: str) -> None:
    dialect, upstream = BUILT_IN[name], an_upstream(name)
    call = dialect.chat(upstream, a_request(**REQUESTS[kind]), "fake-small")
    whole = dialect.read_answer(upstream, answer_bytes(name, asked_by(name, call)))

    streamed = collected(_read(name, _stream(name, kind), []))

    assert _without_ids(streamed.parts) == _without_ids(whole.parts)
    assert (streamed.finish, streamed.usage, streamed.model) == (whole.finish, whole.usage, whole.model)
    assert streamed.usage is not None


def _without_ids(parts: tuple[Any, ...]) -> list[Any]:
    return [
        ToolCallPart("", p.name, p.arguments, p.signature) if isinstance(p, ToolCallPart) else p for p in _joined(parts)
    ]


def _joined(parts: tuple[Any, ...]) -> list[Any]:
    """Gemini gives each piece of a plain answer as a part of its own."""
    joined: list[Any] = []
    for part in parts:
        if joined and type(joined[-1]) is type(part) and hasattr(part, "text") and not isinstance(part, ToolCallPart):
            joined[-1] = type(part)(
                joined[-1].text + part.text, *([part.signature] if hasattr(part, "signature") else [])
            )
        else:
            joined.append(part)
    return joined


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None)
@given(end=st.integers(min_value=0, max_value=10_000))
def test_a_stream_that_is_cut_off_anywhere_is_an_error(name: str, end: int) -> None:
    stream = _stream(name, "text").rstrip(b"\r\n")
    cut = stream[: end % len(stream)]

    events = _read(name, cut, [])

    failed = events[-1]
    assert isinstance(failed, StreamFailed)
    assert isinstance(failed.error, ProviderError)
    begun = any(not isinstance(event, Started | UsageReported | StreamFailed) for event in events)
    assert failed.error.retry is (Retry.BEGUN if begun else Retry.UNCERTAIN)


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_never_raises_and_never_looks_whole(name: str, noise: bytes) -> None:
    events = _read(name, b"data: " + noise + b"\n\n", [])

    assert isinstance(events[-1], StreamFailed) or noise.strip() == b"[DONE]"


@pytest.mark.parametrize("name", DIALECTS)
def test_nothing_follows_the_end(name: str) -> None:
    reader = BUILT_IN[name].stream_reader(an_upstream(name))
    reader.feed(_stream(name, "text"))
    reader.close()

    assert reader.feed(_stream(name, "text")) == []
    assert reader.close() == []


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    reader = OpenAIStreamReader(an_upstream("openai"))
    function = {"name": "f", "arguments": "{}"}

    def piece(id_: str) -> bytes:
        delta = {"tool_calls": [{"index": 0, "id": id_, "function": function}]}
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"

    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    events = reader.feed(piece("a") + piece("b") + end)

    answer = collected(events)
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [("a", "{}"), ("b", "{}")]
    assert answer.finish == "tool_calls"


@pytest.mark.parametrize("name", DIALECTS)
def test_usage_that_is_missing_or_zero_is_absent(name: str) -> None:
    empty = {
        "openai": b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":%s}',
        "anthropic": b'{"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":%s}',
        "gemini": b'{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":%s}',
    }
    zero = {
        "openai": b'{"prompt_tokens":0,"completion_tokens":0}',
        "anthropic": b'{"input_tokens":0,"output_tokens":0}',
        "gemini": b'{"promptTokenCount":0,"candidatesTokenCount":0}',
    }
    for usage in (b"null", b"{}", zero[name]):
        answer = BUILT_IN[name].read_answer(an_upstream(name), empty[name] % usage)
        assert answer.text == "x"
        assert answer.usage is None


def test_the_cost_that_openrouter_reports_is_kept_in_nano_usd() -> None:
    body = (
        b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.000015}}'
    )

    usage = BUILT_IN["openai"].read_answer(an_upstream("openai"), body).usage

    assert usage is not None
    assert usage.cost_nano_usd == 15_000


def test_half_a_character_of_a_provider_does_not_end_its_stream() -> None:
    reader = OpenAIStreamReader(an_upstream("openai"))

    events = reader.feed(
        b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )

    assert collected(events).text == "a\ufffd"


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize("include_usage", [False, True])
@settings(deadline=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=5000), max_size=20))
def test_any_split_of_the_bytes_forwards_the_same_bytes(name: str, include_usage: bool, cuts: list[int]) -> None:
    stream = _stream(name, "one tool")
    forwarder = BUILT_IN[name].stream_forwarder(an_upstream(name), include_usage=include_usage)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]

    written = b"".join([forwarder.feed(stream[start:end]) for start, end in pairwise(places)]) + forwarder.close()

    stripped = [event for event in stream.split(b"\n\n") if b'"choices": [], "usage"' not in event]
    assert written == (stream if include_usage else b"\n\n".join(stripped).replace(b', "usage": null', b""))
    assert (forwarder.finish, forwarder.completed, forwarder.error) == ("tool_calls", True, None)
    assert forwarder.usage is not None
    assert forwarder.output_characters == len('{"city": "Paris"}')


@pytest.mark.parametrize(
    ("chunk", "forwarded"),
    [
        ('{"choices":[],"usage":null}', '{"choices":[]}'),
        ('{"usage": null, "choices": []}', '{ "choices": []}'),
        ('{ "id": "x" , "usage" :\tnull , "choices": [] }', '{ "id": "x"  , "choices": [] }'),
        ('{"choices":[{"index":0}],"usage":null,"x":1}', '{"choices":[{"index":0}],"x":1}'),
        ('{"choices":[{"delta":{"content":",\\"usage\\":null,"},"index":0}]}',) * 2,
        ('{"choices":[{"delta":{"content":"{\\"usage\\": null}"},"index":0}]}',) * 2,
        ('{"choices":[{"delta":{"content":"usage"},"index":0}],"x":{"a":"usage"}}',) * 2,
    ],
)
def test_usage_without_numbers_is_stripped_in_any_spacing_and_never_from_a_text(chunk: str, forwarded: str) -> None:
    asked, not_asked = (
        BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=each) for each in (True, False)
    )
    written = not_asked.feed(f"data: {chunk}\n\n".encode())

    assert asked.feed(f"data: {chunk}\n\n".encode()) == f"data: {chunk}\n\n".encode()
    assert written == f"data: {forwarded}\n\n".encode()
    assert json.loads(written[6:]) == {name: value for name, value in json.loads(chunk).items() if name != "usage"}


@settings(deadline=None)
@given(text=st.text(st.sampled_from('usage":nl,{} \\'), max_size=40), spaces=st.booleans())
def test_no_text_of_an_answer_is_changed(text: str, spaces: bool) -> None:
    separators = (", ", ": ") if spaces else (",", ":")
    wire = {"choices": [{"index": 0, "delta": {"content": text}}], "usage": None, "text": f'"usage":null,{text}'}
    forwarder = BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=False)
    written = forwarder.feed(b"data: " + json.dumps(wire, separators=separators).encode() + b"\n\n")

    del wire["usage"]
    assert json.loads(written[6:]) == wire


def test_an_event_of_an_unknown_shape_is_forwarded_and_cannot_be_translated() -> None:
    odd = b'data: {"id": 5, "choices": "new"}\n\n'
    end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    forwarder = BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=True)
    reader = OpenAIStreamReader(an_upstream("openai"))

    assert forwarder.feed(odd + end) + forwarder.close() == odd + end
    assert forwarder.error is None
    assert isinstance(reader.feed(odd)[-1], StreamFailed)


@pytest.mark.parametrize("data", [b"out of memory", b'{"message": "out of memory"}', b'{"error": "out of memory"}'])
def test_an_event_named_error_is_one_whatever_it_holds(data: bytes) -> None:
    (failed,) = OpenAIStreamReader(an_upstream("openai")).feed(b"event: error\ndata: " + data + b"\n\n")

    assert isinstance(failed, StreamFailed)
    assert failed.error.message == "fake: out of memory"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_forwarded_stream_ends_with_a_whole_event_in_one_form(end: bytes, missing: int) -> None:
    events = [b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}', b"data:[DONE]"]
    stream = b"".join(event + end * 2 for event in events)[: -missing * len(end) or None]
    forwarder = BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=True)
    sent = b"".join(forwarder.feed(bytes([byte])) for byte in stream) + forwarder.close()

    assert sent == events[0] + end * 2 + b"data: [DONE]\n\n"
    assert forwarder.completed


@pytest.mark.parametrize(
    "rest", [b": keep-alive", b": keep-alive\r\n", b"event: x", b"event: x\n", b"id", b"\r", b"data"]
)
def test_an_unfinished_line_at_the_end_of_a_stream_is_not_forwarded(rest: bytes) -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    forwarder = BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=True)

    assert forwarder.feed(event + rest) + forwarder.close() == event
    assert forwarder.error is not None


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (b': centralcloud {"cost_usd":"0"}\n\n%b', b"%b"),
        (b":centralcloud\r\n: kept\r\n\r\n%b", b": kept\r\n\r\n%b"),
        (b": centralcloud x\r%b", b"%b"),
        (b": kept\n\n: centralcloud x\n\n: kept too\n\n%b", b": kept\n\n\n: kept too\n\n%b"),
        (b"id: 1\n: centralcloud x\n%b", b"id: 1\n%b"),
    ],
)
def test_a_comment_of_the_gateways_own_does_not_pass_when_a_provider_writes_it(sent: bytes, forwarded: bytes) -> None:
    event = b'data: {"choices":[{"delta":{"content":"\\n: centralcloud is named"},"finish_reason":"stop"}]}\n\n'
    stream = sent % event + b"data: [DONE]\n\n"
    whole, by_bytes = (BUILT_IN["openai"].stream_forwarder(an_upstream("openai"), include_usage=True) for _ in range(2))

    assert whole.feed(stream) == forwarded % event + b"data: [DONE]\n\n"
    written = b"".join(by_bytes.feed(bytes([byte])) for byte in stream)
    assert b"centralcloud" not in written.replace(event, b"")
    assert event.rstrip() in written


def test_comments_without_an_event_end_a_stream() -> None:
    reader = OpenAIStreamReader(an_upstream("openai"))
    piece = b": c\n\n" * 13_000
    found: list[StreamEvent] = []
    pieces = 0
    while not found and pieces < 100:
        found, pieces = reader.feed(piece), pieces + 1

    assert 15 <= pieces <= 17
    assert isinstance(found[0], StreamFailed)
    assert "more than 1 MiB of comments" in found[0].error.message
    assert reader.feed(piece) == []


def test_comments_between_events_do_not_add_up() -> None:
    reader = OpenAIStreamReader(an_upstream("openai"))
    minute = b": OPENROUTER PROCESSING\n\n" * 15_000 + b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'

    assert not any(isinstance(event, StreamFailed) for _ in range(3) for event in reader.feed(minute))
