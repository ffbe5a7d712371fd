"""The folder deploy/."""

import shutil
from pathlib import Path

import pytest
from support.commands import BIN
from support.repository import REPOSITORY


@pytest.fixture
def deploy() -> Path:
    return REPOSITORY / "deploy"


def _program(name: str) -> str:
    found = shutil.which(name, path=str(BIN)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: run tools/install_kubectl.py with the Python of the environment")
    return found


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The kubectl that tools/install_kubectl.py has put into the environment, else the one on the PATH."""
    return _program("kubectl")


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm that tools/install_kubectl.py has put into the environment, else the one on the PATH."""
    return _program("helm")
