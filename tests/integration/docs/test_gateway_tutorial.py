"""docs/tutorial/send-requests-through-the-gateway.md: run every command in order and compare the output with the page."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.pages import Terminal, missing_lines, shell_blocks
from support.ports import free_port
from support.repository import REPOSITORY
from support.waiting import eventually

from centralcloud.runtime.postgres.embedded import EmbeddedServer

_PAGE = REPOSITORY / "docs/tutorial/send-requests-through-the-gateway.md"


def test_the_page_from_top_to_bottom(checkout: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the vendors' clients are in the extra `clients`")
    port, control = free_port(), free_port()
    variables = {
        "INSTANCE_AGENT_GATEWAY_PORT": str(port),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "CENTRALCLOUD_HTTP_PORT": "0",
    }
    terminal = Terminal(checkout, variables)
    running: list[subprocess.Popen[str]] = []
    held = EmbeddedServer.start(f"embedded:{checkout}/.centralcloud")  # keeps the server running between commands

    def matches(commands: str, shown: str) -> bool:
        printed = terminal.run(commands)
        missing = missing_lines(shown, printed)
        assert not missing, f"{commands}\n{missing}\n{printed}"
        return True

    try:
        for number, block in enumerate(shell_blocks(_PAGE)):
            commands = block.commands.replace("3003", str(port)).replace("3004", str(control))
            if block.heading == "Clean up":
                for program in running:
                    os.kill(program.pid, signal.SIGINT)  # Ctrl-C
                assert [program.wait(timeout=30) for program in running] == [0] * len(running)
                held.stop()
            if block.own_terminal:
                block.commands = commands
                log = tmp_path / f"{number}.log"
                running.append(terminal.start(block, log))
                if "serve" in commands:
                    eventually(lambda log=log: "gateway_started" in log.read_text(), within_seconds=60)
            elif "gateway_tasks" in commands:  # the page says: run it again when another model still leads
                eventually(lambda commands=commands, block=block: matches(commands, block.shown), within_seconds=90)
            else:
                matches(commands, block.shown)
        assert sorted(path.name for path in checkout.iterdir()) == [".environment", "Makefile", "examples"]
    finally:
        for program in running:
            program.kill()
            program.wait()
        held.stop()
