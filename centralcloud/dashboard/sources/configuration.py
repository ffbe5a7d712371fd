"""The policies of the configuration, and its newest version."""

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class Policy(NamedTuple):
    """A policy. `config`: JSON, as the configuration has it."""

    name: str
    description: str | None
    config: str
    is_active: bool | None
    updated_at: datetime | None

    @property
    def value(self) -> dict[str, Any]:
        """The policy, as a value."""
        found = json.loads(self.config)
        return found if isinstance(found, dict) else {}


class ConfigurationVersion(NamedTuple):
    """The newest version, and its author. 0: nothing was configured."""

    config_version: int
    at: datetime | None
    who: str | None
    reason: str | None


_POLICIES = Query(__package__, "list_policies", row=Policy)
_VERSION = Query(__package__, "read_configuration", row=ConfigurationVersion)

POLICIES: Final = Source("policies", Tier.MINUTE, lambda connection: tuple(_POLICIES.all(connection)))
CONFIGURATION: Final = Source("configuration", Tier.QUARTER, lambda connection: _VERSION.one(connection))
