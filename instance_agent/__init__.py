"""The instance agent: model catalog, router, decision publisher and score updater, as a sidecar or a library.

`UnifiedModelClient` calls models itself, by the decisions of `IntelligentModelRouter`.

The public names are imported when they are used: `import instance_agent` loads neither psycopg nor pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from instance_agent.agent import InstanceAgent
    from instance_agent.catalog.catalog import ModelCatalog
    from instance_agent.client.analytics import RouterAnalytics
    from instance_agent.client.routed_agent import RoutedAgent, create_routed_coder_agent
    from instance_agent.client.router import IntelligentModelRouter
    from instance_agent.client.task_type import TaskType
    from instance_agent.client.unified_client import UnifiedModelClient
    from instance_agent.routing.decision import Choice, Decision
    from instance_agent.routing.router import ModelRouter, RoutingError
    from instance_agent.settings import AgentSettings

__all__ = [
    "AgentSettings",
    "Choice",
    "Decision",
    "InstanceAgent",
    "IntelligentModelRouter",
    "ModelCatalog",
    "ModelRouter",
    "RoutedAgent",
    "RouterAnalytics",
    "RoutingError",
    "TaskType",
    "UnifiedModelClient",
    "create_routed_coder_agent",
]

_MODULES: Final = {
    "AgentSettings": "instance_agent.settings",
    "Choice": "instance_agent.routing.decision",
    "Decision": "instance_agent.routing.decision",
    "InstanceAgent": "instance_agent.agent",
    "IntelligentModelRouter": "instance_agent.client.router",
    "ModelCatalog": "instance_agent.catalog.catalog",
    "ModelRouter": "instance_agent.routing.router",
    "RoutedAgent": "instance_agent.client.routed_agent",
    "RouterAnalytics": "instance_agent.client.analytics",
    "RoutingError": "instance_agent.routing.router",
    "TaskType": "instance_agent.client.task_type",
    "UnifiedModelClient": "instance_agent.client.unified_client",
    "create_routed_coder_agent": "instance_agent.client.routed_agent",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
