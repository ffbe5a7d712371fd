"""The health of targets and models as gateways report it, and the models and rules of the configuration."""

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class TargetReport(NamedTuple):
    """A report of a gateway about a target, or a lease on a probe.

    Attributes:
        kind: ``breaker``, ``check`` or ``lease``.
        key: names the target: see `instance_agent.gateway.fleet_targets`.
        state: closed, open, cooling, misconfigured; healthy, unhealthy, unknown.
        expires_at: it counts until then; an open breaker lets a probe through.
    """

    kind: str
    key: str
    reporter: str
    state: str
    reason: str | None
    reported_at: datetime
    expires_at: datetime


class ModelHealth(NamedTuple):
    """The posted health of a registered model."""

    model: str
    status: str
    reported_at: datetime
    expires_at: datetime


class Registered(NamedTuple):
    """A model or a rule of the configuration. `body`: JSON."""

    kind: str
    id: str
    body: str

    @property
    def value(self) -> dict[str, Any]:
        """The entry, as a value."""
        found = json.loads(self.body)
        return found if isinstance(found, dict) else {}


_TARGETS = Query(__package__, "list_target_health", row=TargetReport)
_MODELS = Query(__package__, "list_model_health", row=ModelHealth)
_REGISTERED = Query(__package__, "list_registered", row=Registered)


def _read_targets(connection: psycopg.Connection[Any]) -> tuple[TargetReport, ...]:
    return tuple(_TARGETS.all(connection))


#: By kind and key.
TARGETS: Final = Source("targets", Tier.SECOND, _read_targets)
MODEL_HEALTH: Final = Source("model_health", Tier.QUARTER, lambda connection: tuple(_MODELS.all(connection)))
#: Models and rules, by kind and id.
REGISTERED: Final = Source("registered", Tier.MINUTE, lambda connection: tuple(_REGISTERED.all(connection)))
