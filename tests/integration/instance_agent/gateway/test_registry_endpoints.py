"""Endpoints of registered models over HTTP: their shares, and the addresses that are refused."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
from support.gateways import ENDPOINT, Gateway, a_key, registered, start_gateway
from support.programs import Program
from support.registry import write
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, parse_endpoint, put
from centralcloud.runtime.postgres.database import Database


async def statuses(gateway: Gateway, model: str, requests: int) -> set[int]:
    """Send requests to a model over connections that are kept, eight at a time; return the statuses of the answers."""
    url, headers = f"{gateway.openai_url}/chat/completions", {"authorization": f"Bearer {gateway.key}"}
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    left = iter(range(requests))
    seen = set()

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, json=body, headers=headers) as answer:
                seen.add(answer.status)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(8)))
    return seen


def test_weights_of_endpoints_are_the_shares_of_requests(admin: Gateway, fake_upstream: FakeUpstream) -> None:
    with a_fake_upstream() as second:
        registered(admin, "weighted")
        for upstream, weight in ((fake_upstream, 3), (second, 1)):
            body = {"url": f"{upstream.openai_url}/chat/completions", "weight": weight}
            assert admin.call("POST", "/api/models/weighted/endpoints", body).status == 201
        assert asyncio.run(statuses(admin, "weighted", 2000)) == {200}
        assert 0.72 <= fake_upstream.state()["total"] / 2000 <= 0.78


REFUSED_URLS = [
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/v1",
    "http://metadata.google.internal/v1",
    "http://0xa9fea9fe/v1",
    "http://[::ffff:169.254.169.254]/v1",
    "file:///etc/passwd",
]


def test_endpoints_at_metadata_services_and_link_local_addresses_are_refused(admin: Gateway) -> None:
    registered(admin, "best")
    for url in REFUSED_URLS:
        for field, body in (("url", {"url": url}), ("healthCheckUrl", {**ENDPOINT, "healthCheckUrl": url})):
            refused = admin.call("POST", "/api/models/best/endpoints", body)
            assert (refused.status, refused.error["field"]) == (422, field), url
    assert admin.call("GET", "/api/models/best/endpoints").json()["endpoints"] == []


def test_an_endpoint_at_a_host_that_gets_no_key_of_the_provider_is_refused(admin: Gateway, database_url: str) -> None:
    registered(admin, "best")
    refused = admin.call("POST", "/api/models/best/endpoints", {"url": "https://evil.example/v1"})

    assert (refused.status, refused.error["field"]) == (422, "url")
    assert "expected 127.0.0.1, a.example, api.openai.com" in refused.error["message"]
    # Another replica, whose catalog lists the host, may have registered it.
    with Database(database_url, application_name="tests") as database:
        write(database, put(parse_endpoint({"url": "http://localhost:9/v1"}, model_id="best", policy=PRIVATE_ALLOWED)))
    viewer = a_key(database_url, "viewer")

    def reason(key: str | None) -> str:
        (target,) = admin.call("GET", "/api/models/best/health", key=key).json()["targets"]
        return str(target.get("reason"))

    eventually(lambda: "found the host localhost" in reason(admin.key), what="the endpoint")
    eventually(lambda: admin.call("GET", "/v1/models", key=viewer).status == 200, what="the new key")
    assert reason(viewer) == "its endpoint is at a host that gets no key of its provider"
    assert admin.chat("best").status == 503
    assert admin.chat().headers["x-centralcloud-model"] == "gpt"


def test_endpoints_are_added_once_and_removed(admin: Gateway) -> None:
    registered(admin, "best")
    path = "/api/models/best/endpoints"
    added = admin.call("POST", path, ENDPOINT)

    assert (added.status, added.json()) == (201, {**added.json(), **ENDPOINT, "modelId": "best"})
    assert admin.call("POST", path, ENDPOINT).error["code"] == "endpoint_exists"
    assert admin.call("POST", path, {**ENDPOINT, "modelId": "other"}).error["field"] == "modelId"
    assert admin.call("DELETE", f"{path}/{added.json()['id']}").status == 200
    assert admin.call("GET", path).json() == {"modelId": "best", "endpoints": []}
    assert admin.call("DELETE", "/api/models/best").status == 200
    assert admin.call("GET", "/api/models/best").status == 404


def test_private_endpoints_are_refused_unless_allowed(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "admin"))
    registered(gateway, "best")
    refused = gateway.call("POST", "/api/models/best/endpoints", {"url": "http://127.0.0.1:9/v1"})
    assert (refused.status, refused.error["field"]) == (422, "url")
