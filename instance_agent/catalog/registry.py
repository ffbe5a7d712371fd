"""The fleet's registry as entries of the catalog. Pure.

The registry comes before the catalog file: a registered model replaces the file's entry of the same name and provider.
Entries of the same name at other providers stay; they share the learned scores. Providers, with their keys, are in the
file alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from pydantic import ValidationError

from centralcloud.contracts.fleet_configuration import (
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    FleetConfiguration,
    RegisteredEndpoint,
    RegisteredModel,
    refusal_of_host,
)
from centralcloud.contracts.fleet_configuration import Pricing as RegisteredPricing
from instance_agent.catalog.addresses import base_of, host_of
from instance_agent.catalog.model import Endpoint, Model, Pricing

#: Types of models that requests are routed to.
_TYPES: Final = ("chat", "completion", "embedding")
_UPPER: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


class RegistryLayer(Struct, frozen=True):
    """The entries of the registry.

    Attributes:
        models: for the catalog.
        hosts: of their endpoints, and of the addresses of their health checks.
        problems: why an entry is not used, by its path; the others are.
    """

    models: tuple[Model, ...]
    hosts: frozenset[str]
    problems: Mapping[str, str]


def registry_layer(fleet: FleetConfiguration, *, private: bool) -> RegistryLayer:
    """Return the registry of a configuration as entries of the catalog.

    Args:
        private: whether endpoints may be in private networks or on this machine.
    """
    models: list[Model] = []
    hosts: set[str] = set()
    problems: dict[str, str] = {}
    for model in fleet.models.values():
        path = f'models["{model.id}"]'
        if model.model_type not in _TYPES:
            problems[path] = f"its type is {model.model_type}, requests are routed to {', '.join(_TYPES)}"
            continue
        usable = []
        for endpoint in fleet.endpoints.get(model.id, ()):
            host = host_of(endpoint.url)
            policy = PRIVATE_ALLOWED if private else PUBLIC_ONLY
            refusal = refusal_of_host(host, policy)
            if refusal is not None:
                problems[f'endpoints["{endpoint.id}"]'] = f"its host is {host}, {refusal}"
            elif endpoint.weight > 0:
                checked = host if endpoint.health_check_url is None else host_of(endpoint.health_check_url)
                refusal = refusal_of_host(checked, policy)
                if refusal is not None:
                    path_of_check = f'endpoints["{endpoint.id}"].healthCheckUrl'
                    problems[path_of_check] = f"it is not checked: its host is {checked}, {refusal}"
                    endpoint = replace(endpoint, health_check_url=None)
                else:
                    hosts.add(checked)
                usable.append(endpoint)
        if fleet.endpoints.get(model.id) and not usable:
            problems[path] = "none of its endpoints gets requests"
            continue
        try:
            models += _entries(model, usable)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            problems[path] = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            continue
        hosts |= {host_of(endpoint.url) for endpoint in usable}
    return RegistryLayer(tuple(models), frozenset(hosts), problems)


def with_registry(models: Sequence[Model], layer: RegistryLayer) -> tuple[Model, ...]:
    """Return the models of a catalog with those of the registry, which replace entries of the same name and provider."""
    registered = {(model.name, model.provider) for model in layer.models}
    return (*(each for each in models if (each.name, each.provider) not in registered), *layer.models)


def _entries(model: RegisteredModel, endpoints: Sequence[RegisteredEndpoint]) -> list[Model]:
    """Return an entry for each provider that serves the model. Endpoints of another version keep it."""
    groups: dict[str, list[RegisteredEndpoint]] = {}
    if not endpoints:
        groups[model.provider] = []
    for endpoint in endpoints:
        groups.setdefault(endpoint.provider or model.provider, []).append(endpoint)
    return [_entry(model, provider, group) for provider, group in groups.items()]


def _entry(model: RegisteredModel, provider: str, endpoints: Sequence[RegisteredEndpoint]) -> Model:
    scores = model.complexity_scores
    limits = [capability.max_tokens for capability in model.capabilities if capability.max_tokens is not None]
    given = {name: getattr(scores, name) for name in ("simple", "medium", "complex")}
    version = (endpoints[0].version if endpoints else None) or model.version
    return Model(
        name=model.id,
        provider=provider,
        version=version,
        display_name=model.name,
        status=model.status,
        model_type=model.model_type,
        tags=frozenset(tag[:100] for tag in model.tags),
        parameters={_field(name): value for name, value in model.parameters.items()},
        endpoints=tuple(_endpoint(each, model, version) for each in endpoints),
        capabilities=frozenset(capability.type for capability in model.capabilities),
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens or max(limits, default=None),
        pricing=None if model.pricing is None else _pricing(model.pricing),
        complexity_scores={name: score for name, score in given.items() if score is not None},
    )


def _endpoint(endpoint: RegisteredEndpoint, model: RegisteredModel, version: str) -> Endpoint:
    own = endpoint.version or model.version
    return Endpoint(
        url=base_of(endpoint.url),
        type=endpoint.type,
        weight=endpoint.weight,
        health_check_url=endpoint.health_check_url,
        version=None if own == version else own,
    )


def _pricing(prices: RegisteredPricing) -> Pricing:
    return Pricing(
        input=prices.input, output=prices.output, cached_input=prices.cached_input, cache_write=prices.cache_write
    )


def _field(name: str) -> Any:
    """Return the name of a parameter in a request: `maxTokens` is sent as `max_tokens`."""
    return _UPPER.sub(r"_\1", name).lower()
