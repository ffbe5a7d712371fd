#!/usr/bin/env python3
"""Write docs/reference/instance-agent-api.md, the reference of the library, from its docstrings.

    tools/api_reference.py            # write the page
    tools/api_reference.py --check    # compare only; the exit code is 1 when the page differs

Reads the source, not the objects, so that the page is the same with every version of Python. Public are the names in the
`__all__` of each module in `_MODULES`; to document another module, add it there.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
PAGE: Final = _REPOSITORY / "docs/reference/instance-agent-api.md"

#: Modules whose public names are documented, in the order of the page.
_MODULES: Final = ("instance_agent", "instance_agent.publishing")
#: Types that the public names use, as module:name. Programs receive them and need not import them.
_USED_TYPES: Final = (
    "instance_agent.routing.decision:RankedModel",
    "centralcloud.contracts.model_choice.selection:Chance",
    "instance_agent.catalog.model:Model",
    "instance_agent.catalog.model:Pricing",
    "instance_agent.catalog.learned_scores:LearnedScore",
    "instance_agent.catalog.learned_scores:LearnedScores",
    "centralcloud.contracts.estimate:Estimate",
    "instance_agent.routing.decision:Preference",
    "instance_agent.routing.decision:Fallback",
    "centralcloud.contracts.model_choice.selection:SelectionMethod",
    "centralcloud.contracts.model_choice.selection:SelectionMode",
    "centralcloud.contracts.model_choice.selection:SelectionKind",
    "instance_agent.client.result:GenerationResult",
    "instance_agent.client.result:AttemptResult",
    "instance_agent.client.router:RouteDecision",
    "instance_agent.client.router:ModelStatus",
    "instance_agent.client.analytics:ModelPerformance",
    "instance_agent.client.analytics:CostAnalysis",
    "instance_agent.client.recommendations:Recommendation",
)

_INTRODUCTION: Final = """\
# API of the library `instance_agent`

