"""The line for a second terminal has all that a shell in the same folder needs, and a shell understands it."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from centralcloud.demo.second_terminal import second_terminal


@pytest.mark.parametrize("folder", [".venv/bin", "my tools/bin"])
def test_a_shell_finds_the_program_and_the_database(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / folder / "centralcloud"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$DATABASE_URL"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    line = second_terminal("embedded:.centralcloud/demo")
    shell = ["sh", "-c", f"{line}\ncentralcloud"]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "embedded:.centralcloud/demo\n"
    if folder == ".venv/bin":  # short, where a shell takes it as it stands
        for page in ("README.md", "docs/tutorial/tour-of-the-dashboard.md"):
            assert f"\n{line}\n" in (REPOSITORY / page).read_text()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin")
    assert second_terminal("embedded:.centralcloud/demo") == "export DATABASE_URL=embedded:.centralcloud/demo"
