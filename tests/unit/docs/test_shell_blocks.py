"""Every shell block of a page can be pasted into any shell: zsh has comments at its prompt only after `setopt`."""

import re
from typing import Final

import pytest
from support.pages import shell_blocks
from support.repository import REPOSITORY

#: A word that begins with `#`: bash and zsh begin a comment there, the latter only in scripts.
_COMMENT: Final = re.compile(r"(^|[\s;&|()])#")
_PAGES: Final = [
    path
    for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    if re.search(r"^```sh$", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_no_shell_block_has_a_comment(page: str) -> None:
    """zsh passes a comment behind a command as arguments, and looks for a command named `#` in a comment's own line."""
    lines = [line for block in shell_blocks(REPOSITORY / page) for line in block.commands.splitlines()]
    assert lines
    assert [line for line in lines if _COMMENT.search(line)] == []


def test_commands_outside_of_shell_blocks_have_no_comment() -> None:
    """A block that is only indented is pasted, too."""
    command = re.compile(
        r"^(?: {4,}|\t)(?:\.venv/bin/|make |centralcloud |instance-agent |psql |pip ).*\s#", re.MULTILINE
    )
    found = {path.name: command.findall(path.read_text()) for path in _PAGES}
    assert {name: lines for name, lines in found.items() if lines} == {}
