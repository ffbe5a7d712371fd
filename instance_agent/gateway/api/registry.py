"""The fleet's registry: /api/models with their status, health and endpoints.

Reads are answered from the configuration that this replica uses, also while the database is unavailable. A change is
answered once this replica uses it, so that the next read and the next request see it; other replicas follow within a second.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote as percent_encoded

from aiohttp import web

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    FleetConfiguration,
    parse_endpoint,
    parse_health,
    parse_model,
    to_body,
)
from centralcloud.contracts.fleet_configuration.values import convert
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.text import read_name
from centralcloud.runtime.configuration.writing import Decide, report_health
from centralcloud.runtime.postgres.database import Database
from instance_agent.catalog.configuration import ReadyProvider, Target
from instance_agent.chat.errors import ChatError
from instance_agent.gateway.api.configuration_writer import ConfigurationWriter, fleet_admin, parts_of, until, versioned
from instance_agent.gateway.api.database_work import DatabaseWork
from instance_agent.gateway.api.registry_changes import (
    BatchItem,
    StatusBatch,
    StatusUpdate,
    add_endpoint,
    create_model,
    delete_endpoint,
    delete_model,
    model_not_found,
    refuse_unknown_provider,
    set_status,
    set_statuses,
    still_named,
)
from instance_agent.gateway.api.requests import BODY, api_handler, filters, json_object
from instance_agent.gateway.context import context_of
from instance_agent.gateway.errors import GatewayError, InvalidFieldError
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.target_problem import problem_of

_FILTERS: Final = {"provider": "provider", "status": "status", "modelType": "model_type"}
_STATUSES: Final = ("active", "inactive")
_MOST_UPDATES: Final = 1000

_T = TypeVar("_T")


class RegistryApi:
    """The handlers of /api/models."""

    def __init__(self, work: DatabaseWork, *, private: bool) -> None:
        """Create them; `private`: whether endpoints may be in private networks."""
        self._writer = ConfigurationWriter(work)
        self._policy = PRIVATE_ALLOWED if private else PUBLIC_ONLY

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        model = "/api/models/{id}"
        return [
            web.get("/api/models", api_handler(self._list)),
            web.post("/api/models", api_handler(self._create)),
            web.patch("/api/models/batch/status", api_handler(self._batch_status)),
            web.get(model, api_handler(self._get)),
            web.delete(model, api_handler(self._delete)),
            web.patch(f"{model}/status", api_handler(self._status)),
            web.get(f"{model}/health", api_handler(self._get_health)),
            web.post(f"{model}/health", api_handler(self._post_health)),
            web.get(f"{model}/endpoints", api_handler(self._list_endpoints)),
            web.post(f"{model}/endpoints", api_handler(self._add_endpoint)),
            web.delete(f"{model}/endpoints/{{endpoint}}", api_handler(self._delete_endpoint)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet = _readable(request)
        wanted = filters(request, tuple(_FILTERS))
        for status in wanted.get("status", ()):
            if status not in _STATUSES:
                raise InvalidFieldError("status", f"status: found {quote(status)}, expected {' or '.join(_STATUSES)}")
        found = [
            to_body(model)
            for _, model in sorted(fleet.models.items())
            if all(getattr(model, _FILTERS[name]) in values for name, values in wanted.items())
        ]
        return versioned(fleet.version, {"models": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet = _readable(request)
        return versioned(fleet.version, to_body(_model(request, fleet)))

    async def _create(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        model = parse_model(await json_object(request), BODY)
        refuse_unknown_provider(model, _providers(request))
        version = await self._write(request, create_model(model))
        location = f"/api/models/{percent_encoded(model.id, safe='')}"
        return versioned(version, to_body(model), 201, location=location)

    async def _delete(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        try:
            version = await self._write(request, delete_model(_id(request)))
        except ContractError as error:
            raise still_named(error) from None
        return versioned(version, {"modelId": _id(request), "deleted": True})

    async def _status(self, request: web.Request) -> web.Response:
        fleet_admin(request, "operator")
        model_id = _id(request)
        value = await json_object(request)
        if "modelId" in value:
            raise InvalidFieldError("modelId", "modelId: found a value, expected the id in the path alone")
        update = convert({**value, "modelId": model_id}, StatusUpdate, BODY)
        version = await self._write(request, set_status(model_id, update.status))
        model = parts_of(request).state.fleet.models.get(model_id)
        body = to_body(model) if model is not None else {"id": model_id}
        return versioned(version, {**body, "status": update.status})

    async def _batch_status(self, request: web.Request) -> web.Response:
        fleet_admin(request, "operator")
        value = await json_object(request)
        updates = convert(value, StatusBatch, BODY).updates
        if not 1 <= len(updates) <= _MOST_UPDATES:
            raise InvalidFieldError(
                "updates", f"updates: found {len(updates):,} items, expected 1 to {_MOST_UPDATES:,}"
            )
        report: list[BatchItem] = []
        version = await self._write(request, set_statuses(updates, report))
        return versioned(version, {"results": report, "configVersion": version})

    async def _get_health(self, request: web.Request) -> web.Response:
        fleet = _readable(request)
        return versioned(fleet.version, _health_of(request))

    async def _post_health(self, request: web.Request) -> web.Response:
        fleet_admin(request, "operator")
        model_id = _id(request)
        report, ttl_seconds = parse_health(await json_object(request), BODY)
        parts = parts_of(request)
        before = parts.state.fleet.health.get(model_id)
        await self._run(request, lambda database: report_health(database, model_id, report, ttl_seconds))
        await until(lambda: parts.state.fleet.health.get(model_id) is not before)
        return versioned(parts.state.fleet.version, _health_of(request))

    async def _list_endpoints(self, request: web.Request) -> web.Response:
        fleet = _readable(request)
        model = _model(request, fleet)
        found = [to_body(endpoint) for endpoint in fleet.endpoints.get(model.id, ())]
        return versioned(fleet.version, {"modelId": model.id, "endpoints": found})

    async def _add_endpoint(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        model_id = _id(request)
        endpoint = parse_endpoint(await json_object(request), BODY, model_id=model_id, policy=self._policy)
        if endpoint.model_id != model_id:
            found = f"modelId: found {quote(endpoint.model_id)}, expected {quote(model_id)}, as in the path"
            raise InvalidFieldError("modelId", found)
        version = await self._write(request, add_endpoint(endpoint, _providers(request)))
        return versioned(version, to_body(endpoint), 201)

    async def _delete_endpoint(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        endpoint_id = request.match_info["endpoint"]
        version = await self._write(request, delete_endpoint(_id(request), endpoint_id))
        return versioned(version, {"modelId": _id(request), "endpointId": endpoint_id, "deleted": True})

    async def _write(self, request: web.Request, decide: Decide) -> int:
        """Make a change; return the version of the configuration after it, once this replica uses it."""
        try:
            return (await self._writer.write(request, decide)).version
        except GatewayError as error:
            raise _of_this_catalog(request, error) from None

    async def _run(self, request: web.Request, work: Callable[[Database], _T]) -> _T:
        try:
            return await self._writer.run(work)
        except GatewayError as error:
            raise _of_this_catalog(request, error) from None


def _of_this_catalog(request: web.Request, error: GatewayError) -> GatewayError:
    """Return the error; of a model that only this gateway's catalog has, one that says so."""
    if error.code != "model_not_found" or "id" not in request.match_info:
        return error
    return model_not_found(_id(request), in_catalog=_in_catalog(request))


