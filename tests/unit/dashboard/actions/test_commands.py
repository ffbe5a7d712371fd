"""The commands beside the actions: each is one that the command line takes, with the same values."""

import shlex
from collections.abc import Mapping
from typing import Any

import pytest
import typer

from centralcloud.cli.app import app
from centralcloud.dashboard.actions.registry import ACTIONS

HOSTILE = "-rf; rm 'x' $(y) `z` ünder"


def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """The path and the values that the parser of the command line finds, as a shell would give it the words."""
    program, *words = shlex.split(command)
    assert program == "centralcloud"
    found = typer.main.get_command(app)
    context = found.make_context(program, words, resilient_parsing=False)
    path = []
    while True:
        group = context.command
        rest = [*context._protected_args, *context.args]
        if not hasattr(group, "resolve_command"):
            return " ".join(path), context.params
        name, command_found, rest = group.resolve_command(context, rest)
        assert command_found is not None
        path.append(str(name))
        context = command_found.make_context(name, rest, parent=context)


PAIR = {"model": "gpt-4o", "complexity": "complex"}


@pytest.mark.parametrize(
    ("action", "form", "path", "values"),
    [
        ("pin", PAIR | {"score": "2.5", "lasts": ""}, "scores pin", {"model": "gpt-4o", "value": "2.500", "until": None}),
        ("pin", PAIR | {"score": "2", "until": "2126-01-01T10:00", "zone": "Asia/Tokyo"}, "scores pin",
         {"until": "2126-01-01T01:00:00Z"}),
        ("pin", PAIR | {"model": HOSTILE, "score": "2"}, "scores pin", {"model": HOSTILE, "complexity": "complex"}),
        ("unpin", PAIR | {"model": HOSTILE}, "scores unpin", {"model": HOSTILE, "complexity": "complex"}),
        ("rollback", {"to": "17"}, "scores rollback", {"to": 17}),
        ("freeze", {}, "freeze", {}),
        ("unfreeze", {}, "unfreeze", {}),
        ("replay", {"field": HOSTILE}, "dead-letters replay", {"field": HOSTILE, "everything": False}),
        ("replay", {"field": ""}, "dead-letters replay", {"field": None, "everything": True}),
        ("discard", {"field": "message"}, "dead-letters discard", {"field": "message", "everything": False}),
        ("model-status", {"model": HOSTILE, "status": "inactive"}, "configuration set-status",
         {"model": HOSTILE, "status": "inactive"}),
        ("pause-experiment", {"experiment": "try-b"}, "experiments pause", {"experiment": "try-b"}),
        ("resume-experiment", {"experiment": HOSTILE}, "experiments resume", {"experiment": HOSTILE}),
        ("stop-experiment", {"experiment": "try-b"}, "experiments stop", {"experiment": "try-b"}),
        ("promote-experiment", {"experiment": "try-b", "treatment": HOSTILE}, "experiments promote",
         {"experiment": "try-b", "treatment": HOSTILE}),
        ("promote-experiment", {"experiment": "try-b"}, "experiments promote", {"treatment": None}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reason", ["why not", HOSTILE, ""])
def test_each_action_has_a_command_that_is_valid(
    action: str, form: Mapping[str, str], path: str, values: Mapping[str, Any], reason: str
) -> None:
    found, parameters = parsed(ACTIONS[action].command({**form, "reason": reason}))
    assert found == path
    assert {name: parameters[name] for name in values} == values
    assert parameters.get("why", parameters.get("reason")) in (reason, "why")


def test_every_action_is_in_these_examples() -> None:
    examples = {"pin", "unpin", "rollback", "freeze", "unfreeze", "replay", "discard", "model-status"}
    examples |= {f"{each}-experiment" for each in ("pause", "resume", "stop", "promote")}
    assert examples == ACTIONS.keys()
