"""The files of a spool that had damaged records: kept under another name, for an operator to look at, up to a bound."""

import contextlib
import os
from pathlib import Path
from typing import Final

#: Added to the name of a file that had damaged records; no process reads it then.
DAMAGED_SUFFIX: Final = ".damaged"
#: Most damaged files that a spool folder keeps, and their bytes; the oldest are removed first.
MOST_DAMAGED_FILES: Final = 10
MOST_DAMAGED_BYTES: Final = 20_000_000


def damaged_files(folder: Path) -> list[Path]:
    """Return the damaged files of a spool folder, the oldest first; none when it does not exist or cannot be read."""
    found: dict[Path, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(DAMAGED_SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    found[Path(entry.path)] = entry.stat(follow_symlinks=False).st_mtime_ns
    return sorted(found, key=found.__getitem__)


def keep_damaged(path: Path) -> Path | None:
    """Rename a file of a spool, so that it is not read again; return its new path. Remove the oldest ones beyond the bounds.

    Returns:
        None when the file alone is larger than the bound: it is removed.

    Raises:
        OSError: it can be neither renamed nor removed.
    """
    if path.lstat().st_size > MOST_DAMAGED_BYTES:
        path.unlink()
        return None
    kept = path.rename(path.with_name(path.name + DAMAGED_SUFFIX))
    files = damaged_files(path.parent)
    sizes = {each: each.lstat().st_size for each in files}
    while len(files) > MOST_DAMAGED_FILES or sum(sizes[each] for each in files) > MOST_DAMAGED_BYTES:
        oldest = next(each for each in files if each != kept)
        files.remove(oldest)
        oldest.unlink(missing_ok=True)
    return kept
