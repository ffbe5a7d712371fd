"""Checks of answers, and the bounded check of a schema."""

import json
import time
from typing import Any

import pytest
from support.executions import a_request

from instance_agent.chat.answers import (
    ChatAnswer,
    Finished,
    FinishReason,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart
from instance_agent.execution.json_schema import first_difference
from instance_agent.execution.operations import judged
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.validators import AnswerChecks, Defect, Verdict, Wanted, find_defect, judge
from instance_agent.providers.collector import AnswerCollector

EMPTY: tuple[Defect, str] = ("empty_answer", "found an empty answer, expected text or a call of a tool")
ARGUMENTS: tuple[Defect, str] = ("invalid_arguments", "found arguments of a tool that are not a JSON object")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "kind": {"$ref": "#/$defs/kind"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
    "$defs": {"kind": {"const": "x"}},
}


def answer(
    text: str = "", *, calls: tuple[str, ...] = (), finish: FinishReason = "stop", refusal: str | None = None
) -> ChatAnswer:
    parts = [TextPart(text)] if text else []
    return ChatAnswer(
        id="1",
        model="m",
        parts=(*parts, *(ToolCallPart("1", "f", each) for each in calls)),
        finish=finish,
        refusal=refusal,
    )


def defect(found: ChatAnswer, wanted: Wanted | None = None, **checks: bool) -> str | None:
    result = find_defect(found, wanted or Wanted(), AnswerChecks(**checks))
    return result[0] if result else None


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (answer("Hello."), Wanted(), None),
        (answer(""), Wanted(), "empty_answer"),
        (answer(" \n"), Wanted(), "empty_answer"),
        (answer("", calls=("{}",)), Wanted(), None),
        (answer("", calls=("",)), Wanted(), None),
        (answer("", calls=('{"city": ',)), Wanted(), "invalid_arguments"),
        (answer("", calls=("[1]",)), Wanted(), "invalid_arguments"),
        (answer("", refusal="No."), Wanted("json_object"), None),
        (answer("", finish="content_filter"), Wanted("json_object"), None),
        (answer('{"a": 1}'), Wanted("json_object"), None),
        (answer('```json\n{"a": 1}\n```'), Wanted("json_object"), "not_json"),
        (answer("[1]"), Wanted("json_object"), "not_json"),
        (answer('{"a": '), Wanted("json_object"), "not_json"),
        (answer("", calls=("{}",)), Wanted("json_object"), None),
        (answer('{"name": "x", "age": 1}'), Wanted("json_schema", SCHEMA), None),
        (answer('{"name": "x"}'), Wanted("json_schema", SCHEMA), "not_of_schema"),
        (answer("nothing"), Wanted("json_schema", None), "not_json"),
    ],
)
def test_defects(found: ChatAnswer, wanted: Wanted, expected: str | None) -> None:
    assert defect(found, wanted) == expected


def test_an_answer_that_is_cut_off_is_a_defect_only_by_option() -> None:
    assert defect(answer("Once", finish="length")) is None
    assert defect(answer("Once", finish="length"), cut_off=True) == "cut_off"
    assert defect(answer("", finish="length")) is None, "the caller's limit was too low even for thoughts"


def test_thoughts_alone_are_an_empty_answer() -> None:
    found = ChatAnswer(id="1", model="m", parts=(ThinkingPart("Hm."),), finish="stop")
    assert defect(found) == "empty_answer"


def test_each_check_can_be_left_out() -> None:
    assert defect(answer(""), empty=False) is None
    assert defect(answer("", calls=("x",)), arguments=False) is None
    assert defect(answer("x"), Wanted("json_object"), form=False) is None


def test_deep_json_is_a_defect_and_no_crash() -> None:
    assert defect(answer("[" * 100_000), Wanted("json_object")) == "not_json"
    assert defect(answer("", calls=('{"a":' * 100_000,))) == "invalid_arguments"


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"name": "x", "age": 1}, None),
        ({"name": "x", "age": 1.0}, None),
        ({"name": "x", "age": 1.5}, "$.age"),
        ({"name": "x", "age": True}, "$.age"),
        ({"name": "x"}, "'age'"),
        ({"name": "x", "age": 1, "more": 1}, "additional"),
        ({"name": "x", "age": 1, "tags": ["a", "c"]}, "$.tags[1]"),
        ({"name": "x", "age": 1, "next": None}, None),
        ({"name": "x", "age": 1, "next": {"name": "y", "age": 2}}, None),
        ({"name": "x", "age": 1, "next": {"name": "y"}}, "anyOf"),
        ({"name": "x", "age": 1, "kind": "x"}, None),
        ({"name": "x", "age": 1, "kind": "y"}, "$.kind"),
        ([], "type object"),
    ],
)
def test_differences_from_a_schema(value: Any, where: str | None) -> None:
    found = first_difference(value, SCHEMA)
    if where is None:
        assert found is None
    else:
        assert found is not None
        assert where in found


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"$ref": "http://169.254.169.254/latest/meta-data"},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}] * 8},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": 7, "required": "x", "properties": [], "items": 3, "enum": "x", "anyOf": {}},
        {"type": ["unknown"]},
        {"type": [{}, "string"]},
        True,
        None,
    ],
)
def test_a_hostile_schema_costs_little_and_reports_nothing(schema: Any) -> None:
    began = time.process_time()
    for value in ("a" * 40 + "!", {"a": [1]}, [[[]]]):
        assert first_difference(value, schema) is None
    assert time.process_time() - began < 2.0


