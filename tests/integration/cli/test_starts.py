"""The programs from their files, with every import, and the same started the way most tests start them.

Other commands are started from their files by the pages of docs/ (tests/integration/docs).
"""

import subprocess
from pathlib import Path

import pytest
from support.commands import run_command, start_command

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