`tools/api_reference.py` writes this page from the docstrings, and a test compares it with them: change the docstring, then
run `make reference`. [Connect an instance](../how-to/connect-an-instance.md) shows the library in use,
[use the router from Python](../how-to/use-the-router-from-python.md) the client that calls models,
[settings](settings.md#instance-instance-agent-and-the-library) has the environment variables, and the
[glossary](glossary.md) explains the words.

`ModelRouter` and `ModelCatalog` are thread-safe. An error that a program can act on is a `CentralCloudError`
(`centralcloud.contracts.CentralCloudError`): its text is one line, with the value that was found, its place, and what was
expected. `RoutingError` and `SettingsError` are two kinds of it.
"""
_WIDTH: Final = 120
_SECTION: Final = re.compile(r"^(Args|Attributes|Returns|Raises|Example):$", re.MULTILINE)
_ITEM: Final = re.compile(r"^    (\S[^:\n]*): ((?:.|\n {5,})*)", re.MULTILINE)

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = ast.ClassDef | _Function
_Default = TypeVar("_Default", ast.expr, ast.expr | None)


def main() -> int:
    """Write or check the page; return the exit code."""
    text = reference()
    if sys.argv[1:] == ["--check"]:
        same = PAGE.exists() and PAGE.read_text() == text
        if not same:
            print(f"{PAGE.relative_to(_REPOSITORY)} differs from the docstrings: run make reference", file=sys.stderr)  # noqa: T201
        return 0 if same else 1
    if sys.argv[1:]:
        print(f"found {sys.argv[1]!r}, expected --check or nothing", file=sys.stderr)  # noqa: T201
        return 2
    PAGE.write_text(text)
    return 0


def reference() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for module in _MODULES:
        names = sorted(importlib.import_module(module).__all__)
        imported = _wrap(f"from {module} import {', '.join(names)}", "    ")
        parts += [f"## {module}\n", f"```python\n{imported}\n```\n"]
        for name in names:
            parts += _document(getattr(importlib.import_module(module), name).__module__, name)
    parts += ["## Types that these use\n"]
    for place in _USED_TYPES:
        parts += _document(*place.split(":"))
    return "\n".join(parts)


def _document(module: str, name: str) -> Iterator[str]:
    """Yield the parts of the page about one name of a module."""
    tree = _tree(module)
    for node in tree.body:
        if isinstance(node, _Definition) and node.name == name:
            yield f"### {name}\n"
            yield from _document_class(node) if isinstance(node, ast.ClassDef) else _document_function(node, name)
            return
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            yield f"### {name}\n"
            value = getattr(importlib.import_module(module), name)
            if inspect.ismethod(value):  # a function of the module that is a method of a shared object
                owner = type(value.__self__)
                yield from _document_function(_method(owner, value.__name__), name, of_object=True)
            else:
                yield _code(_source(node))
            return
    raise SystemExit(f"{module}: found no class, function or type {name}")


def _method(owner: type, name: str) -> _Function:
    """Return the definition of a method in the source of its class."""
    for node in ast.walk(_tree(owner.__module__)):
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            for each in node.body:
                if isinstance(each, _Function) and each.name == name:
                    return each
    raise SystemExit(f"{owner.__name__}: found no method {name} in its source")


@cache
def _tree(module: str) -> ast.Module:
    """Return the source of a module, with the values of constants in the place of their names as defaults."""
    loaded = importlib.import_module(module)
    tree = ast.parse(Path(inspect.getfile(loaded)).read_text())

    def value_of(default: _Default) -> _Default:
        value = getattr(loaded, default.id, None) if isinstance(default, ast.Name) else None
        return ast.Constant(value) if isinstance(value, int | float | str) else default

    for node in ast.walk(tree):
        if isinstance(node, _Function):
            node.args.defaults = [value_of(each) for each in node.args.defaults]
            node.args.kw_defaults = [value_of(each) for each in node.args.kw_defaults]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            for keyword in node.value.keywords:
                keyword.value = value_of(keyword.value)
    return tree


def _document_class(node: ast.ClassDef) -> Iterator[str]:
    methods = [each for each in node.body if isinstance(each, _Function)]
    constructor = next((each for each in methods if each.name == "__init__"), None)
    bases = ", ".join(_source(base) for base in node.bases if not isinstance(base, ast.Subscript))
    if constructor:
        yield _code(_signature(constructor, name=f"class {node.name}", leave_out_self=True))
    else:
        yield _code(f"class {node.name}({bases})" if bases else f"class {node.name}")
    yield from _docstring(node, _fields(node))
    if constructor:
        yield from _docstring(constructor, where=node.name)
    for method in methods:
        if not method.name.startswith("_"):
            yield from _document_method(node.name, method)


def _document_method(owner: str, node: _Function) -> Iterator[str]:
    decorators = [_source(each) for each in node.decorator_list]
    yield f"#### {owner}.{node.name}\n"
    if "property" in decorators:
        yield _code(f"{node.name}: {_annotation(node.returns)}  # property")
    else:
        yield _code(_signature(node, name=node.name, leave_out_self=True, decorators=decorators))
    yield from _docstring(node, where=f"{owner}.{node.name}")


def _document_function(node: _Function, name: str, *, of_object: bool = False) -> Iterator[str]:
    yield _code(_signature(node, name=name, leave_out_self=of_object))
    yield from _docstring(node, where=name)


def _fields(node: ast.ClassDef) -> dict[str, str]:
    """Return the public annotated fields of a dataclass or a model, with their types and their plain defaults."""
    fields = {}
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.target.id.startswith("_"):
            default = _plain_default(each.value)
            fields[each.target.id] = _annotation(each.annotation) + (f" = {default}" if default else "")
    return fields


def _source(node: ast.AST) -> str:
    """Return the source of a node, with double quotes, as `ruff format` wants them in the page."""
    return ast.unparse(node).replace("'", '"')


def _plain_default(value: ast.expr | None) -> str | None:
    """Return a default that is written in the class, also as the argument of `Field`; None when it is computed."""
    if isinstance(value, ast.Call):
        named = {each.arg: each.value for each in value.keywords}
        return _plain_default(named.get("default"))
    return _source(value) if isinstance(value, ast.Constant | ast.Tuple) else None


def _signature(node: _Function, *, name: str, leave_out_self: bool = False, decorators: list[str] | None = None) -> str:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    shown = _with_defaults(named, arguments.defaults)
    if leave_out_self:
        shown = shown[1:]
    if arguments.vararg:
        shown.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        shown.append("*")
    shown += _with_defaults(arguments.kwonlyargs, arguments.kw_defaults)
    returned = f" -> {_annotation(node.returns)}" if node.returns and node.name != "__init__" else ""
    lead = "".join(f"@{each}\n" for each in decorators or [])
    lead += "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    line = f"{name}({', '.join(shown)}){returned}"
    if len(line) <= _WIDTH:
        return lead + line
    return lead + f"{name}(\n" + "".join(f"    {each},\n" for each in shown) + f"){returned}"


def _with_defaults(arguments: list[ast.arg], defaults: list[ast.expr] | list[ast.expr | None]) -> list[str]:
    """Return each argument with its type and default; `defaults` belong to the last arguments."""
    padded = [*[None] * (len(arguments) - len(defaults)), *defaults]
    shown = []
    for argument, default in zip(arguments, padded, strict=True):
        text = f"{argument.arg}: {_annotation(argument.annotation)}" if argument.annotation else argument.arg
        if default is not None:
            text += " = ..." if isinstance(default, ast.Lambda) else f" = {_source(default)}"
        shown.append(text)
    return shown


def _annotation(node: ast.expr | None) -> str:
    return "" if node is None else _source(node).strip("'\"")


def _docstring(node: _Definition, fields: dict[str, str] | None = None, where: str = "") -> Iterator[str]:
    """Yield the docstring as Markdown; `fields` are listed with what its section Attributes says about them."""
    text = ast.get_docstring(node)
    if text is None:
        raise SystemExit(f"{where or node.name}: found no docstring, expected one: it is public")
    prose, *sections = _SECTION.split(text)
    yield _markdown(prose)
    described = dict(zip(sections[::2], sections[1::2], strict=True))
    if isinstance(node, _Function):
        _check_arguments(node, described.get("Args", ""), where)
    if fields:
        items = dict(_items(described.pop("Attributes", "")))
        attributes = {name.strip(): text for names, text in items.items() for name in names.split(",")}
        lines = [_item(f"`{name}: {type_}`", attributes.get(name, "")) for name, type_ in fields.items()]
        yield "Attributes:\n\n" + "\n".join(lines) + "\n"
    for title, body in described.items():
        if title == "Returns":
            yield f"Returns: {_markdown(textwrap.dedent(body))}"
        elif title == "Example":
            yield "Example:\n\n" + _code(textwrap.dedent(body.strip("\n")).rstrip())
        else:
            yield f"{title}:\n\n" + "\n".join(_item(f"`{name}`", text) for name, text in _items(body)) + "\n"


def _check_arguments(node: _Function, section: str, where: str) -> None:
    """Check that the section Args describes exactly the arguments of a function, in their order."""
    arguments = [*node.args.posonlyargs, *node.args.args, node.args.vararg, *node.args.kwonlyargs, node.args.kwarg]
    expected = [each.arg for each in arguments if each is not None and each.arg not in {"self", "cls"}]
    found = [name.strip(" *") for names, _ in _items(section) for name in names.split(",")]
    if found != expected:
        raise SystemExit(f"{where}: found a description of {found}, expected one of each argument, {expected}")


def _items(body: str) -> Iterator[tuple[str, str]]:
    """Yield the names and descriptions of a section of a docstring."""
    for match in _ITEM.finditer(body):
        yield match[1], " ".join(match[2].split())


def _item(lead: str, text: str) -> str:
    return _wrap(f"- {lead}: {_ticks(text)}" if text else f"- {lead}", "  ")


def _markdown(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", _ticks(text.strip()))
    return "\n\n".join(_wrap(" ".join(each.split()), "") for each in paragraphs) + "\n"


def _ticks(text: str) -> str:
    return text.replace("``", "`")


def _wrap(text: str, indent: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
