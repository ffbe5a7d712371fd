"""docs/reference/instance-agent-api.md is what tools/api_reference.py makes of the docstrings, and it is complete."""

import ast
import dataclasses
import functools
import importlib.util
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.repository import REPOSITORY

import instance_agent
import instance_agent.publishing

_PROGRAM = REPOSITORY / "tools/api_reference.py"


def _program():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("api_reference", _PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    """If this fails, run `make reference`."""
    program = _program()
    assert program.PAGE.read_text() == program.reference()


def _sections() -> dict[str, str]:
    """Return the text below each name in the page."""
    page = _program().PAGE.read_text()
    return dict(re.findall(r"^####? ([\w.]+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))


def _public() -> Iterator[tuple[str, Any]]:
    """Yield the title and the object of each public class, function and method of the library."""
    for module in (instance_agent, instance_agent.publishing):
        for name in module.__all__:
            public = getattr(module, name)
            yield name, public
            for each, value in vars(public).items() if inspect.isclass(public) else ():
                if not each.startswith("_") and inspect.isfunction(getattr(value, "__func__", value)):
                    yield f"{name}.{each}", getattr(public, each)


@pytest.mark.parametrize(("title", "public"), [pytest.param(*each, id=each[0]) for each in _public()])
def test_every_public_function_has_its_signature_and_its_arguments_in_the_page(title: str, public: Any) -> None:
    """Its arguments are those of the object that a program calls, in their order, each with its type and a description."""
    section = _sections()[title]
    if inspect.isclass(public):
        if "__init__" not in vars(public) or dataclasses.is_dataclass(public):
            return  # it is made by the library, or its arguments are its fields, which the page lists as attributes
        public = functools.partial(public.__init__, None)
    expected = [each for each in inspect.signature(public).parameters if each != "self"]
    match = re.match(
        r"\n```python\n(?:@classmethod\n)?(?:class |async )?\w+\((.*?)\)(?: -> .+?)?\n```\n", section, re.DOTALL
    )
    assert match, f"{title} has no signature"
    shown = re.findall(r"(?:^|[ (])(\w+): ", match[1])
    assert shown == expected
    (described,) = re.findall(r"^Args:\n\n((?:- .*\n(?:  .*\n)*)*)", section, re.MULTILINE) or [""]
    names = re.findall(r"^- `([\w, ]+)`: \S", described, re.MULTILINE)
    assert ", ".join(names).split(", ") == (expected or [""])


def test_every_signature_in_the_page_describes_its_arguments() -> None:
    """Also those of the types that the public names use."""
    for title, section in _sections().items():
        arguments = re.findall(r"(?<=[ (])(\w+): ", section.split("```")[1]) if "(" in section.split("```")[1] else []
        for argument in arguments:
            assert re.search(rf"^- `(?:\w+, )*{argument}(?:, \w+)*`: \S", section, re.MULTILINE), (title, argument)


def test_every_name_in_the_page_is_a_class_a_function_or_a_type() -> None:
    for title, section in _sections().items():
        code = section.split("```")[1].removeprefix("python\n")
        assert re.match(r"(@classmethod\n)?(class |async )?\w+(\(|\n)|\w+: .+  # property|\w+ = Literal\[", code), title


def test_a_default_is_a_value_and_not_the_name_of_a_constant() -> None:
    sections = _sections()
    assert "complexity_score: float = 2.5" in sections["publish_decision"]
    assert "publish_queue_size: int = 10000" in sections["AgentSettings"]


def test_an_argument_without_a_description_is_an_error() -> None:
    function = ast.parse(
        'def f(a: int, *, b: int) -> None:\n    """Do it.\n\n    Args:\n        a: one.\n    """'
    ).body[0]
    with pytest.raises(
        SystemExit, match=r"f: found a description of \['a'\], expected one of each argument, \['a', 'b'\]"
    ):
        list(_program()._docstring(function, where="f"))
