"""The pages about the gateway: their commands work as printed, at another port, and what they say is not stored is not."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.gateways import a_key, start_gateway
from support.pages import ShellBlock, Terminal, missing_lines, shell_blocks
from support.ports import free_port
from support.repository import REPOSITORY
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.runtime.postgres.embedded import EmbeddedServer

_USE = REPOSITORY / "docs/how-to/use-the-gateway.md"
_TRY = REPOSITORY / "docs/how-to/try-without-a-key.md"
_OPERATE = REPOSITORY / "docs/how-to/operate-the-gateway.md"
_LOCAL = "With LM Studio or Ollama"


def _at_port(blocks: list[ShellBlock], port: int) -> list[ShellBlock]:
    for block in blocks:
        block.commands = block.commands.replace("3003", str(port))
    return blocks


def _run(terminal: Terminal, block: ShellBlock) -> str:
    printed = terminal.run(block)
    missing = missing_lines(block.shown, printed)
    assert not missing, f"{block.commands}\n{missing}\n{printed}"
    return printed


@contextmanager
def _until_ctrl_c(terminal: Terminal, block: ShellBlock, log: Path) -> Iterator[None]:
    program = terminal.start(block, log)
    try:
        eventually(lambda: "gateway_started" in log.read_text() or program.poll() is not None, within_seconds=60)
        assert program.poll() is None, log.read_text()
        yield
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(timeout=60) == 0, log.read_text()
    finally:
        program.kill()
        program.wait()


def test_the_quick_start_from_top_to_bottom(checkout: Path, tmp_path: Path) -> None:
    for client in ("openai", "anthropic"):
        pytest.importorskip(client, reason="the vendors' clients are in the extra `clients`")
    port = free_port()
    variables = {"INSTANCE_AGENT_GATEWAY_PORT": str(port), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
    terminal = Terminal(checkout, variables)
    blocks = [block for block in _at_port(shell_blocks(_USE), port) if block.heading != _LOCAL]
    (serve,) = [block for block in blocks if block.own_terminal]
    held = EmbeddedServer.start(f"embedded:{checkout}/.centralcloud")  # keeps the server running between commands
    try:
        before = blocks[: blocks.index(serve)]
        for block in before:
            _run(terminal, block)
        with _until_ctrl_c(Terminal(checkout, variables), serve, tmp_path / "serve.log"):
            for block in blocks[len(before) + 1 :]:
                _run(terminal, block)
            refused = f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/v1/models"
            eventually(lambda: terminal.run(refused) == "401", what="the gateway to ask for keys")
            assert terminal.run("python ask_openai.py"), "with the key of the page"
    finally:
        held.stop()


def test_the_commands_to_try_it_without_a_key(checkout: Path, tmp_path: Path) -> None:
    port, control = free_port(), free_port()
    variables = {"INSTANCE_AGENT_GATEWAY_PORT": str(port), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
    terminal = Terminal(checkout, variables)
    blocks = _at_port(shell_blocks(_TRY), port)
    for block in blocks:
        block.commands = block.commands.replace("3004", str(control))
    before, serve, ask, change = blocks
    held = EmbeddedServer.start(f"embedded:{checkout}/.centralcloud")  # keeps the server running between commands
    try:
        _run(terminal, before)
        with _until_ctrl_c(Terminal(checkout, variables), serve, tmp_path / "serve.log"):
            assert "x-centralcloud-model: " in _run(terminal, ask)
            assert "error" not in _run(terminal, change).replace("error_rate", "")
    finally:
        held.stop()


def test_the_commands_for_local_models(
    start: Any, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    """The fake upstream is in the place of LM Studio: the entry of the built-in catalog with another port."""
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f"providers: [{{provider: lm_studio, dialect: openai, base_url: '{fake_upstream.openai_url}', local: true}}]\n"
        "models: []\n"
    )
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url,
        INSTANCE_AGENT_CATALOG=str(catalog), INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS="0.2",
    )  # fmt: skip
    gateway.program.wait_for("local_provider_found")
    (block,) = [each for each in _at_port(shell_blocks(_USE), gateway.port) if each.heading == _LOCAL]
    terminal = Terminal(tmp_path, {})
    eventually(lambda: '"choices"' in terminal.run(block), what="an answer of the local model")
    assert "qwen/qwen3-30b-a3b-2507" in {request["model"] for request in fake_upstream.requests()}


def test_the_commands_for_https(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    variables = {
        "DATABASE_URL": database_url, "INSTANCE_AGENT_GATEWAY_PORT": str(port),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
    }  # fmt: skip
    make, serve, ask = _at_port([each for each in shell_blocks(_OPERATE) if each.heading == "HTTPS"], port)
    terminal = Terminal(tmp_path, variables)
    terminal.run(make)
    with _until_ctrl_c(terminal, serve, tmp_path / "serve.log"):
        _run(terminal, ask)
        assert subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/health"], capture_output=True).stdout == b""
        pytest.importorskip("openai", reason="the vendors' clients are in the extra `clients`")
        pytest.importorskip("anthropic", reason="the vendors' clients are in the extra `clients`")
        terminal.run("export SSL_CERT_FILE=gateway.crt")
        for client, path in (("openai.OpenAI", "/v1"), ("anthropic.Anthropic", "")):
            module, url = client.partition(".")[0], f"https://localhost:{port}{path}"
            script = f"import {module}; print({client}(base_url='{url}', api_key='none').models.list().data)"
            assert terminal.run(f'python -c "{script}"'), client


def _words_of(database_url: str, word: str) -> list[str]:
    """Return the tables of the database, queues included, that have a word in any column."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 20
        return [
            table
            for (table,) in tables
            if connection.execute(
                f"SELECT 1 FROM {table} AS each WHERE each::text ILIKE %s LIMIT 1",  # type: ignore[arg-type]
                (f"%{word}%",),
            ).fetchone()
        ]


