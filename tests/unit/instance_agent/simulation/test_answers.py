"""A right answer keeps to the request; a wrong one can be found out by the gateway's checks or by the caller."""

import json
from typing import Any

import pytest

from instance_agent.chat.answers import ChatAnswer
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.validators import AnswerChecks, Wanted, find_defect
from instance_agent.simulation.answers import answer_to, example_of, sum_in

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "size": {"enum": ["small", "large"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "age": {"type": "integer", "minimum": 20},
        "place": {"anyOf": [{"type": "object", "properties": {"x": {"type": "number"}}}, {"type": "null"}]},
    },
    "required": ["city", "size", "tags", "age", "place"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


def ask(text: str, *, right: bool, tokens: int = 50, **fields: Any) -> tuple[ChatAnswer, Wanted]:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **fields}).encode()
    head, request = OPENAI.read_head(body), OPENAI.read_request(body)
    form = request.response_format
    wanted = Wanted(form.kind, form.schema) if form else Wanted()
    return answer_to(head, request, "m", number=1, right=right, tokens=tokens), wanted


@pytest.mark.parametrize(
    ("text", "fields", "defect"),
    [
        ("the weather", {"tools": [TOOL]}, "invalid_arguments"),
        ("a city", {"response_format": FORMAT}, "not_json"),
        ("a city", {"response_format": {"type": "json_object"}}, "not_json"),
        ("tell a story", {}, "empty_answer"),
    ],
)
def test_the_gateways_checks_find_wrong_answers_and_only_those(text: str, fields: dict[str, Any], defect: str) -> None:
    checks = AnswerChecks()
    answer, wanted = ask(text, right=False, **fields)
    found = find_defect(answer, wanted, checks)
    assert found is not None
    assert found[0] == defect
    answer, wanted = ask(text, right=True, **fields)
    assert find_defect(answer, wanted, checks) is None


def test_a_wrong_result_of_a_sum_is_for_the_caller_to_find() -> None:
    right, _ = ask("Add 17 + 25.", right=True)
    wrong, wanted = ask("Add 17 + 25.", right=False)
    assert right.text.startswith("17 + 25 = 42.")
    assert wrong.text.startswith("17 + 25 = 43.")
    assert find_defect(wrong, wanted, AnswerChecks()) is None


def test_the_limit_of_tokens_cuts_a_text_and_is_reported() -> None:
    answer, _ = ask("tell a story", right=True, tokens=500, max_tokens=7)
    assert answer.finish == "length"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 7
    assert len(answer.text.split()) == 7


def test_a_text_has_the_length_that_was_drawn() -> None:
    answer, _ = ask("tell a story", right=True, tokens=123)
    assert answer.finish == "stop"
    assert len(answer.text.split()) == 123


def test_the_result_of_a_tool_is_answered_with_a_text() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "the weather"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    body = json.dumps({"model": "m", "messages": messages, "tools": [TOOL]}).encode()
    answer = answer_to(OPENAI.read_head(body), OPENAI.read_request(body), "m", number=1, right=True, tokens=10)
    assert answer.tool_calls == ()
    assert answer.finish == "stop"


def test_a_named_tool_is_called() -> None:
    other = {"type": "function", "function": {"name": "time"}}
    named = {"type": "function", "function": {"name": "time"}}
    answer, _ = ask("the time", right=True, tools=[TOOL, other], tool_choice=named)
    assert [call.name for call in answer.tool_calls] == ["time"]


def test_a_schema_that_contains_itself_ends() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["child"] = schema
    assert json.dumps(example_of(schema)).count("child") < 20


def test_the_last_sum_of_a_text_is_meant() -> None:
    assert sum_in("We know that 1 + 1 is 2. Now: 30+12") == (30, 12)
    assert sum_in("no sum, 5 apples") is None
