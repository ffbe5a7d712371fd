"""The fleet's configuration over HTTP: rules, policies, task types, agents, workspaces, budgets, export and import.

Reads are answered from the configuration that this replica uses, also while the database is unavailable. A change is
answered once this replica uses it; other replicas follow within a second.
"""

from aiohttp import web

from instance_agent.gateway.api.configuration.agents import AgentsApi
from instance_agent.gateway.api.configuration.budgets import BudgetsApi
from instance_agent.gateway.api.configuration.policies import PoliciesApi
from instance_agent.gateway.api.configuration.rules import RulesApi
from instance_agent.gateway.api.configuration.transfer import TransferApi
from instance_agent.gateway.api.configuration.workspaces import WorkspacesApi
from instance_agent.gateway.api.configuration_writer import ConfigurationWriter
from instance_agent.gateway.api.database_work import DatabaseWork


def configuration_routes(work: DatabaseWork, *, private: bool) -> list[web.RouteDef]:
    """Return the routes; `private`: whether endpoints that are imported may be in private networks."""
    writer = ConfigurationWriter(work)
    return [
        *RulesApi(writer).routes(),
        *PoliciesApi(writer).routes(),
        *AgentsApi(writer).routes(),
        *WorkspacesApi(writer).routes(),
        *BudgetsApi(writer).routes(),
        *TransferApi(writer, private=private).routes(),
    ]
