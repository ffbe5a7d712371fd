"""The health of targets between two gateways of one fleet: hints, probes, health checks. Both are real processes."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from support.gateways import UPSTREAM_KEY, Gateway, Reply, a_key, start_gateway
from support.programs import Program, programs_in
from support.servers import execute, new_database
from support.upstream.process import FakeUpstream
from support.waiting import eventually

#: Each test has two models of its own, chosen by a capability: the better one is the one that fails.
_CATALOG = """
providers:
  - {{provider: alpha, dialect: openai, base_url: "{url}", api_key: "file:{key}"}}
models:
{models}
"""
_MODEL = (
    "  - {{name: {group}-{name}, provider: alpha, capabilities: [{group}], "
    "complexity_scores: {{simple: {score}, medium: {score}, complex: {score}}}{more}}}"
)
_CHECK_SECONDS = "0.2"


@pytest.fixture(scope="module")
def fleet_database(server: str, template: str) -> Iterator[str]:
    with new_database(server, template) as url:
        yield url


@pytest.fixture(scope="module")
def gateways(
    running_upstream: FakeUpstream, fleet_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways of one fleet, which share a catalog and a database."""
    running_upstream.reset()
    folder = tmp_path_factory.mktemp("fleet-health")
    catalog = _a_catalog(folder, running_upstream)
    key = a_key(fleet_database, "operator")

    def one(start: Callable[..., Program], name: str) -> Gateway:
        return start_gateway(
            start, folder / name, running_upstream, fleet_database, key=key,
            INSTANCE_ID=name, INSTANCE_AGENT_CATALOG=str(catalog), PORT="0",
            INSTANCE_AGENT_GATEWAY_HEALTH_CHECK_SECONDS=_CHECK_SECONDS,
        )  # fmt: skip

    with programs_in(folder) as start:
        yield one(start, "gw-1"), one(start, "gw-2")


def _a_catalog(folder: Path, upstream: FakeUpstream) -> Path:
    key = folder / "upstream.key"
    key.write_text(UPSTREAM_KEY)
    key.chmod(0o600)
    checked = f', endpoints: [{{url: "{upstream.openai_url}", health_check_url: "{upstream.url}/up/checks-best"}}]'
    models = [
        _MODEL.format(group=group, name=name, score=score, more=checked if (group, name) == ("checks", "best") else "")
        for group in ("hints", "probes", "checks")
        for name, score in (("best", 4.0), ("other", 2.0))
    ]
    file = folder / "catalog.yaml"
    file.write_text(_CATALOG.format(url=upstream.openai_url, key=key, models="\n".join(models)))
    return file


def ask(gateway: Gateway, group: str, model: str = "auto") -> Reply:
    return gateway.chat(model, headers={"x-centralcloud-capabilities": group} if model == "auto" else {})


