"""A gateway as a process, in front of the fake upstream, with a database and a key of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.gateways import Gateway, a_key, start_gateway
from support.programs import Program
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream


@pytest.fixture
def gateway(start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str) -> Gateway:
    """A running gateway, and a key of the role user for it."""
    key = a_key(database_url, "user", workspace="acme")
    return start_gateway(start, tmp_path, fake_upstream, database_url, key=key)


@pytest.fixture
def admin(start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str) -> Gateway:
    """A gateway, called with a key of the role admin; registered endpoints may be on this machine."""
    key = a_key(database_url, "admin")
    private = {"INSTANCE_AGENT_GATEWAY_PRIVATE_ENDPOINTS": "true"}
    return start_gateway(start, tmp_path, fake_upstream, database_url, key=key, **private)
