"""The fleet's registry as entries of the catalog."""

from typing import Any

import pytest
from pydantic import ValidationError

from centralcloud.contracts.fleet_configuration import FleetConfiguration, read_configuration
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.model import Model
from instance_agent.catalog.provider import Provider
from instance_agent.catalog.registry import registry_layer, with_registry
from instance_agent.chat.answers import Usage
from instance_agent.execution.cost import cost_of
from instance_agent.execution.targets import CallTargets

MODEL: dict[str, Any] = {
    "id": "gpt",
    "name": "GPT",
    "version": "gpt-2026",
    "provider": "openai",
    "capabilities": [{"type": "vision", "maxTokens": 4096}],
    "parameters": {"temperature": 0.7, "maxTokens": 500, "topP": 0.9},
    "complexityScores": {"simple": 3.0},
}


def a_fleet(*models: dict[str, Any], endpoints: tuple[dict[str, Any], ...] = ()) -> FleetConfiguration:
    bodies: dict[tuple[str, str], dict[str, Any]] = {("model", each["id"]): each for each in models}
    bodies |= {("endpoint", each["id"]): each for each in endpoints}
    return read_configuration(7, bodies)


def an_endpoint(number: int, url: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"ep-{number}", "modelId": "gpt", "url": url, **fields}


def test_a_registered_model_becomes_an_entry() -> None:
    (model,) = registry_layer(a_fleet(MODEL), private=False).models

    assert (model.name, model.provider, model.sent_as, model.display_name) == ("gpt", "openai", "gpt-2026", "GPT")
    assert model.parameters == {"temperature": 0.7, "max_tokens": 500, "top_p": 0.9}
    assert (model.max_output_tokens, model.capabilities) == (4096, {"vision"})
    assert model.complexity_scores == {"simple": 3.0}


def test_an_endpoint_of_another_provider_is_an_entry_of_its_own_that_shares_the_scores() -> None:
    own = an_endpoint(1, "https://a.example/v1/chat/completions", weight=3)
    other = an_endpoint(2, "https://b.example/v1", provider="azure", version="deployed", type="secondary")
    first, second = registry_layer(a_fleet(MODEL, endpoints=(own, other)), private=False).models

    assert (first.provider, first.endpoints[0].url, first.endpoints[0].weight) == ("openai", "https://a.example/v1", 3)
    assert (second.name, second.provider, second.sent_as) == ("gpt", "azure", "deployed")
    assert second.endpoints[0].type == "secondary"


def test_two_versions_of_a_model_at_one_provider_are_both_served() -> None:
    endpoints = (
        an_endpoint(1, "https://a.example/v1"),
        an_endpoint(2, "https://b.example/v1", version="gpt-2027"),
        an_endpoint(3, "https://c.example/v1", provider="azure", version="deployed"),
        an_endpoint(4, "https://d.example/v1", provider="azure"),
    )
    layer = registry_layer(a_fleet(MODEL, endpoints=endpoints), private=False)
    providers = [Provider(provider=name, base_url="https://a.example/v1") for name in ("openai", "azure")]
    configuration = build_configuration(layer.models, providers, keys=KeyReader({}))

    sent = [(target.base_url[8], target.model.sent_as, target.key) for target in configuration.targets_of("gpt")]
    assert sent == [
        ("a", "gpt-2026", "gpt@openai"),
        ("b", "gpt-2027", "gpt@openai#2"),
        ("c", "deployed", "gpt@azure"),
        ("d", "gpt-2026", "gpt@azure#2"),
    ]
    assert [target.sent_as for target in CallTargets(configuration).made()] == [sent_as for _, sent_as, _ in sent]


@pytest.mark.parametrize(("cache_write", "nano"), [({}, 2500), ({"cacheWrite": 4}, 4000), ({"cacheWrite": 0}, 0)])
def test_the_prices_of_cached_tokens_reach_the_cost(cache_write: dict[str, float], nano: int) -> None:
    priced = {**MODEL, "pricing": {"input": 2, "output": 8, "cachedInput": 0.5, **cache_write}}
    layer = registry_layer(a_fleet(priced), private=False)
    provider = Provider(provider="openai", base_url="https://a.example/v1")
    (target,) = CallTargets(build_configuration(layer.models, [provider], keys=KeyReader({}))).made()

    usage = Usage(input_tokens=1000, output_tokens=10, cached_tokens=800, cache_write_tokens=50)
    assert cost_of(usage, target.prices).nano_usd == 150 * 2000 + 800 * 500 + 50 * nano + 10 * 8000


