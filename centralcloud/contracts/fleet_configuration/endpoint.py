"""An endpoint of a model: a URL under which it is served."""

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from centralcloud.contracts.fleet_configuration.addresses import PUBLIC_ONLY, AddressPolicy, check_url
from centralcloud.contracts.fleet_configuration.values import (
    Entry,
    Label,
    Name,
    check_name,
    check_size,
    convert,
    plain,
)

EndpointType = Literal["primary", "secondary", "fallback"]
Weight = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class RegisteredEndpoint(Entry, frozen=True):
    """A URL under which a model is served. The endpoints of a model share its scores.

    Attributes:
        id: derived from the model and the URL, so that the same endpoint is not registered twice.
        model_id: of the model.
        url: https or http.
        type: endpoints of the next type are used when those before fail.
        weight: share of the requests among endpoints of the same type; 0: none.
        health_check_url: a URL that costs nothing, such as the list of models; None: none.
        provider: the provider whose dialect and key are used; None: that of the model.
        version: the name that this provider is sent; None: that of the model.
    """

    id: Label
    model_id: Name
    url: str
    type: EndpointType = "primary"
    weight: Weight = 1.0
    health_check_url: str | None = None
    provider: Name | None = None
    version: Name | None = None


def endpoint_id(model_id: str, url: str) -> str:
    """Return the id of an endpoint: ``ep-`` and 16 hexadecimal digits."""
    text = "\n".join((model_id, url))
    return f"ep-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"


def parse_endpoint(
    value: Any, field: str = "endpoint", *, model_id: str | None = None, policy: AddressPolicy = PUBLIC_ONLY
) -> RegisteredEndpoint:
    """Parse the JSON form of an endpoint.

    Args:
        field: begins the path of a field in an error.
        model_id: of the model, for JSON that does not name it.
        policy: the addresses that are allowed.

    Raises:
        ContractError: a field is invalid, unknown or missing, or a URL leads to an address that is refused.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "modelId", "url", "healthCheckUrl", "provider", "version")
        if model_id is not None:
            value.setdefault("modelId", model_id)
        if isinstance(value.get("modelId"), str) and isinstance(value.get("url"), str):
            value.setdefault("id", endpoint_id(value["modelId"], value["url"]))
    endpoint = convert(value, RegisteredEndpoint, field)
    check_name(endpoint.id, f"{field}.id")
    check_name(endpoint.model_id, f"{field}.modelId")
    for name in ("provider", "version"):
        if (text := getattr(endpoint, name)) is not None:
            check_name(text, f"{field}.{name}")
    check_url(endpoint.url, f"{field}.url", policy)
    if endpoint.health_check_url is not None:
        check_url(endpoint.health_check_url, f"{field}.healthCheckUrl", policy)
    check_size(endpoint, field)
    return endpoint
