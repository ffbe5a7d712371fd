"""Three gateways that are killed, stopped and cut off from their database while clients send requests."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from support.gateway_clients import GatewayClients
from support.gateways import Gateway, Reply
from support.operators import OPERATOR
from support.replicas import Replicas, assert_recorded_once, three_replicas
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

from centralcloud.administration.score_overrides import pin
from centralcloud.runtime.postgres.database import Database

_CURRENT_SECONDS = 10.0


@pytest.fixture(scope="module")
def running_upstream() -> Iterator[FakeUpstream]:
    with a_fake_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running_replicas(running_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with three_replicas(tmp_path_factory.mktemp("replicas"), running_upstream) as replicas:
        yield replicas


@pytest.fixture
def replicas(running_replicas: Replicas) -> Replicas:
    running_replicas.upstream.reset()
    return running_replicas


def wait_for_answers(clients: GatewayClients, count: int = 100) -> None:
    enough = clients.answered + count
    eventually(lambda: clients.answered > enough, what="requests in full swing")


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_replicas_killed_one_after_the_other_fail_no_request_and_lose_no_event(replicas: Replicas, rounds: int) -> None:
    with GatewayClients(replicas.urls, replicas.key) as clients:
        for number in list(range(3)) * rounds:
            wait_for_answers(clients)
            replicas.gateways[number].program.kill()
            replicas.start_again(number)

    assert dict(clients.seen.errors) == {}
    assert clients.seen.retried > 0, "no request met a replica that was gone: the test shows nothing"
    assert_recorded_once(replicas.url, list(clients.seen.decisions))


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_replicas_stopped_one_after_the_other_end_each_request_that_they_have_begun(
    replicas: Replicas, rounds: int
) -> None:
    """Requests in flight end without a retry; new ones go to the next replica."""
    replicas.upstream.behave("hold+trickle=0.05", model="opus")
    begun: list[Reply] = []
    with GatewayClients(replicas.urls, replicas.key) as clients, ThreadPoolExecutor(20) as threads:
        for number in list(range(3)) * rounds:
            gateway = replicas.gateways[number]
            asked = [threads.submit(gateway.chat, "opus", stream=nth % 2 == 0) for nth in range(20)]
            eventually(lambda: under_way(replicas.upstream, "opus") == 20, what="the requests at the provider")
            gateway.program.process.send_signal(signal.SIGTERM)
            gateway.program.wait_for("gateway_draining")
            replicas.upstream.release()
            begun += [each.result() for each in asked]
            assert gateway.program.process.wait(timeout=30) == 0
            assert "gateway_requests_cut" not in gateway.program.events()
            replicas.start_again(number)

    assert [reply.status for reply in begun] == [200] * len(begun)
    assert all(reply.body.endswith(b"data: [DONE]\n\n") for reply in begun if b"data: " in reply.body)
    assert dict(clients.seen.errors) == {}
    assert clients.seen.broken_streams == 0
    whole = [reply.headers["x-centralcloud-decision-id"] for reply in begun]
    assert_recorded_once(replicas.url, [*clients.seen.decisions, *whole])


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_gateways_serve_without_the_database_and_are_current_soon_after_its_return(
    replicas: Replicas, seconds: int
) -> None:
    """Also one that starts meanwhile, with the copies of its last run; one without copies waits, and says so.

    The one that starts has little room in memory: most of its events are on disk only.
    """
    with GatewayClients(replicas.urls, replicas.key) as clients:
        wait_for_answers(clients)
        replicas.server.crash()
        gone = time.monotonic()
        replicas.gateways[1].program.kill()
        replicas.gateways[1] = replicas.start(1, INSTANCE_AGENT_PUBLISH_QUEUE_SIZE="20")
        replicas.gateways[1].call("GET", "/v1/models").json()
        new = replicas.start_new()
        eventually(lambda: is_down(new), what="the outage in the details")
        while time.monotonic() < gone + seconds:
            wait_for_answers(clients)
            assert [each.call("GET", "/health/ready", key=None).status for each in replicas.gateways] == [200] * 3
        eventually(lambda: events_of(replicas.gateways[1])["onDisk"] > 20, what="events on disk only")
        refused, waiting = new.chat(), new.call("GET", "/health/ready", key=None)
        wrong = replicas.gateways[1].call("GET", "/v1/models", key="cck-wrong")
        replicas.server.start()
        back = time.monotonic()
        registered = eventually(lambda: register(replicas.gateways[0], f"after-{seconds}"), what="the registration")
        version = pin_a_score(replicas.url)
        everyone = [*replicas.gateways, new]
        left = back + _CURRENT_SECONDS - time.monotonic()
        eventually(
            lambda: all(is_current(each, registered, version) for each in everyone),
            within_seconds=left,
            what="the change and the score at every replica",
        )
        wait_for_answers(clients)

    assert wrong.status == 401
    assert (refused.status, waiting.status) == (503, 503)
    assert waiting.json()["reasons"] == [
        "the keys are not known: the database was not reached yet, and no copy of an earlier run exists"
    ]
    assert dict(clients.seen.errors) == {}
    assert replicas.worker.process.poll() is None
    new.program.process.send_signal(signal.SIGTERM)
    assert new.program.process.wait(timeout=30) == 0
    assert_recorded_once(replicas.url, list(clients.seen.decisions))


def events_of(gateway: Gateway) -> dict[str, float]:
    events: dict[str, float] = gateway.call("GET", "/health/detailed", key=None).json()["events"]
    return events


def under_way(upstream: FakeUpstream, model: str) -> int:
    return sum(each["ended"] is None for each in upstream.requests(model))


def is_down(gateway: Gateway) -> bool:
    return bool(gateway.call("GET", "/health/detailed", key=None).json()["db"] == "down")


def register(gateway: Gateway, model_id: str) -> str | None:
    """Register a model; return its id, None while the database refuses."""
    body = {"id": model_id, "name": model_id, "version": "gpt", "provider": "alpha"}
    return model_id if gateway.call("POST", "/api/models", body).status == 201 else None


def pin_a_score(url: str) -> int:
    """Publish a score; return its version."""
    with Database(url, application_name="tests") as database:
        return pin(database, ("gpt", "simple"), Decimal("4.75"), None, OPERATOR).version


def is_current(gateway: Gateway, model_id: str, version: int) -> bool:
    models = {each["id"] for each in gateway.call("GET", "/v1/models").json()["data"]}
    details = gateway.call("GET", "/health/detailed", key=None).json()
    return model_id in models and details["scores"]["version"] >= version and details["db"] == "up"
