"""Rules: /api/routing/rules."""

from collections.abc import Iterator
from urllib.parse import quote as percent_encoded

from aiohttp import web

from centralcloud.contracts.fleet_configuration import Condition, FleetConfiguration, RoutingRule, parse_rule, to_body
from instance_agent.gateway.api.configuration.entry_api import (
    EntryApi,
    entry_answer,
    own_workspace,
    readable,
)
from instance_agent.gateway.api.configuration.entry_changes import create, not_found, patch
from instance_agent.gateway.api.configuration_writer import fleet_admin, versioned
from instance_agent.gateway.api.requests import BODY, api_handler, json_object


class RulesApi(EntryApi):
    """The handlers of rules."""

    kind = "rule"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        rule = "/api/routing/rules/{id}"
        return [
            web.get("/api/routing/rules", api_handler(self._list)),
            web.post("/api/routing/rules", api_handler(self._create)),
            web.get(rule, api_handler(self._get)),
            web.patch(rule, api_handler(self._patch)),
            web.delete(rule, api_handler(self.delete)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet = readable(request)
        found = [to_body(rule) for rule in _visible(fleet, own_workspace(request))]
        return versioned(fleet.version, {"rules": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet, rule_id = readable(request), self.id_of(request)
        for rule in _visible(fleet, own_workspace(request)):
            if rule.id == rule_id:
                return entry_answer(fleet, rule)
        raise not_found(self.kind, rule_id)

    async def _create(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        rule = parse_rule(await json_object(request), BODY)
        fleet = await self.change(request, rule.id, create(rule))
        location = f"/api/routing/rules/{percent_encoded(rule.id, safe='')}"
        return versioned(fleet.version, to_body(rule), 201, location=location)

    async def _patch(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        rule_id = self.id_of(request)
        wanted = await json_object(request)
        fleet = await self.change(
            request, rule_id, patch(self.kind, rule_id, wanted, lambda body: parse_rule(body, BODY))
        )
        return entry_answer(fleet, next(rule for rule in fleet.rules if rule.id == rule_id))


def _visible(fleet: FleetConfiguration, workspace: str | None) -> Iterator[RoutingRule]:
    """Yield the rules in the order in which they are tried; to a key of a workspace without those that name other ones."""
    for rule in fleet.rules:
        if workspace is None or all(name == workspace for name in _workspaces(rule.condition)):
            yield rule


def _workspaces(condition: Condition) -> Iterator[str]:
    yield from condition.workspace
    for each in condition.any_of:
        yield from _workspaces(each)
    if condition.not_ is not None:
        yield from _workspaces(condition.not_)
