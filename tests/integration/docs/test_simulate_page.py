"""The worked examples of the pages about `simulate`: their commands print what the pages show."""

import re
import shlex
from pathlib import Path

import pytest
from support.commands import run_command
from support.pages import missing_lines, shell_blocks
from support.repository import REPOSITORY

_PAGES = [REPOSITORY / "docs/how-to" / name for name in ("simulate.md", "simulate-an-experiment.md")]
#: Numbers that differ by machine.
_CLOCK = re.compile(r"^wall_seconds .*$| in [\d.]+ s(?=$|;)", re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_worked_example_prints_what_the_page_shows(page: Path) -> None:
    block = shell_blocks(page)[0]
    program, *arguments = shlex.split(block.commands)
    finished = run_command(program, *arguments, env={"COLUMNS": "250"}, cwd=REPOSITORY)
    assert finished.returncode == 0, finished.stderr
    shown, printed = (_CLOCK.sub("", text) for text in (block.shown, finished.stdout))
    assert missing_lines(shown, printed) == [], finished.stdout
    assert len(shown.splitlines()) == len(printed.splitlines())
