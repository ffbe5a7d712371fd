"""One gateway for all tests of a worker with clients, in front of the fake upstream.

The tests do not see each other: those that need an error take a model of their own, which has its own circuit breaker.
"""

from collections.abc import Iterator

import pytest
from support.gateways import Gateway, a_key, start_gateway
from support.programs import programs_in
from support.servers import new_database
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream


@pytest.fixture(scope="session")
def clients_database(server: str, template: str) -> Iterator[str]:
    """URL of the gateway's database."""
    with new_database(server, template) as url:
        yield url


@pytest.fixture(scope="session")
def gateway(
    running_upstream: FakeUpstream, clients_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A running gateway, and a key of the role user for it."""
    folder = tmp_path_factory.mktemp("gateway")
    key = a_key(clients_database, "user", workspace="acme")
    with programs_in(folder) as start:
        yield start_gateway(start, folder, running_upstream, clients_database, key=key)
