"""The routing event: accepted values, rejected values with the reason, and writing followed by reading."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace
from support.events import EVENT, NOW, REQUEST_ID, SENT_AT, an_event, parse
from support.malformed import MALFORMED

from centralcloud.contracts import (
    ContractError,
    RequestEvent,
    parse_routing_event,
    routing_event,
)
from centralcloud.contracts.event_fields import (
    ignored_fields,
)


def test_the_specifications_example_is_accepted() -> None:
    event = parse(EVENT)
    assert event.timestamp == SENT_AT
    assert (event.instance_id, event.complexity, event.model) == ("singularity-1", "complex", "gpt-4o")
    assert (event.provider, event.complexity_score, event.outcome) == ("github_models", 4.8, "routed")
    assert event.response_time_ms is None
    assert event.capabilities_required == ()
    assert event.extra == {}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_event_is_rejected_with_the_path_of_the_field(kind: str) -> None:
    text, field, words = MALFORMED[kind]
    with pytest.raises(ContractError) as rejected:
        parse_routing_event(text, NOW)
    assert rejected.value.field == field
    assert str(rejected.value).startswith(f"{field}: found ")
    assert words in str(rejected.value)
    assert "\n" not in str(rejected.value)


@pytest.mark.parametrize(
    ("field", "given_value", "read"),
    [
        ("complexity", "SIMPLE", "simple"),
        ("complexity", "Medium", "medium"),
        ("outcome", "Success", "success"),
        ("outcome", "FAILURE", "failure"),
        ("complexity_score", 0, 0.0),
        ("complexity_score", 5, 5.0),
        ("response_time_ms", 0, 0),
        ("response_time_ms", 2147483647, 2147483647),
        ("response_time_ms", 0.5, 0),
        ("response_time_ms", 1.5, 2),
        ("response_time_ms", 2.5, 2),
        ("response_time_ms", 812.6, 813),
        ("capabilities_required", None, ()),
        ("capabilities_required", ["vision", "function_calling"], ("vision", "function_calling")),
        ("prefer", "speed", "speed"),
        ("user_model_request", "gpt-4o", "gpt-4o"),
        ("decision_id", "d-1", "d-1"),
        ("input_tokens", 0, 0),
        ("output_tokens", 2147483647, 2147483647),
        ("cost_usd", 0.25, 0.25),
        ("error_kind", "timeout", "timeout"),
        ("task_type", "code", "code"),
        ("propensity", 1, 1),
        ("score_version", 17, 17),
        # Forms of other languages and systems that can mean only one value.
        ("decision_id", 12, "12"),
        ("decision_id", 12.0, "12"),
        ("decision_id", 10**30, "1" + "0" * 30),
        ("decision_id", " d-1\n", "d-1"),
        ("decision_id", "d" * 200, "d" * 200),
        ("selected_model", "gpt-4o ", "gpt-4o"),
        ("selected_model", "\u00a0gpt-4o\t", "gpt-4o"),
        ("selected_model", "cafe\u0301", "caf\u00e9"),
        ("selected_model", 4, "4"),
        ("selected_model", "m" * 512, "m" * 512),
        ("selected_model", "\u6a21\u578b", "\u6a21\u578b"),
        ("selected_provider", "\u2126 ", "\u03a9"),
        ("selected_provider", "p" * 512, "p" * 512),
        ("user_model_request", "gpt-4o ", "gpt-4o"),
        ("task_type", "cafe\u0301", "caf\u00e9"),
        ("task_type", 3, "3"),
        ("prefer", 7, "7"),
        ("capabilities_required", ["vision "], ("vision",)),
        ("outcome", None, "routed"),
        ("outcome", "ok", "success"),
        ("outcome", True, "success"),
        ("outcome", " Error ", "failure"),
        ("complexity", "Low", "simple"),
        ("complexity", "moderate", "medium"),
        ("complexity", "HIGH", "complex"),
        ("complexity", 1, "simple"),
        ("complexity", 3, "simple"),
        ("complexity", 4.0, "medium"),
        ("complexity", "7", "complex"),
        ("complexity", 8, "complex"),
        ("complexity", 10, "complex"),
        ("complexity_score", "4.8", 4.8),
        ("complexity_score", "5", 5.0),
        ("response_time_ms", "812.6", 813),
        ("response_time_ms", "12", 12),
        ("input_tokens", "120", 120),
        ("input_tokens", 120.0, 120),
        ("output_tokens", "120.0", 120),
        ("output_tokens", "", None),
        ("cost_usd", "0.0021", 0.0021),
        ("cost_usd", "2.1e-3", 0.0021),
        ("cost_usd", "", None),
        ("error_kind", "Policy", "policy"),
        ("error_kind", " CALLER", "caller"),
        ("error_kind", "Timed Out", "timeout"),
        ("error_kind", "", None),
        ("propensity", "0.25", 0.25),
        ("score_version", "17", 17),
        ("score_version", 17.0, 17),
    ],
)
def test_an_accepted_value_is_read(field: str, given_value: object, read: object) -> None:
    event = parse(an_event(**{field: given_value}))
    attribute = {"selected_model": "model", "selected_provider": "provider"}.get(field, field)
    assert getattr(event, attribute) == read
    assert type(getattr(event, attribute)) is type(read) or field == "propensity"
    assert event.extra == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prefer", 7.5),
        ("prefer", True),
        ("user_model_request", ["gpt-4o"]),
        ("decision_id", ""),
        ("decision_id", "d" * 201),
        ("decision_id", 12.5),
        ("decision_id", False),
        ("decision_id", {"id": 12}),
        ("input_tokens", -1),
        ("input_tokens", 12.5),
        ("input_tokens", True),
        ("input_tokens", 2147483648),
        ("cost_usd", -0.01),
        ("cost_usd", "cheap"),
        ("cost_usd", "0,0021"),
        ("cost_usd", "1_000"),
        ("cost_usd", "nan"),
        ("cost_usd", "1e999"),
        ("cost_usd", "9" * 5000),
        ("input_tokens", "12.5"),
        ("input_tokens", "\u0661\u0662"),
        ("cost_usd", 1e300),
        ("error_kind", "unknown"),
        ("error_kind", {}),
        ("task_type", [3]),
        ("propensity", 1.01),
        ("score_version", "v3"),
        ("alternate_models", ["a", "b"]),
        ("something_new", {"deep": [1, 2.5, None]}),
    ],
)
def test_an_invalid_descriptive_field_is_kept_in_extra(field: str, value: object) -> None:
    event = parse(an_event(**{field: value}))
    assert event.extra == {field: value}
    assert getattr(event, field, None) is None


def test_unknown_fields_around_the_decision_are_kept_under_a_distinct_name() -> None:
    event = parse({**an_event(note="inner"), "note": "outer", "region": "eu"})
    assert event.extra == {"note": "inner", "event.note": "outer", "region": "eu"}


def test_missing_optional_fields_have_their_defaults() -> None:
    event = an_event()
    for field in ("outcome", "response_time_ms", "capabilities_required", "prefer", "user_model_request"):
        del event["routing_decision"][field]
    read = parse(event)
    assert (read.outcome, read.response_time_ms, read.capabilities_required, read.prefer) == ("routed", None, (), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-10-27T06:55:00Z", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        ("2025-10-27T06:55:00", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        ("2025-10-27 06:55:00.123456+02:00", datetime(2025, 10, 27, 4, 55, 0, 123456, tzinfo=UTC)),
        ("20251027T065500Z", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        ("2025-10-27", datetime(2025, 10, 27, tzinfo=UTC)),
        ("20251027", datetime(2025, 10, 27, tzinfo=UTC)),
        ("2025-10-27 06:55:00 UTC", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        (" 2025-10-27T06:55:00utc ", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        ("2025-10-27 06:55:00.123456789 +0000 UTC", datetime(2025, 10, 27, 6, 55, 0, 123456, tzinfo=UTC)),
        ("2020-01-01T00:00:00Z", datetime(2020, 1, 1, tzinfo=UTC)),
        (1761548100, datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        (1761548100.5, datetime(2025, 10, 27, 6, 55, 0, 500000, tzinfo=UTC)),
        ("1761548100", datetime(2025, 10, 27, 6, 55, tzinfo=UTC)),
        ("1761548100.25", datetime(2025, 10, 27, 6, 55, 0, 250000, tzinfo=UTC)),
        (1761548100123, datetime(2025, 10, 27, 6, 55, 0, 123000, tzinfo=UTC)),
        ("1712123112345", datetime(2024, 4, 3, 5, 45, 12, 345000, tzinfo=UTC)),
        (1761548100123456, datetime(2025, 10, 27, 6, 55, 0, 123456, tzinfo=UTC)),
        (1761548100123456789, datetime(2025, 10, 27, 6, 55, 0, 123456, tzinfo=UTC)),
        ("1761548100123456789", datetime(2025, 10, 27, 6, 55, 0, 123456, tzinfo=UTC)),
        pytest.param((NOW + timedelta(hours=24)).isoformat(), NOW + timedelta(hours=24), id="a day ahead"),
    ],
)
def test_any_form_of_iso_8601_and_of_an_epoch_is_read_and_without_a_zone_is_utc(
    text: object, expected: datetime
) -> None:
    assert parse({**an_event(), "timestamp": text}).timestamp == expected


def test_a_timestamp_more_than_24_hours_ahead_of_the_servers_clock_is_rejected() -> None:
    with pytest.raises(ContractError, match="at most 24 hours"):
        parse({**an_event(), "timestamp": (NOW + timedelta(hours=24, microseconds=1)).isoformat()})


@pytest.mark.parametrize(
    ("outcome", "kind", "blameless"),
    [
        ("failure", "caller", True),
        ("failure", "policy", True),
        ("failure", "provider", False),
        ("failure", "timeout", False),
        ("failure", None, False),
        ("success", "caller", False),
    ],
)
def test_only_failures_of_caller_and_policy_are_blameless(outcome: str, kind: str | None, blameless: bool) -> None:
    assert parse(an_event(outcome=outcome, error_kind=kind)).blameless is blameless


@pytest.mark.parametrize(
    "plan",
    [
        '{"reason": "x", "nested": [{"a": [1, -2.5, null]}], "quoted": "a \\"b\\""}',
        '{"reason": "' + "x" * 2030 + '"}',
        '{"reason": "' + "x" * 2050 + '"}',
        '{"list": [' + ", ".join(["1"] * 800) + "]}",  # 2,048 bytes at most, but not with its spaces
        '{"number": 123456789012345678901234567890}',
        '{"number": ' + "9" * 400 + "}",
        '{"number": 0.' + "3" * 40 + "}",
        '{"words": "' + "1" * 40 + '"}',
        "[]",
        '"text"',
        "null",
        "7",
    ],
)
def test_a_plan_is_accepted_as_json_exactly_where_it_is_accepted_decoded(plan: str) -> None:
    event = json.dumps(an_event(request_id=REQUEST_ID, attempt=1, plan="PLAN")).replace('"PLAN"', plan)

    def read(text: str, *, raw: bool) -> object:
        try:
            found = parse_routing_event(text, NOW, raw_plan=raw)
        except ContractError as error:
            return str(error)
        assert isinstance(found, RequestEvent)
        as_json = found.plan if raw else None
        return replace(found, plan=json.loads(bytes(as_json)) if isinstance(as_json, msgspec.Raw) else found.plan)

    assert read(event, raw=True) == read(event, raw=False)


def test_a_plain_request_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing_event, "_parse_field_by_field", None)
    read = parse(
        an_event(request_id=REQUEST_ID, attempt=1, workspace="acme", cost_nano_usd=15_000, plan={"reason": "r"})
    )
    assert isinstance(read, RequestEvent)
    assert (read.request_id, read.workspace, read.cost_usd, read.plan) == (
        REQUEST_ID,
        "acme",
        0.000015,
        {"reason": "r"},
    )


@pytest.mark.parametrize(
    ("outcome", "error_kind", "read"),
    [
        ("timeout", None, ("failure", "timeout")),
        ("Timed-Out", "", ("failure", "timeout")),
        ("timeout", "provider", ("failure", "provider")),
        ("cancelled", None, ("failure", "caller")),
        ("error", "Policy", ("failure", "policy")),
    ],
)
def test_an_outcome_that_says_how_it_failed_sets_the_kind(outcome: str, error_kind: str | None, read: tuple) -> None:
    event = parse(an_event(outcome=outcome, error_kind=error_kind))
    assert (event.outcome, event.error_kind) == read


@pytest.mark.parametrize(
    ("event", "ignored"),
    [
        (an_event(), []),
        (an_event(probe=True, note="x"), []),
        (an_event(cost_usd="cheap"), [("cost_usd", "routing_decision.cost_usd")]),
        (an_event(decisionId="d-1"), [("decisionId", "routing_decision.decision_id")]),
        ({**an_event(), "decision_id": "d-1"}, [("decision_id", "routing_decision.decision_id")]),
        (an_event(timestamp="2026-11-01"), [("timestamp", "timestamp")]),
        ({**an_event(costUSD=1), "costUSD": 2}, [("costUSD", "routing_decision.cost_usd")] * 2),
    ],
)
def test_a_value_that_was_meant_as_a_field_and_is_not_read_is_named(event: dict, ignored: list) -> None:
    found = ignored_fields(parse(event).extra)
    assert [(key.removeprefix("event."), path) for key, path in found] == ignored
