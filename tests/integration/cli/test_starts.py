"""The programs from their files, with every import, and the same started the way most tests start them.

Other commands are started from their files by the pages of docs/ (tests/integration/docs), each once in a run.
"""

import os
import pkgutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from support.commands import run_command, start_command
from support.pages import ShellBlock, Terminal
from support.waiting import eventually

import centralcloud
import instance_agent

_CATALOG = "models: [{name: gpt-4o, provider: p, complexity_scores: {complex: 1.0}}]"


@pytest.mark.parametrize(
    "command",
    [
        ("centralcloud", "findings"),
        ("centralcloud", "history", "--json"),
        ("centralcloud", "freeze", "--wrong"),
        ("centralcloud", "unfreeze", "--wrong"),
        ("centralcloud", "simulate", "nowhere.yaml"),
        ("centralcloud", "grants"),
        ("centralcloud", "models", "list"),
        ("centralcloud", "instances", "list"),
        ("centralcloud", "settings", "show"),
        ("instance-agent", "doctor"),
    ],
    ids=" ".join,
)
def test_a_fork_of_the_launcher_does_as_the_installed_program(
    command: tuple[str, ...], database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "catalog.yaml").write_text(_CATALOG)
    env = {
        "DATABASE_URL": database_url,
        "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
    }
    cold = run_command(*command, env=env, cold=True)
    forked = run_command(*command, env=env)
    assert cold.returncode in (0, 2)
    assert "Traceback" not in cold.stderr
    assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert cold.stdout or cold.stderr


@pytest.mark.parametrize("cold", [True, False])
def test_a_signal_ends_a_program_that_waits_for_its_database(cold: bool, tmp_path: Path) -> None:
    env = {"DATABASE_URL": f"postgresql:///routing?host={tmp_path}"}
    process = start_command("centralcloud", "run", env=env, log=subprocess.PIPE, cold=cold, cwd=tmp_path)
    try:
        assert process.stdout
        assert any("database_unavailable" in line for line in process.stdout)
        process.terminate()
        output = process.communicate(timeout=10)[0]
        assert process.returncode == 0, output
    finally:
        process.kill()


def test_a_shell_gets_the_same_from_a_fork_as_from_the_installed_program(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {"DATABASE_URL": f"postgresql:///routing?host={tmp_path}"})
    wrong = "centralcloud unfreeze --wrong 2>&1 || echo code $?"
    first, second = terminal.run(wrong), terminal.run(wrong)  # the first start of a command is that of its file
    assert first == second
    assert "code 2" in first
    log = tmp_path / "log"
    for _ in range(2):
        process = terminal.start(ShellBlock("", "centralcloud run", own_terminal=True), log)
        try:
            eventually(lambda: "database_unavailable" in log.read_text(), within_seconds=60)
            os.kill(process.pid, signal.SIGINT)  # Ctrl-C
            assert process.wait(timeout=30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("program", ["centralcloud", "instance-agent"])
def test_the_end_of_a_program_is_clean(program: str, database_url: str, tmp_path: Path) -> None:
    """The interpreter takes everything apart at its end; a fork of the launcher leaves that out."""
    (tmp_path / "catalog.yaml").write_text(_CATALOG)
    env = {"DATABASE_URL": database_url, "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
    env["INSTANCE_AGENT_CATALOG"] = str(tmp_path / "catalog.yaml")
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = start_command(program, "run", env=env, log=stream, cold=True, cwd=tmp_path)
    try:
        eventually(lambda: '"event": "started"' in log.read_text())
        process.terminate()
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
    assert [line for line in log.read_text().splitlines() if not line.startswith("{")] == []


@pytest.mark.soak
@pytest.mark.parametrize("package", [centralcloud, instance_agent], ids=lambda package: package.__name__)
def test_every_module_can_be_imported_alone(package: ModuleType) -> None:
    """The launcher has imported everything: an import that is missing in a module would not be noticed there."""
    names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    assert len(names) > 20

    def import_alone(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-c", f"import {name}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, alone in zip(names, pool.map(import_alone, names), strict=True):
            assert alone.returncode == 0, f"{name}: {alone.stderr}"
