"""Endpoints in their wire form, and the addresses that they may not have."""

from ipaddress import ip_address
from typing import Any

import pytest

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    parse_endpoint,
    refusal_of,
    to_body,
)

SEED: dict[str, Any] = {
    "url": "https://api.openai.com/v1/chat/completions",
    "type": "primary",
    "weight": 1.0,
    "healthCheckUrl": "https://api.openai.com/v1/models",
}


def test_the_example_of_the_specification_is_read() -> None:
    endpoint = parse_endpoint(SEED, model_id="gpt-4")
    assert to_body(endpoint) == {**SEED, "id": endpoint.id, "modelId": "gpt-4"}
    assert parse_endpoint(to_body(endpoint)) == endpoint


def test_the_id_is_the_same_for_the_same_model_and_url_only() -> None:
    first = parse_endpoint(SEED, model_id="gpt-4")
    assert first.id.startswith("ep-")
    assert parse_endpoint({**SEED, "weight": 3}, model_id="gpt-4").id == first.id
    assert parse_endpoint(SEED, model_id="gpt-5").id != first.id
    assert parse_endpoint({**SEED, "url": f"{SEED['url']}?v=1"}, model_id="gpt-4").id != first.id


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.1.1", "[fe80::1]", "[fe80::1%25eth0]", "[fd00:ec2::254]", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "metadata.google.internal", "METADATA.google.internal.", "metadata",
        "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::1]",
        "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376", "169.254.43518", "0.0.0.0", "[::]",
        "224.0.0.1", "255.255.255.255", "[ff02::1]", "0", "240.0.0.1", "\u2460\u2461\u2466.0.0.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["url", "healthCheckUrl"])
def test_metadata_and_link_local_addresses_are_refused_whatever_is_allowed(host: str, field: str) -> None:
    for policy in (PUBLIC_ONLY, PRIVATE_ALLOWED):
        with pytest.raises(ContractError) as refused:
            parse_endpoint({**SEED, field: f"http://{host}/v1"}, model_id="m", policy=policy)
        assert refused.value.field == f"endpoint.{field}"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "api.localhost", "[::1]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "[fd12::1]", "[::ffff:127.0.0.1]", "localhost.",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_unless_they_are_allowed(host: str) -> None:
    value = {"url": f"http://{host}:1234/v1", "modelId": "m"}
    with pytest.raises(ContractError, match=r"^endpoint\.url: found .*PRIVATE_ENDPOINTS=true, expected another host$"):
        parse_endpoint(value)
    assert parse_endpoint(value, policy=PRIVATE_ALLOWED).url == value["url"]


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "[2606:4700::1111]", "vllm.internal", "model_server"])
def test_public_addresses_and_names_are_accepted(host: str) -> None:
    assert parse_endpoint({"url": f"https://{host}/v1", "modelId": "m"}).weight == 1.0


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"url": "ftp://host/"}, 'endpoint.url: found "ftp://host/", expected a URL that begins with http'),
        ({"url": "https://"}, 'endpoint.url: found "https://", expected a URL that begins with http'),
        ({"url": "https://user:secret@host/"}, "endpoint.url: found a URL with credentials, expected a URL without"),
        ({"url": "https://host/#x"}, 'endpoint.url: found "https://host/#x", expected a URL without a fragment'),
        ({"url": "https://ho st/"}, 'endpoint.url: found "https://ho st/", expected an ASCII URL'),
        ({"url": "https://host:99999/"}, 'endpoint.url: found "https://host:99999/", expected a URL like'),
        ({"url": "https://host\\@169.254.169.254/"}, "endpoint.url: found "),
        ({"url": "https://[::1"}, "endpoint.url: found "),
        ({"url": ""}, 'endpoint.url: found "", expected an ASCII URL'),
        ({"weight": -1}, "endpoint.weight: found -1, expected a number >= 0"),
        ({"weight": "3"}, 'endpoint.weight: found "3", expected a number'),
        ({"type": "third"}, 'endpoint.type: found "third", expected'),
        ({"region": "eu"}, 'endpoint.region: found "eu", expected one of the fields id, modelId, url'),
        ({"modelId": ""}, 'endpoint.modelId: found "", expected a string of at least 1 character'),
    ],
)  # fmt: skip
def test_an_invalid_field_is_named_with_its_path(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_endpoint({**SEED, **changed}, model_id="m")
    assert str(refused.value).startswith(line)
    assert "secret" not in str(refused.value)


def test_an_address_that_a_name_resolves_to_is_checked_in_the_same_way() -> None:
    assert refusal_of(ip_address("169.254.169.254"), PRIVATE_ALLOWED) is not None
    assert refusal_of(ip_address("127.0.0.1"), PUBLIC_ONLY) is not None
    assert refusal_of(ip_address("127.0.0.1"), PRIVATE_ALLOWED) is None
    assert refusal_of(ip_address("1.1.1.1"), PUBLIC_ONLY) is None
