"""Fixtures for tests with the fake upstream: `from support.upstream.fixtures import *` in a conftest."""

from collections.abc import Iterator

import pytest

from support.upstream.process import FakeUpstream, a_fake_upstream

__all__ = ["fake_upstream", "running_upstream"]


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[FakeUpstream]:
    """One fake upstream for the session."""
    with a_fake_upstream() as upstream:
        yield upstream


@pytest.fixture
def fake_upstream(running_upstream: FakeUpstream) -> Iterator[FakeUpstream]:
    """The fake upstream, without record and orders of tests before; its orders do not outlive the test."""
    running_upstream.reset()
    yield running_upstream
    running_upstream.reset()
