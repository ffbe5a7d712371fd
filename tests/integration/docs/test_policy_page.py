"""docs/how-to/write-a-policy.md: its commands work as printed, one after the other, in a database as `migrate` leaves it."""

import re
import shlex
from pathlib import Path

import pytest
from support.pages import shell_blocks
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
