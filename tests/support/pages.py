"""Read and run the shell commands of a documentation page, and compare their output with the page."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.commands import BIN, environment
from support.shell_programs import programs_for_shells

_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Marks, invisible to readers, a block whose commands run until Ctrl-C.
_OWN_TERMINAL = "<!-- in a terminal of its own -->"


@dataclass
class ShellBlock:
    """A ``sh`` block, with the heading above it and the ``text`` block after it."""

    heading: str
    commands: str
    shown: str = ""
    own_terminal: bool = False


def shell_blocks(page: Path) -> list[ShellBlock]:
    """Return the ``sh`` blocks of `page`, in order."""
    text = page.read_text()
    found: list[ShellBlock] = []
    for match in _BLOCK.finditer(text):
        language, body = match.groups()
        before = text[: match.start()]
        if language == "text":
            assert not found[-1].shown, "a text block shows the output of the commands above it"
            found[-1].shown = body
            continue
        heading = re.findall(
            r"^#+ (.*)$", re.sub(r"^```.*?^```", "", before, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
        )
        found.append(ShellBlock(heading[-1], body, own_terminal=before.rstrip().endswith(_OWN_TERMINAL)))
    return found


def missing_lines(shown: str, printed: str) -> list[str]:
    """Return the lines of `shown` that `printed` lacks. ``...`` matches anything; the width of gaps does not count."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    missing = []
    for line in shown.splitlines():
        pattern = ".*".join(re.escape(part) for part in " ".join(line.split()).split("..."))
        if line.strip() and not any(re.fullmatch(pattern, each) for each in lines):
            missing.append(line)
    return missing


@dataclass
class Terminal:
    """A shell as a reader uses it: in one folder, with variables that persist from block to block."""

    folder: Path
    exported: dict[str, str]
    programs: Path | None = None  # first on the PATH
    user: str | None = None
    _env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        folders = [str(self.programs)] if self.programs else []
        if self.user is None:  # a fork of the launcher has the user of the tests
            folders.append(str(programs_for_shells()))
        path = ":".join([*folders, str(BIN), os.environ["PATH"]])
        self._env = environment(**self.exported) | {"PATH": path, "LC_ALL": "C.UTF-8", "COLUMNS": "250"}

    def run(self, block: ShellBlock | str) -> str:
        """Run a block and return its output. Fails as soon as a command fails, like `set -e`."""
        commands = block if isinstance(block, str) else block.commands
        kept = self.folder / ".environment"
        keep = f"\nenv -0 > '{kept}'" if self.user is None else ""
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands + keep],
            cwd=self.folder,
            env=self._env,
            user=self.user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, f"{commands}\n{result.stdout}\n{result.stderr}"
        if keep:
            self._env = dict(pair.split("=", 1) for pair in kept.read_text().split("\0") if "=" in pair)
        return result.stdout

    def start(self, block: ShellBlock, log: Path) -> "subprocess.Popen[str]":
        """Start a block that runs until it is interrupted; its output goes to `log`."""
        *before, last = block.commands.strip().splitlines()
        script = "\n".join([*before, f"exec {last}"])
        with log.open("w") as out:
            return subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
