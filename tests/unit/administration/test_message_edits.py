"""The functions of `dead-letters replay --edit`: a small closed set, with an error that names function and field."""

import re
from datetime import UTC, datetime

import pytest

from centralcloud.administration.message_edits import FUNCTIONS, Edit, compute, parse_call
from centralcloud.contracts import SettingsError

QUEUED_AT = datetime(2026, 11, 28, 6, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        ("epoch_s", 1761548100, "2025-10-27T06:55:00+00:00"),
        ("epoch_s", "1761548100.25", "2025-10-27T06:55:00.250000+00:00"),
        ("epoch_ms", 1761548100123, "2025-10-27T06:55:00.123000+00:00"),
        ("epoch_us", 1761548100123456, "2025-10-27T06:55:00.123456+00:00"),
        ("epoch_ns", 1761548100123456789, "2025-10-27T06:55:00.123456+00:00"),
        ("lower", "GPT-4o", "gpt-4o"),
        ("trim", " gpt-4o\n", "gpt-4o"),
        ("clean", " gpt\x1b-4o\u202e\n", "gpt-4o"),
        ("number", "12.5", 12.5),
        ("number", "12", 12),
        ("number", 0, 0),
        ("text", 12, "12"),
        ("enqueued_at", None, "2026-11-28T06:55:00+00:00"),
    ],
)
def test_a_function_computes_the_value(function: str, argument: object, value: object) -> None:
    edit = Edit(["x"], function=function, argument=("timestamp",))
    computed = compute(edit, argument, QUEUED_AT)
    assert computed == Edit(["x"], value)
    assert type(computed.value) is type(value)


@pytest.mark.parametrize(
    ("function", "argument", "complaint"),
    [
        ("epoch_ms", "yesterday", 'x=epoch_ms(a.b): found "yesterday" in a.b, expected a number of milliseconds since 1970'),
        ("epoch_ms", 1761548100, "found 1761548100 in a.b, expected a number of milliseconds since 1970, of a time from"),
        ("epoch_s", 10**30, "expected a number of seconds"),
        ("epoch_s", None, "found null in a.b"),
        ("lower", 7, "found 7 in a.b, expected a string"),
        ("number", "12 ms", 'found "12 ms" in a.b, expected a number, or a string that holds one'),
        ("text", 1.5, "expected a string or a whole number"),
    ],
)  # fmt: skip
def test_an_argument_without_a_result_is_named(function: str, argument: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        compute(Edit(["x"], function=function, argument=("a", "b")), argument, QUEUED_AT)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_field_that_a_message_lacks_is_named(function: str) -> None:
    with pytest.raises(ValueError, match=r"found nothing in a\.b"):
        compute(Edit(["x"], function=function, argument=("a", "b")), None, QUEUED_AT, present=False)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("epoch_ms(timestamp)", ("epoch_ms", ("timestamp",))),
        (" trim( routing_decision.selected_model ) ", ("trim", ("routing_decision", "selected_model"))),
        ("enqueued_at()", ("enqueued_at", ())),
        ("simple", None),
        ("12", None),
        ('"cost(low)"', None),
        ("[lower(a)]", None),
        ("gpt-4o (new)", None),
    ],
)
def test_a_call_is_told_from_a_value(text: str, call: object) -> None:
    assert parse_call(text) == call


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("__import__(os)", "found the function '__import__', expected one of epoch_s, epoch_ms"),
        ("cost(low)", "a text of this form goes in double quotes"),
        ("lower()", "expected lower(field)"),
        ("lower(a..b)", "expected lower(field)"),
        ("enqueued_at(x)", "expected enqueued_at() without an argument"),
        ("epoch_ms(timestamp", "expected epoch_ms(field)"),
        ("epoch_ms(timestamp)(x)", "expected epoch_ms(field)"),
    ],
)
def test_a_wrong_call_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(complaint)):
        parse_call(text)
