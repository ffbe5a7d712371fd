"""The bounds of the bodies of clients."""

import asyncio
import json
import random
import time
from typing import Any

import pytest

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.json_body import MAX_HALVES, decode, msgspec, repair_surrogates
from instance_agent.gateway import bodies
from instance_agent.gateway.bodies import MAX_ELEMENTS, body_limit, check_elements
from instance_agent.gateway.errors import GatewayError

ANY = msgspec.json.Decoder()
PARTS = [b"\\\\", b'\\"', b"\\n", b",", b"[", b"{", b"]", b"x", b'":"', b"\\u005b"]
HALVES = [b"d83d", b"D83D", b"de00", b"DE00"]


def elements(value: Any) -> int:
    """Count the objects, lists and commas of JSON."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    own = 1 + max(0, len(value) - 1) if isinstance(value, dict | list) else 0
    return own + sum(map(elements, inside))


def is_refused(path: str, body: bytes) -> bool:
    try:
        asyncio.run(check_elements(path, body))
    except GatewayError as error:
        return (error.status, error.code) == (413, "too_large")
    return False


def test_elements_are_counted_outside_of_texts_wherever_the_pieces_end(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(13)
    for _ in range(150):
        texts = [json.loads(b'"' + b"".join(chance.choices(PARTS[:8] + PARTS[9:], k=9)) + b'"') for _ in range(6)]
        value = {"a": texts, "b": [{texts[0]: [1, [], {}, texts[1]]}, texts[2]]}
        body = json.dumps(value, separators=chance.choice([(",", ":"), (", ", ": ")])).encode()
        counted = elements(value)
        monkeypatch.setattr(bodies, "_SCAN_BYTES", chance.randrange(1, 9))
        monkeypatch.setattr(bodies, "MAX_ELEMENTS", counted)
        assert not is_refused("/v1/messages", body), body
        monkeypatch.setattr(bodies, "MAX_ELEMENTS", counted - 1)
        assert is_refused("/v1/messages", body), body


def test_the_bounds_are_those_of_the_path() -> None:
    numbers = b'{"input":[' + b"1," * 300_000 + b"1]}"

    assert is_refused("/v1/chat/completions", numbers)
    assert not is_refused("/v1/embeddings", numbers)
    assert not is_refused("/v1/chat/completions", json.dumps({"content": "a, b [" * MAX_ELEMENTS}).encode())
    assert [body_limit(path, 9) for path in ("/v1/messages", "/v1/feedback", "/api/route")] == [9, 65_536, 4_194_304]


def test_other_work_goes_on_while_elements_are_counted() -> None:
    async def scenario() -> int:
        turns = 0
        counting = asyncio.create_task(check_elements("/v1/messages", json.dumps(["a, b" * 500_000]).encode()))
        while not counting.done():
            turns += 1
            await asyncio.sleep(0)
        await counting
        return turns

    assert asyncio.run(scenario()) >= 7


def test_halves_of_characters_are_repaired_in_linear_time() -> None:
    half = b'{"a":"' + b"\\ud800" * (MAX_HALVES - 1) + b'"}'
    began = time.thread_time()
    value = decode(half, ANY)
    # The whole of it took 3 s with a function called for each of them.
    assert time.thread_time() - began < 1.0
    assert value == {"a": "\ufffd" * (MAX_HALVES - 1)}

    for body in (b'"' + b"\\ud800" * (MAX_HALVES + 1) + b'"', b'"' + rb"\\" * (MAX_HALVES + 1) + rb'\ud800"'):
        assert repair_surrogates(body) == body
        with pytest.raises(InvalidRequestError, match="not JSON"):
            decode(body, ANY)


def test_whole_characters_and_texts_that_look_like_halves_stay() -> None:
    pieces = [*(rb"\u" + half for half in HALVES), *HALVES, rb"\\", rb"\n", rb"\u00e9", b"x", rb"\""]
    chance = random.Random(7)
    for _ in range(3_000):
        body = b'"' + b"".join(chance.choices(pieces, k=chance.randrange(1, 8))) + b'"'
        # The reader of the standard library takes halves, and joins pairs.
        expected = "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in json.loads(body))
        assert decode(body, ANY) == expected, body


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"parameters":{"a":[0,{"b":1e999}],"c":1}}', "parameters.a[1].b"),
        (b'{"a":{"b":{"c":-1e999}}}', "a.b.c"),
        (b"[1,[2,1e400]]", "[1][1]"),
        (b"1e999", None),
    ],
)
def test_a_number_out_of_range_is_named(body: bytes, place: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="found a number out of range at") as caught:
        decode(body, ANY)
    assert caught.value.param == place
