"""The instance agent: model catalog, router, decision publisher and score updater, as a sidecar or a library.

The public names are imported when they are used: `import instance_agent` loads neither psycopg nor pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from instance_agent.agent import InstanceAgent
    from instance_agent.catalog.catalog import ModelCatalog
    from instance_agent.routing.decision import Choice, Decision
    from instance_agent.routing.router import ModelRouter, RoutingError
    from instance_agent.settings import AgentSettings

__all__ = ["AgentSettings", "Choice", "Decision", "InstanceAgent", "ModelCatalog", "ModelRouter", "RoutingError"]

_MODULES: Final = {
    "AgentSettings": "instance_agent.settings",
    "Choice": "instance_agent.routing.decision",
    "Decision": "instance_agent.routing.decision",
    "InstanceAgent": "instance_agent.agent",
    "ModelCatalog": "instance_agent.catalog.catalog",
    "ModelRouter": "instance_agent.routing.router",
    "RoutingError": "instance_agent.routing.router",
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
