"""Workspaces: /api/workspaces/{workspaceId}/config."""

from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import parse_workspace, to_body
from instance_agent.gateway.api.configuration.entry_api import (
    EntryApi,
    entry_answer,
    own_workspace,
    readable,
)
from instance_agent.gateway.api.configuration.entry_changes import not_found
from instance_agent.gateway.api.configuration_writer import fleet_admin, versioned
from instance_agent.gateway.api.requests import BODY, api_handler, json_object
from instance_agent.gateway.errors import InvalidFieldError


class WorkspacesApi(EntryApi):
    """The handlers of workspaces."""

    kind = "workspace"
    parameter = "workspaceId"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        config = "/api/workspaces/{workspaceId}/config"
        return [
            web.get("/api/workspaces", api_handler(self._list)),
            web.get(config, api_handler(self._get)),
            web.post(config, api_handler(self._set)),
            web.delete(config, api_handler(self.delete)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet, own = readable(request), own_workspace(request)
        found = [to_body(each) for _, each in sorted(fleet.workspaces.items()) if own in (None, each.id)]
        return versioned(fleet.version, {"workspaces": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet, workspace = readable(request), self.id_of(request)
        found = fleet.workspaces.get(workspace)
        if found is None or own_workspace(request) not in (None, workspace):
            raise not_found(self.kind, workspace)
        return entry_answer(fleet, found)

    async def _set(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        name = self.id_of(request)
        workspace = parse_workspace(await json_object(request), BODY, workspace=name)
        if workspace.id != name:
            raise InvalidFieldError("id", f"id: found {quote(workspace.id)}, expected {quote(name)}, as in the path")
        return await self.set(request, workspace)
