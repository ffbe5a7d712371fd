"""The configuration as one document: GET /api/config/export and POST /api/config/import."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web
from msgspec import to_builtins

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    Change,
    EntryKey,
)
from centralcloud.runtime.configuration.difference import EntryDifference, difference_of
from centralcloud.runtime.configuration.document import (
    ROOT,
    bodies_of,
    changes_to,
    read_document,
    to_document,
    to_text,
)
from centralcloud.runtime.configuration.writing import Current, Decide
from instance_agent.gateway.api.configuration.entry_api import readable
from instance_agent.gateway.api.configuration_writer import ConfigurationWriter, fleet_admin, parts_of, versioned
from instance_agent.gateway.api.registry_changes import check_registry
from instance_agent.gateway.api.requests import api_handler, json_object, only_fields
from instance_agent.gateway.errors import InvalidFieldError


class TransferApi:
    """The handlers of export and import."""

    def __init__(self, writer: ConfigurationWriter, *, private: bool) -> None:
        """Create them; `private`: whether endpoints that are imported may be in private networks."""
        self._writer = writer
        self._policy = PRIVATE_ALLOWED if private else PUBLIC_ONLY

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/config/export", api_handler(self._export)),
            web.post("/api/config/import", api_handler(self._import)),
        ]

    async def _export(self, request: web.Request) -> web.Response:
        fleet_admin(request, "operator")
        fleet = readable(request)
        text = await asyncio.to_thread(lambda: to_text(to_document(bodies_of(fleet))))
        headers = {"content-type": "application/json", "x-centralcloud-config-version": str(fleet.version)}
        return web.Response(body=text, headers=headers)

    async def _import(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        value = await json_object(request)
        only_fields(value, (ROOT, "replace", "dryRun"))
        replace, dry_run = (_yes_no(value, name) for name in ("replace", "dryRun"))
        document = {ROOT: value[ROOT]} if ROOT in value else {}
        wanted = await asyncio.to_thread(read_document, document)
        made: list[EntryDifference] = []
        fleet = await self._writer.write(
            request, self._import_entries(request, wanted, made, replace=replace), dry_run=dry_run
        )
        changes = [{name: each[name] for name in ("kind", "id", "change")} for each in to_builtins(made)]
        return versioned(fleet.version, {"configVersion": fleet.version, "dryRun": dry_run, "changes": changes})

    def _import_entries(
        self,
        request: web.Request,
        wanted: Mapping[EntryKey, msgspec.Struct],
        made: list[EntryDifference],
        *,
        replace: bool,
    ) -> Decide:
        catalog = parts_of(request).state.catalog.configuration
        providers = {} if catalog is None else catalog.providers

        def decide(current: Current) -> Sequence[Change]:
            changes = changes_to(current.bodies, wanted, replace=replace)
            check_registry(changes, current, providers, self._policy)
            made[:] = difference_of(current.bodies, changes)
            return changes

        return decide


def _yes_no(value: Mapping[str, object], name: str) -> bool:
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise InvalidFieldError(name, f"{name}: found {quote(found)}, expected true or false")
    return found
