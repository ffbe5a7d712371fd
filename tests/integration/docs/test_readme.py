"""README.md: run its first steps and its commands block by block, and compare the output with the page.

The first steps run on a terminal of 80 columns: a page that shows the output for a pipe would show another layout.
"""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.commands import environment
from support.pages import ShellBlock, Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY
from support.servers import execute
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.cli.app import app
from centralcloud.contracts import parse_routing_event
from centralcloud.runtime.postgres.embedded import EmbeddedServer

_BLOCKS = shell_blocks(REPOSITORY / "README.md")
_OWN_URL = "'postgresql://centralcloud@db.example.org/routing?sslmode=verify-full'"
_EVENTS = REPOSITORY / "examples/events.jsonl"


def _under(heading: str) -> list[ShellBlock]:
    return [block for block in _BLOCKS if block.heading == heading]


class ScreenOf80Columns(Terminal):
    """A shell whose output goes to a terminal of 80 columns, as that of a reader does."""

    def run(self, block: ShellBlock | str) -> str:
        commands = block if isinstance(block, str) else block.commands
        kept, errors = self.folder / ".environment", self.folder / ".errors"
        reader, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        variables = {name: value for name, value in self._env.items() if name not in ("COLUMNS", "LINES")}
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", f"{commands}\nenv -0 > '{kept}'"],
                cwd=self.folder,
                env=variables | {"TERM": "xterm"},
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=stderr,
            )
        os.close(terminal)
        printed = b"".join(iter(lambda: _read(reader), b"")).decode()
        os.close(reader)
        assert process.wait(timeout=120) == 0, f"{commands}\n{printed}\n{errors.read_text()}"
        self._env = dict(pair.split("=", 1) for pair in kept.read_text().split("\0") if "=" in pair)
        return re.sub("\x1b\\[[0-9;]*m", "", printed)


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65_536)
    except OSError:  # no program has the terminal open any more
        return b""


def test_every_block_is_run_here() -> None:
    """All blocks but the first three: they clone this repository, run `make demo` and these tests, and name its database."""
    assert [block for block in _BLOCKS if block not in _RUN] == _BLOCKS[:3]
    assert "git clone" in _BLOCKS[0].commands


def test_each_block_can_be_pasted_whole() -> None:
    """A command that goes on until Ctrl-C is the last one of its block: the next lines would wait for ever, and unseen."""
    endless = re.compile(
        r"make demo|centralcloud run|centralcloud demo|instance-agent run|instance-agent serve.*|.* --watch"
    )
    for block in _BLOCKS:
        *before, last = [line.split("#")[0].strip() for line in block.commands.strip().splitlines()]
        assert not any(endless.fullmatch(line) for line in before), block.commands
        assert block.own_terminal or block is _BLOCKS[0] or not endless.fullmatch(last), block.commands


_RUN = [*_under("Send requests through the gateway"), *_under("First steps"), *_under("On your own PostgreSQL")]


def test_the_commands_for_the_gateway_are_those_of_its_pages() -> None:
    """Line by line: test_gateway_pages runs them there, and another gateway would only run them once more."""
    pages = [REPOSITORY / "docs/how-to" / name for name in ("use-the-gateway.md", "try-without-a-key.md")]
    run = {line for page in pages for block in shell_blocks(page) for line in block.commands.splitlines()}
    serve, ask = _under("Send requests through the gateway")
    assert serve.own_terminal
    assert set(serve.commands.splitlines()) < run
    assert ask.commands in [block.commands for block in shell_blocks(pages[1])]


def test_the_first_steps(checkout: Path, tmp_path: Path) -> None:
    """On `embedded:`, without any server."""
    terminal = ScreenOf80Columns(checkout, {})
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
    migrate, daemon, sidecar, publish, results = _under("On your own PostgreSQL")
    assert f"export DATABASE_URL={_OWN_URL}" in migrate.commands
    assert [block.commands.splitlines()[-1] for block in (daemon, sidecar)] == [
        "centralcloud run",
        "instance-agent run",
    ]
    assert daemon.own_terminal
    assert sidecar.own_terminal
    monkeypatch.chdir(REPOSITORY)
    lines = [
        shlex.split(line, comments=True)
        for block in (migrate, publish, results)
        for line in block.commands.splitlines()
    ]
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
    """Return the models in the order of `instance-agent route`: the rows that name a provider."""
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


def test_the_example_program_ends_quietly_when_its_reader_has_read_enough() -> None:
    command = [sys.executable, REPOSITORY / "examples/first_events.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        program.stdout.close()  # type: ignore[union-attr]
        assert program.stderr.read() == ""  # type: ignore[union-attr]
    assert program.returncode == 0


def test_the_example_program_prints_events_of_the_last_minutes() -> None:
    """The dashboard shows the last day."""
    command = [sys.executable, REPOSITORY / "examples/first_events.py"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ages = [
        (datetime.now(UTC) - datetime.fromisoformat(json.loads(line)["timestamp"])).total_seconds() for line in lines
    ]
    assert 0 < min(ages) <= max(ages) < 300
