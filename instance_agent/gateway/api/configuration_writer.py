"""Changes of the fleet's configuration by requests: who may make them, and the answer once this replica uses them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from aiohttp import web

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import FleetConfiguration, Role
from centralcloud.runtime.configuration.writing import Author, Decide, change_configuration
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.api.database_work import DatabaseWork
from instance_agent.gateway.api.requests import json_answer
from instance_agent.gateway.context import context_of
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.parts import KEY, GatewayParts

#: How long the answer to a change waits until this replica uses it.
_APPLIED_SECONDS: Final = 2.0
_CHECK_SECONDS: Final = 0.01

_T = TypeVar("_T")


class ConfigurationWriter:
    """Writes changes for the handlers of one event loop."""

    def __init__(self, work: DatabaseWork) -> None:
        self._work = work

    async def write(
        self, request: web.Request, decide: Decide, *, dry_run: bool = False, reason: str | None = None
    ) -> FleetConfiguration:
        """Make a change; return the configuration after it, once this replica uses it.

        A new reference to a model that neither the registry nor the catalog of this gateway has is refused. A dry run
        validates the change, and writes nothing.

        Args:
            reason: why, in the words of the sender, for the log.

        Raises:
            ContractError: the configuration would not be valid; names the path.
            GatewayError: as `decide` and `DatabaseWork.run` raise it.
        """
        author, parts = replace(author_of(request), reason=reason), parts_of(request)
        catalog = parts.state.catalog.configuration
        is_known = _unknown if catalog is None else catalog.knows
        written = await self.run(
            lambda database: change_configuration(database, author, decide, is_known=is_known, dry_run=dry_run)
        )
        version = written.configuration.version
        if written.changed:
            await until(lambda: parts.state.fleet.version >= version)
        return written.configuration

    async def run(self, work: Callable[[Database], _T]) -> _T:
        """Run work in the database, as `DatabaseWork.run`."""
        return await self._work.run(work)


def _unknown(_name: str) -> bool:
    return False


async def until(applied: Callable[[], bool]) -> None:
    """Wait until this replica uses a change, for a bounded time: it will, whatever the answer says."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _APPLIED_SECONDS
    while not applied() and loop.time() < deadline:
        await asyncio.sleep(_CHECK_SECONDS)


def parts_of(request: web.Request) -> GatewayParts:
    """Return the parts of the gateway."""
    parts: GatewayParts = request.app[KEY]
    return parts


def fleet_admin(request: web.Request, role: Role = "admin") -> None:
    """Raise 403 unless the key has the role, and is not that of one workspace."""
    principal = context_of(request).principal
    principal.require(role)
    if principal.workspace is not None:
        raise GatewayError(
            f"found a key of the workspace {quote(principal.workspace)}, expected one without a workspace: this is the "
            "configuration of the fleet",
            status=403,
            code="forbidden",
        )


def author_of(request: web.Request) -> Author:
    """Return the sender of a request as the author of a change."""
    context = context_of(request)
    principal = context.principal
    key = context.state.fleet.keys.get(principal.key_id or "")
    who = key.label if key else principal.user_id or principal.key_id or "a client of this machine"
    return Author(who=who, via="api", source=request.remote or "unknown")


def without_prefix(error: ContractError, prefix: str, instead: str) -> ContractError:
    """Return an error whose path begins with `instead` where it began with the path of an entry."""
    if not error.field.startswith((f"{prefix}.", f"{prefix}[")):
        return error
    moved = ContractError(f"{instead}{error.field.removeprefix(prefix)}", "", error.expected)
    moved.args = (f"{instead}{str(error).removeprefix(prefix)}",)
    return moved


def versioned(version: int, body: Any, status: int = 200, **headers: str) -> web.Response:
    """Return an answer of JSON that names the version of the configuration."""
    return json_answer(body, status, **{"x-centralcloud-config-version": str(version)}, **headers)
