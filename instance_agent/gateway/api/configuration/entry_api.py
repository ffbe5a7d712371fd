"""The handlers that every kind of entries has: the rights that they need, and single changes."""

from typing import Any

from aiohttp import web

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import ConfigurationEntry, FleetConfiguration, to_body
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.text import read_name
from centralcloud.runtime.configuration.writing import Decide
from instance_agent.gateway.api.configuration.entry_changes import delete, not_found, set_entry
from instance_agent.gateway.api.configuration_writer import (
    ConfigurationWriter,
    fleet_admin,
    parts_of,
    versioned,
    without_prefix,
)
from instance_agent.gateway.api.registry_changes import still_named
from instance_agent.gateway.api.requests import BODY
from instance_agent.gateway.context import context_of


class EntryApi:
    """Handlers of one kind of entries.

    Attributes:
        kind: of the entries.
        parameter: of the path that has the id.
    """

    kind: str
    parameter: str = "id"

    def __init__(self, writer: ConfigurationWriter) -> None:
        self.writer = writer

    def id_of(self, request: web.Request) -> str:
        """Return the id in the path; 404 for a text that cannot be one."""
        found = str(request.match_info[self.parameter])
        if read_name(found, MAX_NAME_LENGTH) != found:
            raise not_found(self.kind, found)
        return found

    async def change(self, request: web.Request, entry_id: str, decide: Decide) -> FleetConfiguration:
        """Make a change of an entry; the path in an error is that inside the body."""
        try:
            return await self.writer.write(request, decide)
        except ContractError as error:
            raise without_prefix(error, entry_path(self.kind, entry_id), BODY) from None

    async def set(self, request: web.Request, entry: ConfigurationEntry, *, created_status: int = 200) -> web.Response:
        """Add or replace an entry, and answer with it; `created_status`: for one that is new."""
        created: list[bool] = []
        fleet = await self.change(request, entry.id, set_entry(entry, created))
        return versioned(fleet.version, to_body(entry), created_status if created[0] else 200)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove an entry; 409 while another one names it."""
        fleet_admin(request)
        entry_id = self.id_of(request)
        try:
            fleet = await self.writer.write(request, delete(self.kind, entry_id))
        except ContractError as error:
            raise still_named(error) from None
        return versioned(fleet.version, {"id": entry_id, "deleted": True})


def readable(request: web.Request) -> FleetConfiguration:
    """Return the configuration that this replica uses, to a key that may read it."""
    context_of(request).principal.require("viewer")
    return parts_of(request).state.fleet


def own_workspace(request: web.Request) -> str | None:
    """Return the workspace of the key; None: it sees all of them."""
    return context_of(request).principal.workspace


def entry_answer(fleet: FleetConfiguration, entry: Any) -> web.Response:
    """Return the answer with one entry."""
    return versioned(fleet.version, to_body(entry))
