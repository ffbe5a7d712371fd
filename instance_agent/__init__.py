"""The instance agent: model catalog, router, decision publisher and score updater, as a sidecar or a library."""

from instance_agent.agent import InstanceAgent
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.routing.decision import Choice, Decision
from instance_agent.routing.router import ModelRouter, RoutingError
from instance_agent.settings import AgentSettings

__all__ = ["AgentSettings", "Choice", "Decision", "InstanceAgent", "ModelCatalog", "ModelRouter", "RoutingError"]
