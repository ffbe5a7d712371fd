"""Three gateways that are killed, stopped and cut off from their database while clients send requests."""

from collections.abc import Iterator

import pytest
from support.gateway_clients import GatewayClients
from support.replicas import Replicas, assert_recorded_once, three_replicas
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with a_fake_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def replicas(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with three_replicas(tmp_path_factory.mktemp("replicas"), upstream) as replicas:
        yield replicas


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_replicas_killed_one_after_the_other_fail_no_request_and_lose_no_event(replicas: Replicas, rounds: int) -> None:
    with GatewayClients(replicas.urls, replicas.key) as clients:
        for number in list(range(3)) * rounds:
            enough = clients.answered + 100
            eventually(lambda: clients.answered > enough, what="requests in full swing")  # noqa: B023
            replicas.gateways[number].program.kill()
            replicas.start_again(number)

    assert dict(clients.seen.errors) == {}
    assert clients.seen.retried > 0, "no request met a replica that was gone: the test shows nothing"
    assert_recorded_once(replicas.url, list(clients.seen.decisions))
