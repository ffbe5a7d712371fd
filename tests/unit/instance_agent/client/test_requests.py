"""Arguments of `generate`: what is accepted, and the line for what is not."""

import logging
from typing import Any

import msgspec
import pytest

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.client.request import read_request


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("",), "prompt: found an empty text, expected a text"),
        ((7,), "prompt: found int, expected a text"),
        (("x", None, 11), "complexity: found 11, expected simple, medium, complex, 1 to 10, or a word"),
        (("x", ["list"]), "task_type: found "),
        (("x", None, None, "context"), "context: found str, expected a dictionary"),
        (("x", None, None, {"max_tokens": 0}), "context.max_tokens: found 0, expected a whole number from 1 on"),
        (("x", None, None, {"temperature": "hot"}), 'context.temperature: found "hot", expected a number from 0 to 2'),
        (("x", None, None, {"force_model": ""}), 'context.force_model: found "", expected a text of 1 to 512'),
        (("x", None, None, {"system": 3}), "context.system: found 3, expected a text"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(arguments: tuple[Any, ...], line: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_request(*arguments)
    assert refused.value.message.startswith(line)
    assert "\n" not in refused.value.message


def test_an_argument_comes_before_the_same_key_of_the_context() -> None:
    request = read_request("x", "reasoning", 7, {"complexity": 2, "task_type": "creative"})
    assert (request.hints.task_type, request.hints.complexity) == ("reasoning", 7)
    request = read_request("x", context={"complexity": 2, "task_type": "creative"})
    assert (request.hints.task_type, request.hints.complexity) == ("creative", 2)


def test_the_body_has_the_instructions_before_the_prompt() -> None:
    request = read_request("Hello", context={"system": "Be brief", "max_tokens": 5, "temperature": 0})
    body = msgspec.json.decode(request.body())
    assert [each["content"] for each in body["messages"]] == ["Be brief", "Hello"]
    assert (body["max_tokens"], body["temperature"]) == (5, 0)


def test_a_representation_does_not_show_the_prompt() -> None:
    request = read_request("my secret prompt", context={"system": "my secret instructions"})
    assert "secret" not in f"{request!r} {request} {request.routing('auto', 'r-1', 0.0)!r}"


def test_a_misspelled_key_of_a_context_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        read_request("x", context={"force_modle": "claude", "file": "a.py"})
    assert [str(each.msg["meant"]) for each in caplog.records if isinstance(each.msg, dict)] == ["force_model"]
