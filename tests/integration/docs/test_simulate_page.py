"""The worked example of docs/how-to/simulate.md: its command prints what the page shows."""

import re
import shlex

from support.commands import run_command
from support.pages import missing_lines, shell_blocks
from support.repository import REPOSITORY

_PAGE = REPOSITORY / "docs/how-to/simulate.md"
#: Numbers that differ by machine.
_CLOCK = re.compile(r"^wall_seconds .*$| in [\d.]+ s$", re.MULTILINE)


def test_the_worked_example_prints_what_the_page_shows() -> None:
    block = shell_blocks(_PAGE)[0]
    program, *arguments = shlex.split(block.commands)
    finished = run_command(program, *arguments, env={"COLUMNS": "250"}, cwd=REPOSITORY)
    assert finished.returncode == 0, finished.stderr
    shown, printed = (_CLOCK.sub("", text) for text in (block.shown, finished.stdout))
    assert missing_lines(shown, printed) == [], finished.stdout
    assert len(shown.splitlines()) == len(printed.splitlines())