def _wide(schema: dict[str, Any], value: Any) -> tuple[dict[str, Any], list[Any]]:
    return {"items": schema}, [value] * 500


def _long(case: str) -> tuple[dict[str, Any], Any]:
    """Return a long schema and a value. Made by the test that uses it: the collection would make all, in each worker."""
    match case:
        case "enum":
            return _wide({"enum": [f"value {n}" for n in range(50_000)]}, "another")
        case "lists":
            return _wide({"enum": [[n] for n in range(50_000)]}, ["another"])
        case "texts":
            return _wide({"enum": [["x" * 10_000 + str(n)] for n in range(300)]}, ["x" * 10_000 + "y"])
        case "required":
            return _wide({"required": [7] * 200_000}, {})
        case "properties":
            return _wide({"properties": {str(n): {} for n in range(200_000)}}, {})
        case "types":
            return _wide({"type": ["array"] * 200_000}, 1)
        case "reference":
            return _wide({"$ref": "#" + "/x" * 200_000}, 1)
        case "value":
            properties = {"additionalProperties": {}, "properties": {str(n): {} for n in range(9)}}
            return properties, {str(n): 1 for n in range(10**6)}
        case _:
            return {"const": [[1] * 10**6]}, [[1] * 10**6]


@pytest.mark.parametrize(
    "case", ["enum", "lists", "texts", "required", "properties", "types", "reference", "value", "const"]
)
def test_long_lists_of_a_schema_cost_little(case: str) -> None:
    schema, value = _long(case)

    def seconds() -> float:
        began = time.process_time()
        first_difference(value, schema)
        return time.process_time() - began

    # The least of some: a crowded machine makes single ones several times as long.
    assert min(seconds() for _ in range(3)) < 0.2


def test_a_long_enum_is_checked_within_the_bound() -> None:
    countries = {"enum": [f"value {n}" for n in range(5000)]}
    found = first_difference(["value 4999"] * 999 + ["another"], {"items": countries})
    assert found == "$[999] is not one of the values of enum"


@pytest.mark.parametrize(
    ("value", "values", "fits"),
    [
        (True, [1], False),
        (1, [True], False),
        (1, [1.0], True),
        (None, [None], True),
        ([True], [[1]], False),
        ({"a": [1, 2]}, [{"a": [1, 2.0]}], True),
        ({"a": 1}, [{"a": 1, "b": 2}], False),
        ([1], [1, "1", {}], False),
    ],
)
def test_values_of_enum_and_const_are_compared_as_json(value: Any, values: list[Any], fits: bool) -> None:
    assert (first_difference(value, {"enum": values}) is None) == fits
    if len(values) == 1:
        assert (first_difference(value, {"const": values[0]}) is None) == fits


def test_deep_values_of_an_enum_do_not_crash_the_check() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert first_difference(deep, {"enum": [deep]}) is None


def test_a_check_that_fails_is_logged_and_finds_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = a_request()
    monkeypatch.setattr(ExecutionRequest, "wanted", lambda _: {}["schema"])

    assert judged(answer("Hello."), request, AnswerChecks()) == Verdict()
    assert "answer_not_checked" in caplog.text


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([TextDelta("Hello.")], Verdict()),
        ([TextDelta("\n"), TextDelta("Hello.")], Verdict()),
        ([], Verdict(False, EMPTY)),
        ([TextDelta(" "), TextDelta("\n")], Verdict(False, EMPTY)),
        ([ThinkingDelta("Hm.")], Verdict(False, EMPTY)),
        ([RefusalDelta("No.")], Verdict(refused=True)),
        ([TextDelta("Well."), RefusalDelta("No.")], Verdict(refused=True)),
        ([ToolCallStarted(0, "1", "f"), ToolArgumentsDelta(0, "{}")], Verdict()),
        ([ToolCallStarted(0, "1", "f"), ToolArgumentsDelta(0, "{")], Verdict(False, ARGUMENTS)),
        ([TextDelta("x"), Finished("content_filter")], Verdict(refused=True)),
        ([Finished("length")], Verdict()),
    ],
)
def test_a_sketch_of_a_stream_gets_the_verdict_of_the_whole_answer(events: list[Any], expected: Verdict) -> None:
    for sketch in (True, False):
        collector = AnswerCollector(sketch=sketch)
        collector.add_all(events)
        assert judge(collector.answer(), Wanted(), AnswerChecks()) == expected


def test_a_difference_shows_no_value_of_the_answer() -> None:
    secret = "4111 1111 1111 1111"
    for schema in ({"type": "integer"}, {"enum": ["x"]}, {"const": "y"}, {"anyOf": [{"type": "null"}]}):
        found = first_difference(secret, schema)
        assert found is not None
        assert secret not in found


def test_a_large_answer_is_checked_up_to_a_bound() -> None:
    value = json.loads("[" + ",".join(["1"] * 100_000) + "]")
    assert first_difference(value, {"items": {"type": "integer"}}) is None