def _id(request: web.Request) -> str:
    found = str(request.match_info["id"])
    if read_name(found, MAX_NAME_LENGTH) != found:  # nor could the database look for a text with a zero character
        raise model_not_found(found)
    return found


def _readable(request: web.Request) -> FleetConfiguration:
    context_of(request).principal.require("viewer")
    return parts_of(request).state.fleet


def _model(request: web.Request, fleet: FleetConfiguration) -> Any:
    model = fleet.models.get(_id(request))
    if model is None:
        raise model_not_found(_id(request), in_catalog=_in_catalog(request))
    return model


def _providers(request: web.Request) -> Mapping[str, ReadyProvider]:
    configuration = parts_of(request).state.catalog.configuration
    return configuration.providers if configuration is not None else {}


def _in_catalog(request: web.Request) -> bool:
    configuration = parts_of(request).state.catalog.configuration
    return configuration is not None and _id(request) in configuration.targets


def _health_of(request: web.Request) -> dict[str, Any]:
    """Return the posted health of a model while it counts, and what this replica knows of its targets."""
    parts = parts_of(request)
    state, model_id = parts.state, _id(request)
    configuration = state.catalog.configuration
    targets = configuration.targets.get(model_id, ()) if configuration else ()
    if not targets and model_id not in state.fleet.models:
        raise model_not_found(model_id)
    now = time.monotonic()
    posted = state.fleet.health_of(model_id, now)
    report: dict[str, Any] = {"status": "unknown"}
    if posted is not None:
        expires = datetime.now(UTC) + timedelta(seconds=posted.expires_at - now)
        report = {
            **to_body(posted.report),
            "reportedAt": posted.reported_at.isoformat(),
            "expiresAt": expires.isoformat(),
        }
    view = parts.health.view(state.targets, parts.clock())
    in_full = context_of(request).principal.may("operator")
    shown = []
    for target in targets:
        problem = problem_of(target, view, posted, in_full=in_full)
        entry = {"target": target.key, "provider": target.model.provider, "type": target.endpoint.type}
        shown.append(
            {
                **entry,
                "usable": problem is None,
                **({"reason": problem} if problem else {}),
                **_known_of(parts, target),
            }
        )
    return {"modelId": model_id, **report, "targets": shown}


def _known_of(parts: GatewayParts, target: Target) -> dict[str, Any]:
    """Return breaker, hints and newest check of a target; of one that cannot be called at all only the check."""
    known = parts.fleet_health.check_of(target.key, target.model.provider)
    try:
        ready = parts.state.targets.ready(target)
    except ChatError:
        return known
    return {**parts.fleet_health.of_target(ready.breaker_key, ready.service_key), **known}
