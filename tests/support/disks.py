"""A small disk, for tests that fill it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.servers import embedded_folder


@contextmanager
def a_small_disk(size: str) -> Iterator[Path]:
    """Mount a file system of a fixed size, where the user of the tests may; else yield a folder on the usual one."""
    with embedded_folder() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            yield folder
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, ballast: Path) -> None:
    """Append to `ballast` until the disk is full."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for chunk in (bytes(2**20), bytes(2**12)):
            while shutil.disk_usage(disk).free >= len(chunk):
                file.write(chunk)