def answered(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    return reply.headers["x-centralcloud-model"]


def target(gateway: Gateway, model: str) -> dict[str, Any]:
    (found,) = gateway.call("GET", f"/api/models/{model}/health").json()["targets"]
    return found  # type: ignore[no-any-return]


def test_a_hint_demotes_a_target_until_this_gateway_knows_better(
    gateways: tuple[Gateway, Gateway], fake_upstream: FakeUpstream, fleet_database: str
) -> None:
    first, second = gateways
    fake_upstream.behave("status=500", model="hints-best")
    for _ in range(5):
        assert answered(ask(first, "hints")) == "hints-other"
    assert target(first, "hints-best")["breaker"]["state"] == "open"

    hinted = eventually(lambda: (found := target(second, "hints-best")).get("suspected") and found)
    assert (hinted["breaker"], hinted["usable"]) == ({"state": "closed"}, True), "a hint opens nothing"
    assert hinted["hints"][0]["reportedBy"] == "gw-1"
    assert hinted["hints"][0]["reason"] == "calls of it failed", "no text of a provider leaves the gateway"
    tried = len(fake_upstream.requests("hints-best"))
    assert answered(ask(second, "hints")) == "hints-other"
    assert len(fake_upstream.requests("hints-best")) == tried, "a suspected target is tried last"
    fake_upstream.reset()
    fake_upstream.behave("status=503", model="hints-other")
    assert answered(ask(second, "hints")) == "hints-best", "it is tried all the same when the others fail"

    fake_upstream.reset()
    assert target(second, "hints-best")["suspected"] is False, "its own success weighs more than the hint"
    assert answered(ask(second, "hints")) == "hints-best"
    rows = execute(fleet_database, "SELECT state, reporter FROM target_health WHERE key LIKE 'hints-best@alpha|%'")
    assert rows == [("open", "gw-1")]


def test_of_two_gateways_one_probes_a_target_in_a_second(
    gateways: tuple[Gateway, Gateway], fake_upstream: FakeUpstream
) -> None:
    # The provider asks for a second each time: without the lease each gateway would probe once in a second.
    fake_upstream.behave("status=429+retry-after=1", model="probes-best")
    until = time.monotonic() + 3.3
    answers: list[str] = []

    def clients(gateway: Gateway) -> None:
        while time.monotonic() < until:
            answers.append(answered(ask(gateway, "probes")))
            time.sleep(0.03)  # the upstream keeps a record of 500 requests

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(clients, gateways * 2))

    began = [each["began"] for each in fake_upstream.requests("probes-best")]
    # The first calls find a closed breaker: those that were under way in both gateways.
    probes = [at for at in began if at > began[0] + 0.5]
    assert 2 <= len(probes) <= 4, probes
    assert all(later - earlier >= 0.7 for earlier, later in pairwise(probes)), probes
    assert set(answers) == {"probes-other"}
    assert len(answers) > 40, "nothing waits for the lease"


def test_one_gateway_checks_for_all_and_calls_nothing_that_is_billed(
    gateways: tuple[Gateway, Gateway], fake_upstream: FakeUpstream
) -> None:
    first, second = gateways
    eventually(lambda: len(fake_upstream.requests("checks-best")) >= 6)
    times = [each["began"] for each in fake_upstream.requests("checks-best")]
    between = median(later - earlier for earlier, later in pairwise(times))
    assert between >= 0.15, "two gateways check no more often than one"
    for gateway in gateways:  # a page without a key asks no provider
        assert gateway.call("GET", "/health", key=None).status == 200
        # The gateway that does not check learns the result from the other one.
        eventually(lambda gateway=gateway: gateway.details()["health"]["checks"] == {"healthy": 1})
    assert set(fake_upstream.state()["counts"]) == {"/up/checks-best"}
    assert UPSTREAM_KEY in fake_upstream.requests("checks-best")[0]["headers"]["authorization"]
    checkers = {target(gateway, "checks-best")["check"]["checkedBy"] for gateway in gateways}
    assert len(checkers) == 1

    fake_upstream.behave("status=503", model="checks-best")
    for gateway in gateways:
        eventually(lambda gateway=gateway: target(gateway, "checks-best")["check"]["status"] == "unhealthy")
        assert target(gateway, "checks-best")["check"]["reason"] == "HTTP 503"
        assert answered(ask(gateway, "checks")) == "checks-other"
    assert fake_upstream.state()["counts"].get("/v1/chat/completions") == 2, "the failing model was not called"
    metrics = first.call("GET", "/metrics").body.decode()
    assert 'centralcloud_gateway_health_checks{provider="alpha",result="unhealthy"} 1.0' in metrics
    assert "centralcloud_gateway_health_exchange_up 1.0" in metrics

    assert ask(second, "checks", "checks-best").status == 502
    assert target(second, "checks-best")["breaker"]["state"] == "open"

    fake_upstream.reset()
    eventually(lambda: target(second, "checks-best")["check"]["status"] == "healthy")
    eventually(lambda: target(second, "checks-best")["breaker"]["state"] == "closed")
    assert set(fake_upstream.state()["counts"]) == {"/up/checks-best"}, "the check closed it, and no call"
    eventually(lambda: answered(ask(second, "checks")) == "checks-best")
