"""The fleet's registry as entries of the catalog."""

from typing import Any

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


def test_the_price_of_cached_tokens_reaches_the_cost() -> None:
    priced = {**MODEL, "pricing": {"input": 2, "output": 8, "cachedInput": 0.5}}
    layer = registry_layer(a_fleet(priced), private=False)
    provider = Provider(provider="openai", base_url="https://a.example/v1")
    (target,) = CallTargets(build_configuration(layer.models, [provider], keys=KeyReader({}))).made()

    cost = cost_of(Usage(input_tokens=1000, output_tokens=10, cached_tokens=800), target.prices)
    assert cost.nano_usd == 200 * 2000 + 800 * 500 + 10 * 8000


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
