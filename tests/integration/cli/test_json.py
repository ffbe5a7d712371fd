"""--json: every command has it, and prints one document on standard output, also in a database with nothing in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.events import an_event, outcomes, send
from typer.testing import CliRunner

from centralcloud.cli.app import app as centralcloud
from instance_agent.cli.app import app as instance_agent

#: They run until they are stopped, or print a script.
WITHOUT_JSON = {"run", "serve", "demo", "completion", "dashboard"}
#: In an order in which each finds what it needs.
COMMANDS = (
    "migrate", "publish FILE", "drain", "queue --seconds 0.1", "status --seconds 0.1", "doctor", "findings",
    "metrics", "report", "evaluate", "evaluate --against 7d --switch 7d", "learn --dry-run",
    "learn", "scores", "scores --compare", "scores explain gpt-4o complex",
    "scores history", "scores pin gpt-4o complex 4.5", "scores unpin gpt-4o complex", "scores rollback --to 1",
    "freeze --reason x", "unfreeze", "models", "models list", "models rename gpt-4o gpt-5", "models retire gpt-5",
    "models retire gpt-5 --undo", "models changed gpt-5", "models changed gpt-5 --undo", "models forget gpt-5 --yes",
    "instances", "instances list", "settings", "settings show", "settings set rule adaptive",
    "configuration show", "configuration show policy", "configuration history", "configuration diff 0",
    "configuration export", "configuration import DOCUMENT --dry-run", "configuration rollback --to 0 --yes",
    "experiments start --model gpt-4o --any-model --name one", "experiments", "experiments list", "experiments show one",
    "experiments pause one", "experiments resume one", "experiments stop one",
    "experiments start --model gpt-4o --any-model --name two",
    "experiments promote two", "experiments remove two --yes",
    "dead-letters", "dead-letters list", "dead-letters show 1", "dead-letters replay 1", "dead-letters discard --all",
    "queue purge --older-than 0s --yes", "verify", "verify --scores", "repair --yes", "repair sequences --yes",
    "history", "grants",
    "grants --instance node-1", "grants --instance node-1 --revoke",
)  # fmt: skip
#: They are tried elsewhere: these need an acknowledgement, a table of outcomes, or a password.
ELSEWHERE = {
    "instances forget", "simulate", "classifier", "classifier train", "classifier show", "classifier use", "classifier off",
    "classifier rollback", "configuration set-status",
    "dashboard-users", "dashboard-users list", "dashboard-users add", "dashboard-users remove",
}  # fmt: skip


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        if getattr(each, "commands", None) is None or each.invoke_without_command:
            yield " ".join((*path, name)), each
        yield from walk(each, (*path, name))


@pytest.mark.parametrize("app", [centralcloud, instance_agent])
def test_every_command_has_json(app: typer.Typer) -> None:
    for path, command in walk(typer.main.get_command(app)):
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--json" in options) == (path not in WITHOUT_JSON), path


def test_every_command_prints_one_document(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    file = tmp_path / "events.jsonl"
    events = [*outcomes(150, 3, complexity_score=4.0), an_event(complexity="simple"), {"no": "event"}]
    file.write_text("\n".join([*map(json.dumps, events), "not json"]))
    document = tmp_path / "document.json"
    document.write_text('{"config": {}}')
    files = {"FILE": str(file), "DOCUMENT": str(document)}
    send(database_url, outcomes(1, 1, complexity_score=4.2))
    tried = set()
    for line in COMMANDS:
        arguments = [files.get(word, word) for word in line.split()]
        result = CliRunner().invoke(centralcloud, [*arguments, "--json"])
        assert not isinstance(result.exception, Exception), (line, result.exception)
        assert len(result.stdout.splitlines()) == 1, (line, result.stdout, result.stderr)
        assert json.loads(result.stdout) is not None, line
        tried |= {line, " ".join(line.split()[:2]), line.split()[0]}
    commands = {path for path, _ in walk(typer.main.get_command(centralcloud))}
    assert commands - tried - ELSEWHERE <= WITHOUT_JSON
