"""The line for a second terminal: with it the commands that the pages print run on the database of the demonstration."""

import shlex
import shutil
import sys
from pathlib import Path

_PROGRAM = "centralcloud"


def second_terminal(url: str) -> str:
    """Return the line for a shell in this folder: the database, and the folder of this program where `PATH` lacks it."""
    database = f"DATABASE_URL={shlex.quote(url)}"
    program = Path(sys.argv[0]).absolute().with_name(_PROGRAM)
    if not program.exists() or shutil.which(_PROGRAM) == str(program):
        return f"export {database}"
    folder = program.parent
    here = Path.cwd()
    shown = (
        f'"$PWD/{folder.relative_to(here)}:$PATH"' if _is_plain(folder, here) else f'{shlex.quote(str(folder))}:"$PATH"'
    )
    return f"export PATH={shown} {database}"


def _is_plain(folder: Path, here: Path) -> bool:
    """Whether the folder is below this one, by a path that a shell takes as it stands."""
    return folder.is_relative_to(here) and shlex.quote(str(folder.relative_to(here))) == str(folder.relative_to(here))