@pytest.mark.parametrize("log_level", ["info", "debug"])
def test_prompts_answers_and_keys_are_in_no_table_file_or_log(
    start: Any, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, log_level: str
) -> None:
    key = a_key(database_url, "user", workspace="acme-stored")
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=key, INSTANCE_AGENT_LOG_LEVEL=log_level
    )  # fmt: skip
    tool = {"type": "function", "function": {"name": "lookup", "description": "zebratool", "parameters": {}}}
    plain = gateway.chat(text="zebraprompt", user="a-user", headers={"x-centralcloud-session": "zebrasession"})
    assert "zebraprompt" in plain.text, "the answer of the fake upstream repeats it"
    assert gateway.chat(text="zebraprompt", tools=[tool]).status == 200
    assert b"zebraprompt" in gateway.chat("opus", "zebraprompt", stream=True).body
    system = {
        "model": "auto",
        "max_tokens": 9,
        "system": "zebrasystem",
        "messages": [{"role": "user", "content": "zebra"}],
    }
    assert gateway.call("POST", "/v1/messages", system).status == 200
    # The workspace is stored: the events have arrived, and the search finds what is there.
    eventually(lambda: _words_of(database_url, "acme-stored"), what="the events")
    eventually(lambda: gateway.call("GET", "/health/detailed").json()["events"]["sent"] >= 8, what="all events")
    assert _words_of(database_url, "zebra") == []
    assert _words_of(database_url, key.split("_", 2)[2][:20]) == []
    log = json.dumps(gateway.program.log())
    files = "".join(
        file.read_bytes().decode(errors="replace") for file in (tmp_path / "state").rglob("*") if file.is_file()
    )
    assert "gateway_started" in log
    assert len(files) > 100
    for word in ("zebra", key, "sk-upstream-0123456789abcdef"):
        assert word not in log
        assert word not in files
