import pytest


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether to run what is simulated in full: make experiments-long."""
    return bool(pytestconfig.option.experiments_long)
