"""README.md: run its first steps and its commands block by block, and compare the output with the page."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.commands import environment
from support.pages import ShellBlock, Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY
from support.servers import embedded_folder, execute
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.cli.app import app
from centralcloud.contracts import parse_routing_event
from centralcloud.runtime.postgres.embedded import EmbeddedServer

_BLOCKS = shell_blocks(REPOSITORY / "README.md")
_OWN_URL = "'postgresql://centralcloud@db.example.org/routing'"
_EVENTS = REPOSITORY / "examples/events.jsonl"


def _under(heading: str) -> list[ShellBlock]:
    return [block for block in _BLOCKS if block.heading == heading]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """The files of a checkout that the page needs. Everything is installed: `make setup` does nothing."""
    with embedded_folder() as folder:
        shutil.copytree(REPOSITORY / "examples", folder / "examples")
        (folder / "Makefile").write_text("setup:\n")
        yield folder


def test_every_block_is_run_here() -> None:
    """All blocks but the first: that one clones this repository, and runs `make demo` and these tests."""
    assert [block.heading for block in _BLOCKS if block not in _RUN] == ["CentralCloud"]
    assert "git clone" in _BLOCKS[0].commands


_RUN = [*_under("First steps"), *_under("On your own PostgreSQL")]


def test_the_first_steps(checkout: Path, tmp_path: Path) -> None:
    """On `embedded:`, without any server."""
    terminal = Terminal(checkout, {})
    running: list[subprocess.Popen[str]] = []
    held = EmbeddedServer.start(f"embedded:{checkout}/.centralcloud")  # keeps the server running between commands
    try:
        before, learn, sidecar, after = _under("First steps")
        printed = _run(terminal, before)
        assert _order(printed)[:2] == ["gpt-4o", "claude-sonnet"]
        _run(terminal, learn)
        running.append(terminal.start(sidecar, tmp_path / "sidecar.log"))
        eventually(lambda: "scores_applied" in (tmp_path / "sidecar.log").read_text(), within_seconds=30)
        printed = _run(terminal, after)
        assert _order(printed)[:2] == ["claude-sonnet", "gpt-4o"], "the learned scores have changed the order"
        _stop(running)
    finally:
        for program in running:
            program.kill()
            program.wait()
        held.stop()


def test_the_commands_for_an_own_server(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, because tests of other pages start the same programs."""
    migrate, daemon, sidecar, commands = _under("On your own PostgreSQL")
    assert f"export DATABASE_URL={_OWN_URL}" in migrate.commands
    assert [block.commands.splitlines()[-1] for block in (daemon, sidecar)] == [
        "centralcloud run",
        "instance-agent run",
    ]
    assert daemon.own_terminal
    assert sidecar.own_terminal
    monkeypatch.chdir(REPOSITORY)
    lines = [shlex.split(line, comments=True) for block in (migrate, commands) for line in block.commands.splitlines()]
    run = [arguments for program, *arguments in lines if program == "centralcloud"]
    assert len(run) > 10
    for arguments in run:
        result = CliRunner().invoke(app, arguments, env=environment(DATABASE_URL=database_url))
        assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
    assert execute(database_url, "SELECT sum(usage_count) FROM dashboard_success_rates") == [(200,)]


def _run(terminal: Terminal, block: ShellBlock) -> str:
    printed = terminal.run(block)
    missing = missing_lines(block.shown, printed)
    assert not missing, f"{block.commands}\n{missing}\n{printed}"
    return printed


def _order(printed: str) -> list[str]:
    """Return the models in the order of `instance-agent route --explain`: the rows that name a provider."""
    return re.findall(r"^(\S+) +(?:openai|anthropic|lm_studio) ", printed, re.MULTILINE)


def _stop(running: list[subprocess.Popen[str]]) -> None:
    for program in running:
        os.kill(program.pid, signal.SIGINT)  # Ctrl-C
    assert [program.wait(timeout=30) for program in running] == [0] * len(running)
    running.clear()


def test_the_example_events_agree_with_the_catalog() -> None:
    """Each is valid, and names a model, its provider and its score as in examples/catalog.yaml."""
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    models = yaml.safe_load((REPOSITORY / "examples/catalog.yaml").read_text())["models"]
    scores = {
        (model["name"], model["provider"], complexity): score
        for model in models
        for complexity, score in model["complexity_scores"].items()
    }
    events = [parse_routing_event(line, now) for line in _EVENTS.read_text().splitlines()]
    assert len(events) == 400
    for event in events:
        assert scores[event.model, event.provider, event.complexity] == event.complexity_score


def test_the_example_file_is_the_output_of_the_example_program() -> None:
    command = [sys.executable, REPOSITORY / "examples/first_events.py", "--at", "2026-11-20T06:55:00Z"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == _EVENTS.read_text()


def test_the_example_program_prints_events_of_the_last_minutes() -> None:
    """The dashboard shows the last day."""
    command = [sys.executable, REPOSITORY / "examples/first_events.py"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ages = [
        (datetime.now(UTC) - datetime.fromisoformat(json.loads(line)["timestamp"])).total_seconds() for line in lines
    ]
    assert 0 < min(ages) <= max(ages) < 300
