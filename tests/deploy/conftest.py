"""Where the files of deploy/ are."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def deploy() -> Path:
    return REPOSITORY / "deploy"
