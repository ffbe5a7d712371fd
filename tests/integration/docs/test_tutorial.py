"""docs/tutorial/first-ten-minutes.md: run every command in order and compare the output with the page."""

import os
import signal
import subprocess
from pathlib import Path

from support.pages import Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY
from support.waiting import eventually

from centralcloud.runtime.postgres.embedded import EmbeddedServer

_PAGE = REPOSITORY / "docs/tutorial/first-ten-minutes.md"


def test_the_page_from_top_to_bottom(checkout: Path, tmp_path: Path) -> None:
    terminal = Terminal(checkout, {})
    running: list[subprocess.Popen[str]] = []
    agent_log = tmp_path / "agent.log"
    held = EmbeddedServer.start(f"embedded:{checkout}/.centralcloud")  # keeps the server running between commands

    def matches(number: int) -> bool:
        printed = terminal.run(blocks[number])
        missing = missing_lines(blocks[number].shown, printed)
        assert not missing, f"{blocks[number].commands}\n{missing}\n{printed}"
        return True

    blocks = shell_blocks(_PAGE)
    assert len(blocks) >= 12
    try:
        for number, block in enumerate(blocks):
            if block.heading == "Clean up":
                for program in running:
                    os.kill(program.pid, signal.SIGINT)  # Ctrl-C
                assert [program.wait(timeout=30) for program in running] == [0] * len(running)
                held.stop()
            if block.own_terminal:
                log = agent_log if "instance-agent run" in block.commands else tmp_path / f"{number}.log"
                running.append(terminal.start(block, log))
                if log == agent_log:  # the page: it logs `scores_applied`, go back
                    eventually(lambda: agent_log.read_text().count("scores_applied") >= 1, within_seconds=60)
            elif running and "publish" not in block.commands and block.shown:  # the page waits a few seconds
                if "dead-letters" in block.commands:
                    eventually(lambda: agent_log.read_text().count("scores_applied") >= 2, within_seconds=60)
                eventually(lambda number=number: matches(number), within_seconds=30)
            else:
                matches(number)
        assert sorted(path.name for path in checkout.iterdir()) == [".environment", "Makefile", "examples"]
    finally:
        for program in running:
            program.kill()
            program.wait()
        held.stop()
