"""The files that the pages' first steps need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.repository import REPOSITORY
from support.servers import embedded_folder


@pytest.fixture
def checkout() -> Iterator[Path]:
    """The files of a checkout that the page needs. Everything is installed: `make setup` does nothing."""
    with embedded_folder() as folder:
        shutil.copytree(REPOSITORY / "examples", folder / "examples")
        (folder / "Makefile").write_text("setup:\n")
        yield folder