@pytest.mark.parametrize(
    ("url", "fields", "problem"),
    [
        ("https://a.example/v1", {}, None),
        ("https://A.example.:8443/v1", {}, None),
        ("https://listed.example/v1", {}, None),
        ("http://listed.example/v1", {}, None),
        ("https://evil.example/v1", {}, "found the host evil.example"),
        ("https://a.example.evil.example/v1", {}, "found the host a.example.evil.example"),
        ("https://evil.example/v1?a.example", {}, "found the host evil.example"),
        ("HTTP://a.example/v1", {}, "found http at the host a.example"),
        ("https://b.example:8443/v1", {"key_hosts": ["B.example:8443"]}, None),
        ("https://b.example/v1", {"key_hosts": ["b.example:443"]}, None),
        ("https://b.example:8443/v1", {"key_hosts": ["b.example"]}, None),
        ("https://b.example:8444/v1", {"key_hosts": ["b.example:8443"]}, "found the host b.example:8444"),
        ("http://b.example/v1", {"key_hosts": ["b.example:443"]}, "found the host b.example:80"),
        ("https://[2001:4860::8]:8443/v1", {"key_hosts": ["[2001:4860::8]:8443"]}, None),
        ("https://[2001:4860::8]/v1", {"key_hosts": ["[2001:4860::8]:8443"]}, "found the host [2001:4860::8]:443"),
        ("https://evil.example/v1", {"api_key": None}, None),
        ("https://evil.example/v1", {"api_key": None, "headers": {"x-token": "env:K"}}, "found the host evil.example"),
    ],
)
def test_a_registered_host_gets_the_key_of_its_provider_only_where_the_catalog_says_so(
    url: str, fields: dict[str, Any], problem: str | None
) -> None:
    options = {"api_key": "env:K", "key_hosts": ["Listed.example"], **fields}
    provider = Provider(provider="openai", base_url="https://a.example/v1", **options)
    layer = registry_layer(a_fleet(MODEL, endpoints=(an_endpoint(1, url),)), private=False)
    registered = {(each.name, each.provider) for each in layer.models}
    built = [
        build_configuration(layer.models, [provider], keys=KeyReader({"K": "secret"}), registered=each)
        for each in (registered, ())
    ]

    (target,), (of_file,) = (each.targets_of("gpt") for each in built)
    assert (target.problem is None, str(target.problem).startswith(problem or "None")) == (problem is None, True)
    assert of_file.problem is None, "a catalog file is trusted with its keys"
    assert bool(CallTargets(built[0]).made()) == (problem is None)
    if problem is not None:
        assert built[0].problem_of(target.key) == target.problem
        assert "listed.example" not in str(target.reason)


@pytest.mark.parametrize(
    "host",
    [
        "http://a.example",
        "a.example/v1",
        "a.example:0",
        "a.example:65536",
        "a.example:",
        ":443",
        "::1:x",
        "",
        "*",
        "169.254.169.254",
        "169.254.169.254:80",
    ],
)
def test_a_host_of_keys_is_a_name_or_an_address_and_may_have_a_port(host: str) -> None:
    with pytest.raises(ValidationError):
        Provider(provider="p", base_url="https://a.example", key_hosts=(host,))


def test_an_endpoint_without_a_share_gets_no_request() -> None:
    none = an_endpoint(1, "https://a.example/v1", weight=0)
    layer = registry_layer(a_fleet(MODEL, endpoints=(none,)), private=False)

    assert layer.models == ()  # and not the provider's own address instead
    assert layer.problems == {'models["gpt"]': "none of its endpoints gets requests"}


def test_an_endpoint_on_this_machine_needs_the_setting() -> None:
    fleet = a_fleet(MODEL, endpoints=(an_endpoint(1, "http://127.0.0.1:8000/v1"),))
    refused = registry_layer(fleet, private=False)

    assert refused.models == ()
    assert "127.0.0.1, this machine" in refused.problems['endpoints["ep-1"]']
    assert len(registry_layer(fleet, private=True).models) == 1


def test_a_type_that_is_not_routed_is_a_problem_and_the_others_are_used() -> None:
    layer = registry_layer(a_fleet(MODEL, {**MODEL, "id": "draw", "modelType": "image"}), private=False)

    assert [model.name for model in layer.models] == ["gpt"]
    assert list(layer.problems) == ['models["draw"]']


def test_the_registry_comes_before_the_file_for_the_same_name_and_provider() -> None:
    file = [
        Model(name="gpt", provider="openai", version="old", complexity_scores={"simple": 1.0}),
        Model(name="gpt", provider="openrouter", complexity_scores={"simple": 1.0}),
        Model(name="opus", provider="anthropic"),
    ]
    merged = with_registry(file, registry_layer(a_fleet(MODEL), private=False))

    assert [(each.name, each.provider, each.sent_as) for each in merged] == [
        ("gpt", "openrouter", "gpt"),
        ("opus", "anthropic", "opus"),
        ("gpt", "openai", "gpt-2026"),
    ]


def test_an_inactive_model_of_the_registry_gets_no_request() -> None:
    layer = registry_layer(a_fleet({**MODEL, "status": "inactive"}), private=False)
    provider = Provider(provider="openai", base_url="https://a.example/v1")
    configuration = build_configuration(with_registry([], layer), [provider], keys=KeyReader({}), version=7)

    (target,) = configuration.targets_of("gpt")
    assert (target.model.status, configuration.version) == ("inactive", 7)


def test_a_check_of_an_address_on_this_machine_needs_the_setting_and_the_endpoint_stays() -> None:
    url = "https://a.example/v1"
    fleet = a_fleet(MODEL, endpoints=(an_endpoint(1, url, healthCheckUrl="http://127.0.0.1:9/up"),))
    refused = registry_layer(fleet, private=False)

    assert refused.models[0].endpoints[0].health_check_url is None
    assert "127.0.0.1, this machine" in refused.problems['endpoints["ep-1"].healthCheckUrl']
    allowed = registry_layer(fleet, private=True)
    assert allowed.models[0].endpoints[0].health_check_url == "http://127.0.0.1:9/up"
    assert allowed.hosts == {"a.example", "127.0.0.1"}
