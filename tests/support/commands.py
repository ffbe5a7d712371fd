"""Run the programs as processes, as a user or a supervisor does.

They are forked from a process that has imported them (support.launcher), unless a test asks for a `cold` start: the
installed program from its file, with all imports.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from support.launcher import Launched, can_start

BIN = Path(sys.executable).parent
_OURS = ("CENTRALCLOUD_", "INSTANCE_AGENT_", "DATABASE_URL", "INSTANCE_ID", "EX_LLM_")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process; of CentralCloud's variables only `variables`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | variables


def run_command(
    program: str,
    *arguments: str,
    env: Mapping[str, str],
    input_text: str | None = None,
    cwd: Path | None = None,
    cold: bool = False,
    stdout: IO[str] | int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. `stdout`: where its result goes, when the test does not read it."""
    command = [BIN / program, *arguments]
    variables = environment(**env)
    options: dict[str, Any] = {
        "env": variables,
        "stdin": subprocess.DEVNULL if input_text is None else subprocess.PIPE,
        "stdout": stdout,
        "stderr": subprocess.PIPE,
        "text": True,
        "cwd": cwd,
    }
    start = Launched if not cold and can_start(program, variables) else subprocess.Popen
    with start(command, **options) as process:
        try:
            printed, errors = process.communicate(input_text, timeout=120)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


def start_command(
    program: str,
    *arguments: str,
    env: Mapping[str, str],
    log: IO[str] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
    fault: str | None = None,
    cold: bool = False,
) -> subprocess.Popen[str]:
    """Start a command that keeps running; its output and logs go to `log`. `fault`: the name of one in support.sabotage."""
    variables = environment(**env)
    forked = not cold and can_start(program, variables)
    command = [BIN / program] if fault is None else [sys.executable, "-m", "support.sabotage", fault, program]
    if fault is not None and not forked:
        variables["PYTHONPATH"] = str(Path(__file__).parents[1])
    return (Launched if forked else subprocess.Popen)(
        [*command, *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        start_new_session=True,  # a process group of its own, as on a terminal
    )


def summarize_error(result: "subprocess.CompletedProcess[str]") -> str:
    """Return the only line on standard error, which is not a traceback."""
    (line,) = result.stderr.strip().splitlines()
    assert "Traceback" not in line
    return line
