"""The folder deploy/."""

from pathlib import Path

import pytest
from support.repository import REPOSITORY


@pytest.fixture
def deploy() -> Path:
    return REPOSITORY / "deploy"
