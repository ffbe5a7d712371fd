"""Budgets: /api/budgets. The limits of workspaces are budgets, too, and are changed with their workspace."""

from typing import Any

from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Budget, FleetConfiguration, parse_budget, to_body
from instance_agent.gateway.api.configuration.entry_api import EntryApi, own_workspace, readable
from instance_agent.gateway.api.configuration.entry_changes import not_found
from instance_agent.gateway.api.configuration_writer import fleet_admin, parts_of, versioned
from instance_agent.gateway.api.requests import BODY, api_handler, json_object
from instance_agent.gateway.errors import GatewayError


class BudgetsApi(EntryApi):
    """The handlers of budgets."""

    kind = "budget"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        budget = "/api/budgets/{id}"
        return [
            web.get("/api/budgets", api_handler(self._list)),
            web.post("/api/budgets", api_handler(self._set)),
            web.get(budget, api_handler(self._get)),
            web.delete(budget, api_handler(self._delete)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet = readable(request)
        found = [_shown(fleet, each) for _, each in sorted(fleet.budgets.items()) if _visible(request, fleet, each)]
        return versioned(fleet.version, {"budgets": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet, budget_id = readable(request), self.id_of(request)
        budget = fleet.budgets.get(budget_id)
        if budget is None or not _visible(request, fleet, budget):
            raise not_found(self.kind, budget_id)
        return versioned(fleet.version, _shown(fleet, budget))

    async def _set(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        return await self.set(request, parse_budget(await json_object(request), BODY), created_status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        budget_id, fleet = self.id_of(request), parts_of(request).state.fleet
        workspace = None if budget_id not in fleet.budgets else _workspace_of(fleet, fleet.budgets[budget_id])
        if workspace is not None:
            raise GatewayError(
                f"the budget {quote(budget_id)} is a limit of the workspace {quote(workspace)}, expected a change of its "
                "budgetLimits",
                status=409,
                code="budget_of_workspace",
            )
        return await self.delete(request)


def _workspace_of(fleet: FleetConfiguration, budget: Budget) -> str | None:
    """Return the workspace whose configuration has the budget as a limit; None: it is an entry of its own."""
    workspace = fleet.workspaces.get(budget.of or "") if budget.scope == "workspace" else None
    return None if workspace is None or budget.id not in {each.id for each in workspace.budgets()} else workspace.id


def _shown(fleet: FleetConfiguration, budget: Budget) -> dict[str, Any]:
    workspace = _workspace_of(fleet, budget)
    return {**to_body(budget), **({} if workspace is None else {"ofWorkspaceConfig": True})}


def _visible(request: web.Request, fleet: FleetConfiguration, budget: Budget) -> bool:
    """Whether a key of a workspace sees the budget: its own, those of its keys, and those that are for every request."""
    return budget.scope in ("fleet", "policy", "exploration") or is_of_workspace(fleet, budget, own_workspace(request))


def is_of_workspace(fleet: FleetConfiguration, budget: Budget, own: str | None) -> bool:
    """Whether a budget is for a workspace, or for one of its keys; None: for any."""
    if own is None:
        return True
    if budget.scope == "key":
        key = fleet.keys.get(budget.of or "")
        return key is not None and key.workspace == own
    return budget.scope == "workspace" and budget.of == own
