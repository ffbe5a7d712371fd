"""The folder of programs for the shells of the tests, to be put first on the `PATH` (support.shell_start)."""

import sys
from pathlib import Path

from support.launcher import PROGRAMS, launcher_address

_SCRIPT = """#!{python} -IS
import sys
sys.path.insert(0, {support!r})
from shell_start import main
main({program!r}, {launcher!r}, {started!r})
"""
#: Shared by all processes of a run of the tests; conftest.py sets it.
_started: Path | None = None


def share_starts(folder: Path) -> None:
    """Note in this folder which commands were started from their files."""
    global _started
    folder.mkdir(exist_ok=True)
    _started = folder


def programs_for_shells() -> Path:
    """Return the folder: at the first start of each command the installed programs, then forks of the launcher."""
    assert _started is not None
    launcher = launcher_address()
    folder = Path(launcher).parent
    for name in PROGRAMS:
        if not (file := folder / name).exists():
            program = str(Path(sys.executable).with_name(name))
            file.write_text(
                _SCRIPT.format(
                    python=sys.executable,
                    support=str(Path(__file__).parent),
                    program=program,
                    launcher=launcher,
                    started=str(_started),
                )
            )
            file.chmod(0o755)
    return folder
