"""Fleets with and without their roles."""

from collections.abc import Iterator

import pytest
from support.fleet import Fleet, a_fleet


@pytest.fixture
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


@pytest.fixture
def bare(server: str) -> Iterator[Fleet]:
    """Create a database without its roles."""
    with a_fleet(server, granted=False) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def shared_fleet(server: str) -> Iterator[Fleet]:
    """One fleet for all tests of refusals."""
    with a_fleet(server) as fleet:
        yield fleet
