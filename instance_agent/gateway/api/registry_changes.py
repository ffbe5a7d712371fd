"""Changes of the fleet's models and endpoints: each decides from the configuration now. Pure."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    AddressPolicy,
    Change,
    RegisteredEndpoint,
    RegisteredModel,
    check_url,
    put,
    references,
    remove,
)
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.contracts.fleet_configuration.model import ModelStatus
from centralcloud.runtime.configuration.writing import Current, Decide
from instance_agent.catalog.catalog_file import built_in_entries
from instance_agent.catalog.configuration import ReadyProvider
from instance_agent.gateway.errors import GatewayError, InvalidFieldError
from instance_agent.providers.presets import PRESETS

_MOST_NAMED: Final = 12


class StatusUpdate(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new status for a model, in a batch."""

    model_id: str
    status: ModelStatus


class StatusBatch(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """New statuses for up to 1,000 models."""

    updates: tuple[StatusUpdate, ...]


class BatchItem(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The report on one item of a batch.

    Attributes:
        result: ``changed``, ``unchanged``, ``not_found``, ``repeated``; or ``valid``: it would have been changed.
    """

    model_id: str
    status: str
    result: str


def create_model(model: RegisteredModel) -> Decide:
    """Return the change that registers a model; 409 for an id that is there."""

    def decide(current: Current) -> Sequence[Change]:
        if model.id in current.configuration.models:
            raise GatewayError(
                f"the model {quote(model.id)} is registered already, expected another id",
                status=409,
                code="model_exists",
            )
        return [put(model)]

    return decide


def refuse_unknown_provider(model: RegisteredModel, providers: Collection[str]) -> None:
    """Raise 422 for a provider that neither this gateway's catalog nor this program knows, with the nearest name.

    A provider that the program knows by name is accepted without a key: another gateway may have it.
    """
    known = sorted({*providers, *PRESETS, *(each.provider for each in built_in_entries().providers)})
    if model.provider not in known:
        near = get_close_matches(model.provider, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        listed = ", ".join(known[:_MOST_NAMED]) + (f" and {len(known) - _MOST_NAMED} more" * (len(known) > _MOST_NAMED))
        found = f"provider: found {quote(model.provider)}{hint}, expected a provider of the catalog: {listed}"
        raise InvalidFieldError("provider", found)


def check_registry(
    changes: Sequence[Change], current: Current, providers: Mapping[str, ReadyProvider], policy: AddressPolicy
) -> None:
    """Check the models and endpoints that are to be written as their own requests do: provider, address, host of the key.

    Args:
        providers: of this catalog, by name.
        policy: the addresses that endpoints may have.

    Raises:
        InvalidFieldError, ContractError: name the path, such as ``endpoints["ep-1"].url``.
    """
    wanted = {change.id: change.entry for change in changes if isinstance(change.entry, RegisteredModel)}
    models: dict[str, RegisteredModel] = {**current.configuration.models, **wanted}
    for change in changes:
        path, entry = entry_path(change.kind, change.id), change.entry
        if isinstance(entry, RegisteredModel):
            try:
                refuse_unknown_provider(entry, providers)
            except InvalidFieldError as error:
                raise InvalidFieldError(f"{path}.provider", f"{path}.{error.message}") from None
        if not isinstance(entry, RegisteredEndpoint):
            continue
        check_url(entry.url, f"{path}.url", policy)
        if entry.health_check_url is not None:
            check_url(entry.health_check_url, f"{path}.healthCheckUrl", policy)
        model = models.get(entry.model_id)
        provider = providers.get(entry.provider or (model.provider if model is not None else ""))
        refusal = None if provider is None else provider.refusal_of(entry.url)
        if refusal is not None:
            raise InvalidFieldError(f"{path}.url", f"{path}.url: {refusal}")


def delete_model(model_id: str) -> Decide:
    """Return the change that removes a model with its endpoints."""

    def decide(current: Current) -> Sequence[Change]:
        known_model(current, model_id)
        endpoints = current.configuration.endpoints.get(model_id, ())
        return [*(remove("endpoint", each.id) for each in endpoints), remove("model", model_id)]

    return decide


def set_status(model_id: str, status: ModelStatus) -> Decide:
    """Return the change of a model's status."""

    def decide(current: Current) -> Sequence[Change]:
        model = known_model(current, model_id)
        return [] if model.status == status else [put(replace(model, status=status))]

    return decide


def set_statuses(updates: Sequence[StatusUpdate], report: list[BatchItem]) -> Decide:
    """Return the change of all models of a batch, or none of them: 422 for an unknown model, or one that is there twice.

    Args:
        report: is filled with an item for each update.
    """

    def decide(current: Current) -> Sequence[Change]:
        models, changes, seen = current.configuration.models, [], set()
        results: list[str] = []
        for update in updates:
            model = models.get(update.model_id)
            if model is None:
                results.append("not_found")
            elif update.model_id in seen:
                results.append("repeated")
            elif model.status == update.status:
                results.append("unchanged")
            else:
                results.append("changed")
                changes.append(put(replace(model, status=update.status)))
            seen.add(update.model_id)
        wrong = next((number for number, each in enumerate(results) if each in ("not_found", "repeated")), None)
        if wrong is not None:
            results = ["valid" if each in ("changed", "unchanged") else each for each in results]
        report[:] = [
            BatchItem(model_id=update.model_id, status=update.status, result=result)
            for update, result in zip(updates, results, strict=True)
        ]
        if wrong is not None:
            field = f"updates[{wrong}].modelId"
            expected = "a registered model" if results[wrong] == "not_found" else "each model once"
            raise InvalidFieldError(
                field,
                f"{field}: found {quote(updates[wrong].model_id)}, expected {expected}; nothing was changed",
                {"results": list(report)},
            )
        return changes

    return decide


def add_endpoint(endpoint: RegisteredEndpoint, providers: Mapping[str, ReadyProvider]) -> Decide:
    """Return the change that adds an endpoint to a registered model; 409 for one that is there.

    Args:
        providers: of this gateway's catalog, by name. 422 for a host that gets no key of its provider: no request would ever
            be sent to the endpoint.
    """

    def decide(current: Current) -> Sequence[Change]:
        model = known_model(current, endpoint.model_id)
        provider = providers.get(endpoint.provider or model.provider)
        refusal = None if provider is None else provider.refusal_of(endpoint.url)
        if refusal is not None:
            raise InvalidFieldError("url", f"url: {refusal}")
        if ("endpoint", endpoint.id) in current.bodies:
            raise GatewayError(
                f"the endpoint {quote(endpoint.id)} is registered already, expected another URL or id",
                status=409,
                code="endpoint_exists",
            )
        return [put(endpoint)]

    return decide


def delete_endpoint(model_id: str, endpoint_id: str) -> Decide:
    """Return the change that removes an endpoint of a model."""

    def decide(current: Current) -> Sequence[Change]:
        known_model(current, model_id)
        if not any(each.id == endpoint_id for each in current.configuration.endpoints.get(model_id, ())):
            raise GatewayError(
                f"found no endpoint {quote(endpoint_id)} of this model, expected one of its list",
                status=404,
                code="endpoint_not_found",
            )
        return [remove("endpoint", endpoint_id)]

    return decide


def known_model(current: Current, model_id: str) -> RegisteredModel:
    """Return a registered model; raise 404 for another one."""
    model = current.configuration.models.get(model_id)
    if model is None:
        raise model_not_found(model_id)
    return model


def still_named(error: ContractError) -> GatewayError:
    """Return 409 for the removal of an entry that another one names."""
    return GatewayError(references.still_named(error), status=409, code="in_use")


def model_not_found(model_id: str, *, in_catalog: bool = False) -> GatewayError:
    """Return 404; `in_catalog`: this gateway knows the model from its catalog file or from a provider."""
    where = (
        "it is in the catalog of this gateway, not in the fleet's registry: change it in the catalog file, or register it"
        if in_catalog
        else "expected an id of GET /api/models, with / as %2F in a path"
    )
    return GatewayError(f"found no registered model {quote(model_id)}; {where}", status=404, code="model_not_found")
