"""Agents: /api/agents/{agentType}/preferences and /api/agents/{agentType}/models."""

import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import AgentPreferences, parse_agent
from instance_agent.catalog.configuration import CatalogConfiguration, Target
from instance_agent.gateway.api.configuration.entry_api import EntryApi, entry_answer, readable
from instance_agent.gateway.api.configuration.entry_changes import not_found
from instance_agent.gateway.api.configuration_writer import fleet_admin, parts_of, versioned
from instance_agent.gateway.api.requests import BODY, api_handler, json_object
from instance_agent.gateway.context import context_of
from instance_agent.gateway.errors import InvalidFieldError
from instance_agent.gateway.target_problem import problem_of
from instance_agent.routing.constraints import capabilities_of


class AgentsApi(EntryApi):
    """The handlers of agents."""

    kind = "agent"
    parameter = "agentType"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        preferences = "/api/agents/{agentType}/preferences"
        return [
            web.get(preferences, api_handler(self._get)),
            web.post(preferences, api_handler(self._set)),
            web.delete(preferences, api_handler(self.delete)),
            web.get("/api/agents/{agentType}/models", api_handler(self._models)),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        fleet, agent_type = readable(request), self.id_of(request)
        if (agent := fleet.agents.get(agent_type)) is None:
            raise not_found(self.kind, agent_type)
        return entry_answer(fleet, agent)

    async def _set(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        agent_type = self.id_of(request)
        agent = parse_agent(await json_object(request), BODY, agent_type=agent_type)
        if agent.id != agent_type:
            raise InvalidFieldError("id", f"id: found {quote(agent.id)}, expected {quote(agent_type)}, as in the path")
        return await self.set(request, agent)

    async def _models(self, request: web.Request) -> web.Response:
        fleet, agent_type = readable(request), self.id_of(request)
        catalog = parts_of(request).state.catalog.configuration
        agent = fleet.agents.get(agent_type)
        shown = [] if catalog is None else [_shown(request, catalog, *each, agent) for each in _names(catalog, agent)]
        return versioned(fleet.version, {"agentType": agent_type, "models": shown, "count": len(shown)})


def _names(catalog: CatalogConfiguration, agent: AgentPreferences | None) -> Iterator[tuple[str, str]]:
    """Yield names of models with the list that they are of; without preferences every active model that answers chats."""
    if agent is not None and (agent.preferred_models or agent.fallback_models):
        for name in agent.preferred_models:
            yield name, "preferred"
        for name in agent.fallback_models:
            yield name, "fallback"
        return
    for name, targets in sorted(catalog.targets.items()):
        if any(each.model.model_type == "chat" and each.model.status == "active" for each in targets):
            yield name, "any"


def _shown(
    request: web.Request, catalog: CatalogConfiguration, name: str, preference: str, agent: AgentPreferences | None
) -> dict[str, Any]:
    """Return a model with its state: usable when one of its targets is, else with the problem of the first one."""
    parts = parts_of(request)
    final, alias = catalog.resolve(name)
    targets = catalog.targets_of(final)
    shown: dict[str, Any] = {"modelId": name, "preference": preference}
    if alias is not None:
        shown["resolvedTo"] = final
    if not targets:
        return {**shown, "usable": False, "reason": "the catalog of this gateway does not have it"}
    view = parts.health.view(parts.state.targets, parts.clock())
    posted = parts.state.fleet.health_of(final, time.monotonic())
    in_full = context_of(request).principal.may("operator")
    problems = [problem_of(target, view, posted, in_full=in_full) for target in targets]
    first = problems.index(None) if None in problems else 0
    shown |= {"provider": targets[first].model.provider, "status": targets[first].model.status}
    shown["usable"] = problems[first] is None
    if problems[first] is not None:
        shown["reason"] = problems[first]
    if missing := _missing(targets[first], agent):
        shown["missingCapabilities"] = missing
    return shown


def _missing(target: Target, agent: AgentPreferences | None) -> list[str]:
    wanted = () if agent is None else agent.required_capabilities
    has = capabilities_of(target)
    return [each for each in wanted if each not in has]
