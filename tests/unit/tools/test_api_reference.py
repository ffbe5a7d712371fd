"""docs/reference/instance-agent-api.md is what tools/api_reference.py makes of the docstrings, and it is complete."""

import importlib.util
import inspect
import re

from support.repository import REPOSITORY

import instance_agent

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


def test_the_page_has_every_public_name_method_and_argument() -> None:
    page = _program().PAGE.read_text()
    sections = dict(re.findall(r"^###?#? ([\w.]+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    for name in instance_agent.__all__:
        public = getattr(instance_agent, name)
        methods = {
            f"{name}.{each}": getattr(value, "__func__", value)
            for each, value in vars(public).items()
            if not each.startswith("_") and callable(getattr(value, "__func__", value))
        }
        for title, function in {name: None, **methods}.items():
            assert title in sections
            if inspect.isfunction(function):
                arguments = set(inspect.signature(function).parameters) - {"self", "cls"}
                assert arguments <= set(re.findall(r"\w+(?=:)", sections[title])), title


def test_every_argument_of_a_public_method_is_described() -> None:
    """A signature without a description of its arguments makes a reader search the code."""
    for name in ("InstanceAgent", "ModelCatalog", "ModelRouter"):
        public = getattr(instance_agent, name)
        for each, value in vars(public).items():
            function = getattr(value, "__func__", value)
            if not inspect.isfunction(function) or (each.startswith("_") and each != "__init__"):
                continue
            arguments = set(inspect.signature(function).parameters) - {"self", "cls"}
            described = set(re.findall(r"\w+", inspect.getdoc(function) or ""))
            assert arguments <= described, f"{name}.{each}: {arguments - described}"
