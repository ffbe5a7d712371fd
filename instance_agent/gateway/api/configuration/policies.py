"""Policies and the task mapping: /api/routing/policies and /api/routing/tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    Change,
    TaskPolicy,
    parse_policy,
    parse_task_policy,
    put,
    remove,
    to_body,
)
from centralcloud.runtime.configuration.writing import Current, Decide
from instance_agent.gateway.api.configuration.entry_api import EntryApi, entry_answer, readable
from instance_agent.gateway.api.configuration.entry_changes import not_found, patch
from instance_agent.gateway.api.configuration_writer import fleet_admin, versioned
from instance_agent.gateway.api.requests import BODY, api_handler, json_object, only_fields
from instance_agent.gateway.errors import InvalidFieldError


class PoliciesApi(EntryApi):
    """The handlers of policies and of the task mapping."""

    kind = "policy"
    parameter = "name"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        policy = "/api/routing/policies/{name}"
        return [
            web.get("/api/routing/policies", api_handler(self._list)),
            web.post("/api/routing/policies", api_handler(self._set)),
            web.get(policy, api_handler(self._get)),
            web.patch(policy, api_handler(self._patch)),
            web.delete(policy, api_handler(self.delete)),
            web.get("/api/routing/tasks", api_handler(self._list_tasks)),
            web.put("/api/routing/tasks", api_handler(self._set_tasks)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet = readable(request)
        found = [to_body(policy) for _, policy in sorted(fleet.policies.items())]
        return versioned(fleet.version, {"policies": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet, name = readable(request), self.id_of(request)
        if (policy := fleet.policies.get(name)) is None:
            raise not_found(self.kind, name)
        return entry_answer(fleet, policy)

    async def _set(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        return await self.set(request, parse_policy(await json_object(request), BODY), created_status=201)

    async def _patch(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        name = self.id_of(request)
        wanted = await json_object(request)
        decide = patch(self.kind, name, wanted, lambda body: parse_policy(body, BODY), id_field="name")
        fleet = await self.change(request, name, decide)
        return entry_answer(fleet, fleet.policies[name])

    async def _list_tasks(self, request: web.Request) -> web.Response:
        fleet = readable(request)
        return versioned(fleet.version, {"taskMapping": dict(sorted(fleet.task_policies.items()))})

    async def _set_tasks(self, request: web.Request) -> web.Response:
        fleet_admin(request)
        value = await json_object(request)
        only_fields(value, ("taskMapping",))
        mapping = value.get("taskMapping")
        if not isinstance(mapping, dict):
            found = "nothing" if mapping is None else quote(mapping)
            raise InvalidFieldError(
                "taskMapping", f"taskMapping: found {found}, expected an object of policies by task type"
            )
        wanted = [_task(task_type, policy) for task_type, policy in mapping.items()]
        fleet = await self.writer.write(request, _replace_tasks({each.id: each for each in wanted}))
        return versioned(fleet.version, {"taskMapping": dict(sorted(fleet.task_policies.items()))})


def _task(task_type: str, policy: Any) -> TaskPolicy:
    return parse_task_policy({"id": task_type, "policy": policy}, f"{BODY}.taskMapping[{quote(task_type)}]")


def _replace_tasks(wanted: Mapping[str, TaskPolicy]) -> Decide:
    def decide(current: Current) -> Sequence[Change]:
        now = current.configuration.task_policies
        changed = [put(task) for task in wanted.values() if now.get(task.id) != task.policy]
        return [*changed, *(remove("task", task_type) for task_type in sorted(now.keys() - wanted.keys()))]

    return decide
