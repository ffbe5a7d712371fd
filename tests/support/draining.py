"""How long a stop of the gateway takes at most, by its defaults."""

from centralcloud.runtime.process.supervisor import _STOP_SECONDS
from instance_agent.gateway.server import _AFTER_CUT_SECONDS
from instance_agent.gateway_program import _FLUSH_SECONDS
from instance_agent.settings import GatewaySettings


def drain_seconds() -> float:
    """Return the sum of the waits of a stop: running requests, those that are cut, the last events, the tasks."""
    drain: float = GatewaySettings.model_fields["gateway_drain_seconds"].default
    return drain + 2 * _AFTER_CUT_SECONDS + 1 + 2 * _FLUSH_SECONDS + _STOP_SECONDS
