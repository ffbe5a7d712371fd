"""Properties of the routing event: any event that is read is written unchanged, and both ways of reading it agree."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.events import EVENT, NOW, REQUEST_ID, an_event, parse

from centralcloud.contracts import (
    COMPLEXITIES,
    OUTCOMES,
    ContractError,
    RoutingEvent,
    parse_routing_event,
)
from centralcloud.contracts.event_fields import (
    EVENT_FIELDS,
    REQUEST_FIELDS,
    REQUEST_LABELS,
    check_value,
)
from centralcloud.contracts.text import normalize


def _names(max_size: int) -> st.SearchStrategy[str]:
    """Names as the contract writes them: an event that is made by hand may have others, which reading normalizes."""
    visible = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp", "Cs"))
    names = st.text(visible, min_size=1, max_size=max_size).map(normalize)
    return names.filter(lambda name: 1 <= len(name) <= max_size and len(name.encode()) <= 900)


_TEXTS = st.text().map(normalize)
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_EVENTS = st.builds(
    RoutingEvent,
    timestamp=st.integers(0, (NOW - _EARLIEST) // timedelta(microseconds=1)).map(
        lambda micros: _EARLIEST + timedelta(microseconds=micros)
    ),
    instance_id=_names(200),
    complexity=st.sampled_from(COMPLEXITIES),
    model=_names(512),
    provider=_names(512),
    complexity_score=st.floats(0, 5),
    outcome=st.sampled_from(OUTCOMES),
    response_time_ms=st.none() | st.integers(0, 2147483647),
    capabilities_required=st.lists(_names(512), max_size=3).map(tuple),
    prefer=st.none() | _TEXTS,
    user_model_request=st.none() | _TEXTS,
    decision_id=st.none() | _names(200),
    input_tokens=st.none() | st.integers(0, 2147483647),
    output_tokens=st.none() | st.integers(0, 2147483647),
    cost_usd=st.none() | st.floats(0, 1e9),
    error_kind=st.none() | st.sampled_from(("caller", "policy", "provider", "timeout")),
    task_type=st.none() | _TEXTS,
    propensity=st.none() | st.floats(0, 1),
    score_version=st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    extra=st.dictionaries(st.text().map(lambda name: f"x-{name}"), _JSON, max_size=3),
)


@given(_EVENTS)
def test_a_written_event_is_read_unchanged(event: RoutingEvent) -> None:
    assert parse_routing_event(event.to_json(), NOW) == event


@given(
    st.text()
    | _JSON.map(json.dumps)
    | st.builds(lambda decision: json.dumps({**EVENT, "routing_decision": decision}), _JSON)
)
def test_any_text_is_an_event_or_a_contract_error(text: str) -> None:
    try:
        parse_routing_event(text, NOW)
    except ContractError as error:
        assert error.field  # noqa: PT017 - either outcome is fine, another exception is not


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**65), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.sampled_from(["simple", "MEDIUM", "success", "routed", "caller", "Policy", "timeout", "low", "ok"]),
    st.sampled_from(["120", "0.0021", 120.0]),
    st.sampled_from([" gpt-4o", "gpt-4o ", "gpt 4o", "e\u0301", "\u6a21", "\x7f", "a\x1bb", "\u202e", "\u00a0", "\u2028x"]),
    st.sampled_from(["1970-01-01T00:00:00Z", "2026-11-01 12:00:00 UTC", 1761548100, 1761548100123, "1761548100"]),
    st.sampled_from(["2026-11-01T12:00:00Z", "2026-11-01 12:00:00.1234567+02:00"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers()), max_size=2), st.just({}),
)  # fmt: skip
_FIELDS = st.sampled_from(
    ["timestamp", "instance_id", "complexity", "selected_model", "selected_provider", "complexity_score", "outcome",
     "response_time_ms", "capabilities_required", "prefer", "user_model_request", "decision_id", "input_tokens",
     "output_tokens", "cost_usd", "error_kind", "task_type", "propensity", "score_version"]
)  # fmt: skip


@settings(max_examples=500)
@given(changes=st.dictionaries(_FIELDS, _VALUES, max_size=3))
def test_a_plain_message_is_parsed_the_same_as_one_parsed_field_by_field(changes: dict) -> None:
    """An unknown field makes the parser go field by field; it must be the only difference."""
    event = an_event(**{name: value for name, value in changes.items() if name not in ("timestamp", "instance_id")})
    event |= {name: value for name, value in changes.items() if name in ("timestamp", "instance_id")}

    def read(message: dict) -> RoutingEvent | str:
        try:
            return parse(message)
        except ContractError as error:
            return str(error)

    plain, unusual = read(event), read({**event, "unknown": 1})
    if isinstance(plain, str) or isinstance(unusual, str):
        assert plain == unusual
    else:
        assert unusual.extra == {**plain.extra, "unknown": 1}
        assert replace(plain, extra={}) == replace(unusual, extra={})


_LABEL_VALUES = st.sampled_from(
    ["acme", "two words", " acme ", "", "x" * 201, "line\nbreak", "\u202eevil", "caf\u00e9", 12, None]
)


@settings(max_examples=200)
@given(
    labels=st.dictionaries(st.sampled_from(REQUEST_LABELS), _LABEL_VALUES, max_size=3),
    others=st.dictionaries(st.sampled_from([field.name for field in REQUEST_FIELDS]), _VALUES, max_size=3),
    until=st.sampled_from([None, "2026-11-29T10:00:00Z", "2026-11-29T10:00:00+02:00", "2019-01-01T00:00:00Z", "soon"]),
    plan=st.sampled_from([None, {}, {"reason": "x"}, {"reason": "x" * 2100}, []]),
)
def test_both_ways_of_reading_a_request_give_the_same_event(
    labels: dict, others: dict, until: object, plan: object
) -> None:
    changes = {"request_id": REQUEST_ID, "feedback_until": until, "plan": plan, **labels, **others}
    plain, unusual = parse(an_event(**changes)), parse(an_event(**changes, unknown=1))
    assert unusual.extra == {**plain.extra, "unknown": 1}
    assert replace(plain, extra={}) == replace(unusual, extra={})
    assert parse_routing_event(plain.to_json(), NOW) == plain
    assert list(json.loads(plain.to_json()).items()) == list(plain.to_message().items())


@settings(max_examples=100)
@given(changes=st.dictionaries(_FIELDS, _VALUES, max_size=4))
def test_an_event_that_was_read_is_written_and_read_unchanged(changes: dict) -> None:
    event = an_event(**{name: value for name, value in changes.items() if name not in ("timestamp", "instance_id")})
    event |= {name: value for name, value in changes.items() if name in ("timestamp", "instance_id")}
    try:
        read = parse(event)
    except ContractError:
        return
    assert parse_routing_event(read.to_json(), NOW) == read


@settings(max_examples=100)
@given(field=st.sampled_from([field for field in EVENT_FIELDS if field.name != "timestamp"]), value=_VALUES)
def test_the_library_accepts_the_values_that_the_contract_accepts_and_makes_the_same_of_them(field, value) -> None:
    event = an_event()
    (event if field.name == "instance_id" else event["routing_decision"])[field.name] = value
    try:
        read = parse(event)
    except ContractError as error:
        complaint = str(error).split(": ", 1)[1]
        with pytest.raises(ContractError, match=f"{re.escape(complaint)}$"):
            check_value(field.attribute, value)
        return
    if field.name in read.extra:
        with pytest.raises(ContractError):
            check_value(field.attribute, value)
    else:
        assert check_value(field.attribute, value) == getattr(read, field.attribute, None)
