"""Targets and requests for the tests of execution."""

from collections.abc import Callable

import pytest

from instance_agent.catalog.model import Model
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTarget
from instance_agent.providers.installed import dialect
from instance_agent.providers.upstream import Secret, Upstream

Planned = Callable[..., PlannedCall]


@pytest.fixture
def planned() -> Planned:
    """Make a call of a plan: `planned("a")`."""

    def make(name: str, **fields: float) -> PlannedCall:
        upstream = Upstream(provider=f"p-{name}", dialect="openai", base_url=f"http://{name}/v1", api_key=Secret("k"))
        model = Model(name=name, provider=f"p-{name}")
        target = CallTarget(f"{name}@p-{name}", model, dialect("openai"), upstream)
        return PlannedCall(target=target, reason="learned", **fields)

    return make
