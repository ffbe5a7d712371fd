"""Messages that are valid jsonb but not valid routing events: one table, for unit and integration tests."""

import json
from typing import Any

from support.events import an_event

_DECISION = "routing_decision."


def _without(field: str) -> str:
    event = an_event()
    target = event["routing_decision"] if field.startswith(_DECISION) else event
    del target[field.removeprefix(_DECISION)]
    return json.dumps(event)


def _with(field: str, value: Any) -> str:
    event = an_event()
    target = event["routing_decision"] if field.startswith(_DECISION) else event
    target[field.removeprefix(_DECISION)] = value
    return json.dumps(event)


def _with_number(field: str, digits: str) -> str:
    return _with(field, "NUMBER").replace('"NUMBER"', digits)


#: problem -> (JSON text or None for SQL NULL, field that the reason must name, words that it must contain)
MALFORMED: dict[str, tuple[str | None, str, str]] = {
    "SQL NULL": (None, "message", "SQL NULL"),
    "a JSON null": ("null", "message", "null"),
    "a number": ("42", "message", "42"),
    "a string": ('"text"', "message", '"text"'),
    "a list": ("[1, 2]", "message", "a list of 2 items"),
    "an empty object": ("{}", "timestamp", "nothing"),
    "a number of 5,000 digits": (_with_number("note", "7" * 5000), "message", "out of range"),
    "3,000 nested brackets": (_with_number("note", "[" * 3000 + "]" * 3000), "message", "nested too deeply"),
    "more than 256 kB": (_with("note", "x" * 262_144), "message", "at most 262144 bytes"),
    "more than 256 kB in fewer characters": (
        json.dumps({**an_event(), "note": "\U0001f600" * 66_000}, ensure_ascii=False), "message", "at most 262144 bytes",
    ),
    "routing_decision missing": (_without("routing_decision"), "routing_decision", "nothing"),
    "routing_decision a list": (_with("routing_decision", []), "routing_decision", "a list of 0 items"),
    "timestamp missing": (_without("timestamp"), "timestamp", "nothing"),
    "timestamp a number of 1970": (_with("timestamp", 1730000), "timestamp", "a time from 2020-01-01 on"),
    "timestamp a boolean": (_with("timestamp", True), "timestamp", "true"),
    "timestamp of year 1": (_with("timestamp", "0001-01-01T00:00:00Z"), "timestamp", "a time from 2020-01-01 on"),
    "timestamp of 1970": (_with("timestamp", "1970-01-01T00:00:00Z"), "timestamp", "a time from 2020-01-01 on"),
    "timestamp of 2019": (_with("timestamp", "2019-12-31T23:59:59.999999Z"), "timestamp", "a time from 2020-01-01 on"),
    "timestamp zero": (_with("timestamp", 0), "timestamp", "a time from 2020-01-01 on"),
    "timestamp a number far ahead": (_with("timestamp", 32503680000), "timestamp", "at most 24 hours after"),
    "timestamp a number of 400 digits": (_with_number("timestamp", "1" + "0" * 400), "timestamp", "80 digits"),
    "timestamp no date": (_with("timestamp", "yesterday"), "timestamp", '"yesterday"'),
    "timestamp in a month 13": (_with("timestamp", "2026-13-01T00:00:00Z"), "timestamp", "2026-13-01"),
    "timestamp far ahead": (_with("timestamp", "2999-01-01T00:00:00Z"), "timestamp", "at most 24 hours after"),
    "timestamp before the year 1": (_with("timestamp", "0001-01-01T00:00:00+14:00"), "timestamp", "0001-01-01"),
    "instance_id missing": (_without("instance_id"), "instance_id", "nothing"),
    "instance_id empty": (_with("instance_id", ""), "instance_id", '""'),
    "instance_id too long": (_with("instance_id", "i" * 201), "instance_id", "201 characters"),
    "instance_id a fraction": (_with("instance_id", 7.5), "instance_id", "7.5"),
    "instance_id a boolean": (_with("instance_id", True), "instance_id", "true"),
    "instance_id of spaces": (_with("instance_id", " \t "), "instance_id", "a string of 1 to 200 characters"),
    "instance_id with a newline": (_with("instance_id", "a\nb"), "instance_id", "without control"),
    "complexity missing": (_without("routing_decision.complexity"), "routing_decision.complexity", "nothing"),
    "complexity unknown": (_with("routing_decision.complexity", "urgent"), "routing_decision.complexity", '"urgent"'),
    "complexity a list": (_with("routing_decision.complexity", ["simple"]), "routing_decision.complexity", "a list"),
    "selected_model missing": (_without("routing_decision.selected_model"), "routing_decision.selected_model", "nothing"),
    "selected_model too long": (
        _with("routing_decision.selected_model", "m" * 513), "routing_decision.selected_model", "512 characters",
    ),
    "selected_model of too many bytes": (
        _with("routing_decision.selected_model", "\u6a21" * 301), "routing_decision.selected_model", "900 bytes",
    ),
    "selected_model with ESC": (
        _with("routing_decision.selected_model", "gpt\x1b[2J4o"), "routing_decision.selected_model", "without control",
    ),
    "selected_model with DEL": (
        _with_number("routing_decision.selected_model", '"gpt\x7f4o"'), "routing_decision.selected_model", "without control",
    ),
    "selected_model with U+202E": (
        _with("routing_decision.selected_model", "gpt\u202e4o"), "routing_decision.selected_model", "bidirectional",
    ),
    "selected_model with U+2028": (
        _with("routing_decision.selected_model", "gpt\u20284o"), "routing_decision.selected_model", "without control",
    ),
    "selected_provider with a zero-width space": (
        _with("routing_decision.selected_provider", "ac\u200bme"), "routing_decision.selected_provider", "invisible",
    ),
    "decision_id with a newline": (
        _with("routing_decision.decision_id", "d-1\nd-2"), "routing_decision.decision_id", "without control",
    ),
    "capabilities_required with ESC": (
        _with("routing_decision.capabilities_required", ["vision\x1b[A!"]),
        "routing_decision.capabilities_required[0]", "without control",
    ),
    "selected_provider null": (
        _with("routing_decision.selected_provider", None), "routing_decision.selected_provider", "null",
    ),
    "complexity_score missing": (
        _without("routing_decision.complexity_score"), "routing_decision.complexity_score", "nothing",
    ),
    "complexity_score above 5": (
        _with("routing_decision.complexity_score", 5.001), "routing_decision.complexity_score", "5.001",
    ),
    "complexity_score below 0": (
        _with("routing_decision.complexity_score", -0.1), "routing_decision.complexity_score", "-0.1",
    ),
    "complexity_score a boolean": (
        _with("routing_decision.complexity_score", True), "routing_decision.complexity_score", "true",
    ),
    "complexity_score a string": (
        _with("routing_decision.complexity_score", "4,8"), "routing_decision.complexity_score", '"4,8"',
    ),
    "complexity_score of 400 digits": (
        _with_number("routing_decision.complexity_score", "1" + "0" * 400), "routing_decision.complexity_score", "80 digits",
    ),
    "outcome unknown": (_with("routing_decision.outcome", "maybe"), "routing_decision.outcome", '"maybe"'),
    "outcome a list": (_with("routing_decision.outcome", ["success"]), "routing_decision.outcome", "a list"),
    "complexity 11": (_with("routing_decision.complexity", 11), "routing_decision.complexity", "11"),
    "complexity a fraction": (_with("routing_decision.complexity", 0.5), "routing_decision.complexity", "0.5"),
    "response_time_ms negative": (
        _with("routing_decision.response_time_ms", -1), "routing_decision.response_time_ms", "-1",
    ),
    "response_time_ms too large": (
        _with("routing_decision.response_time_ms", 2147483648), "routing_decision.response_time_ms", "2147483648",
    ),
    "response_time_ms a boolean": (
        _with("routing_decision.response_time_ms", False), "routing_decision.response_time_ms", "false",
    ),
    "response_time_ms a string": (
        _with("routing_decision.response_time_ms", "12 ms"), "routing_decision.response_time_ms", '"12 ms"',
    ),
    "capabilities_required a string": (
        _with("routing_decision.capabilities_required", "vision"), "routing_decision.capabilities_required", '"vision"',
    ),
    "capabilities_required of numbers": (
        _with("routing_decision.capabilities_required", ["vision", 3]),
        "routing_decision.capabilities_required[1]",
        "3",
    ),
}  # fmt: skip
