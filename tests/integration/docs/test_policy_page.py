"""The pages of policies and of budgets: their commands work as printed, in order, in a database as `migrate` leaves it."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from support.pages import missing_lines, shell_blocks
from support.repository import REPOSITORY
from typer.testing import CliRunner

import centralcloud.cli.app
import instance_agent.cli.app
from centralcloud.runtime.configuration.writing import read_whole
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import migrate

_PROGRAMS = {"centralcloud": centralcloud.cli.app.app, "instance-agent": instance_agent.cli.app.app}
_FILE = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END\n", re.DOTALL | re.MULTILINE)


def run(commands: str) -> str:
    """Write the files of a block and run its commands in this process: ten programs take ten seconds to start."""
    for name, text in _FILE.findall(commands):
        Path(name).write_text(text)
    printed = ""
    for line in _FILE.sub("", commands).splitlines():
        program, *arguments = shlex.split(line)
        if program not in _PROGRAMS:
            subprocess.run([program, *arguments], check=True)
            continue
        result = CliRunner().invoke(_PROGRAMS[program], arguments)
        assert result.exit_code == 0, (line, result.output, result.exception)
        printed += result.stdout
    return printed


def test_the_page_from_top_to_bottom(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login, *blocks = shell_blocks(REPOSITORY / "docs/how-to/write-a-policy.md")
    assert login.commands.startswith("export DATABASE_URL=")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", empty_url)
    with Database(empty_url, application_name="tests") as database:
        migrate(database)
        before = read_whole(database).bodies
        printed = [run(block.commands) for block in blocks]
        after = read_whole(database)
    assert '"max_cost_per_task": 0.25' in printed[0]
    assert "review_code" in printed[1]
    assert "policy:review" in printed[2]
    assert "reviews get a policy of their own" in printed[3]
    assert "would be written: 3 removed" in printed[3]
    assert (after.configuration.version, after.bodies) == (5, before)


def test_the_page_of_budgets_from_top_to_bottom(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, *blocks = shell_blocks(REPOSITORY / "docs/how-to/give-a-team-a-budget.md")
    assert login.commands.startswith("export DATABASE_URL=")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", empty_url)
    with Database(empty_url, application_name="tests") as database:
        migrate(database)
        printed = [run(block.commands) for block in blocks]
        after = read_whole(database).configuration
    for block, text in zip(blocks, printed, strict=True):
        assert missing_lines(block.shown, text) == []
    assert sum(bool(block.shown) for block in blocks) == 2
    assert after.budgets["workspace:search:daily"].limit == 30
    assert {key.workspace for key in after.keys.values()} == {"search"}
    assert {"fleet:monthly", "worker:nightly-import:weekly", "exploration:monthly"} <= after.budgets.keys()
    assert any("workspace:search:monthly  400.000000  0.000000000" in text for text in printed), "what is left"
    assert "launch week" in printed[-1]
    assert "the search team has 400 USD a month" in printed[-1]
