"""The model's name is replaced in the bytes of a client; everything else stays as it was written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.providers.body_edit import forwarded, replace_fields

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), _VALUES, max_size=6),
    st.text(),
    st.text(),
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
)
def test_only_the_model_changes(fields: dict[str, Any], before: str, after: str, ascii_only: bool, indent: Any) -> None:
    body = json.dumps({**fields, "model": before}, ensure_ascii=ascii_only, indent=indent).encode(
        errors="surrogatepass"
    )

    changed = json.loads(replace_fields(body, {"model": after}))

    assert changed == {**fields, "model": after}


def test_values_stay_byte_for_byte_with_their_spaces_escapes_and_numbers() -> None:
    messages = b'[ {"role" : "user",\t"content":"\\u00e4 \\/ \\ud83d\\ude00 \xc3\xa4"} ]'
    body = b'{ "new_field": 1.50e2 , "model"\n:\n"a", "messages": ' + messages + b', "seed": 12345678901234567890123 }'

    changed = replace_fields(body, {"model": 'b"\\'})

    assert messages in changed
    assert b'"new_field":1.50e2' in changed
    assert b"12345678901234567890123" in changed
    assert json.loads(changed)["model"] == 'b"\\'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model": "a", "x": 1, "model": "c"}', id="twice"),
        pytest.param(b'{"mod\\u0065l": "a", "x": 1}', id="escaped"),
        pytest.param(b'{"model": "a", "x": 1, "\\u006dodel": "c"}', id="twice, once escaped"),
        pytest.param(b'{"x": 1}', id="missing"),
    ],
)
def test_no_second_model_gets_through(body: bytes) -> None:
    changed = replace_fields(body, {"model": "b"})

    assert json.loads(changed, object_pairs_hook=list) in (
        [["model", "b"], ["x", 1]],
        [("model", "b"), ("x", 1)],
        [("x", 1), ("model", "b")],
    )


def test_a_model_inside_of_a_value_stays() -> None:
    body = b'{"metadata": {"model": "a"}, "messages": ["\\"model\\": \\"a\\""], "model": "a"}'

    changed = json.loads(replace_fields(body, {"model": "b"}))

    assert changed == {"metadata": {"model": "a"}, "messages": ['"model": "a"'], "model": "b"}


@pytest.mark.parametrize("options", ['{"include_usage": false, "x": 1}', '{"x": 1}'])
def test_usage_is_asked_for_in_streams_beside_the_other_options(options: str) -> None:
    body = f'{{"model": "a", "stream": true, "stream_options": {options}}}'.encode()

    changed = json.loads(replace_fields(body, {"model": "b"}, ask_for_usage=True))

    assert changed["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize(
    "body", ['{"model": "a"}', '{"model": "a", "stream": false}', '{"model": "a", "stream": null}']
)
def test_usage_is_not_asked_for_without_a_stream(body: str) -> None:
    assert "stream_options" not in json.loads(replace_fields(body.encode(), {"model": "b"}, ask_for_usage=True))


def test_null_options_count_as_none() -> None:
    body = b'{"model": "a", "stream": true, "stream_options": null}'

    assert json.loads(replace_fields(body, {}, ask_for_usage=True))["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": "a"', b"{'model': 'a'}", b'{"a":' + b"[" * 100_000, b"\xff"])
def test_another_body_is_the_callers_fault(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        replace_fields(body, {"model": "b"})

    assert "\n" not in refused.value.message


def test_half_a_character_becomes_the_replacement_character() -> None:
    body = b'{"model": "a", "x": "cut \\ud83d", "y": "\\\\ud83d \\ud83d\\ude00 \\ude00\\ud83d"}'

    changed = json.loads(replace_fields(body, {"model": "b"}))

    assert changed == {"model": "b", "x": "cut \ufffd", "y": "\\ud83d 😀 \ufffd\ufffd"}


def test_fields_that_name_other_models_are_left_out_and_named() -> None:
    body = b'{"model": "a", "models": ["c"], "route": "fallback", "fallbacks": [{"a": ["c"]}], "x": {"models": [1]}}'
    content, left_out = forwarded(body, "b")
    assert json.loads(content) == {"model": "b", "x": {"models": [1]}}
    assert left_out == ("fallbacks", "models", "route")
    assert forwarded(b'{"model":"a","x":1}', "b") == (b'{"model":"b","x":1}', ())
