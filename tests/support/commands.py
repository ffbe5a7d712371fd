"""Run the programs as processes, as a user or a supervisor does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

BIN = Path(sys.executable).parent
_OURS = ("CENTRALCLOUD_", "INSTANCE_AGENT_", "DATABASE_URL", "INSTANCE_ID", "EX_LLM_")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process; of CentralCloud's variables only `variables`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | variables


def run_command(
    program: str, *arguments: str, env: Mapping[str, str], input_text: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [BIN / program, *arguments],
        env=environment(**env),
        input=input_text,
        stdin=subprocess.DEVNULL if input_text is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
    )


def start_command(
    program: str,
    *arguments: str,
    env: Mapping[str, str],
    log: IO[str] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
    fault: str | None = None,
) -> subprocess.Popen[str]:
    """Start a command that keeps running; its output and logs go to `log`. `fault`: the name of one in support.sabotage."""
    command = [BIN / program] if fault is None else [sys.executable, "-m", "support.sabotage", fault, program]
    return subprocess.Popen(
        [*command, *arguments],
        env=environment(**env) | ({"PYTHONPATH": str(Path(__file__).parents[1])} if fault else {}),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        start_new_session=True,  # a process group of its own, as on a terminal
    )
