"""The folder deploy/."""

import shutil
from pathlib import Path

import pytest
from support.commands import BIN
from support.repository import REPOSITORY


@pytest.fixture
def deploy() -> Path:
    return REPOSITORY / "deploy"


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The kubectl that tools/install_kubectl.py has put into the environment, else the one on the PATH."""
    found = shutil.which("kubectl", path=str(BIN)) or shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed: run tools/install_kubectl.py with the Python of the environment")
    return found
