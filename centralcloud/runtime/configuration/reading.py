"""Read the configuration: what has changed after a version, or everything."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.fleet_configuration import EntryKey
from centralcloud.runtime.postgres.query import Query

_CONFIGURATION_SINCE: Query[Any] = Query(__package__, "configuration_since", row=str)


class UnreadableConfigurationError(CentralCloudError):
    """The answer of the database is not a configuration: most likely, another version of CentralCloud has written it."""


class EntryRow(msgspec.Struct, frozen=True):
    """An entry of the configuration. `body` is None if it was removed."""

    kind: str
    id: str
    version: int
    body: dict[str, Any] | None

    @property
    def key(self) -> EntryKey:
        """Kind and id."""
        return self.kind, self.id


class HealthRow(msgspec.Struct, frozen=True):
    """The posted health of a model, and for how many seconds it still counts."""

    model: str
    body: dict[str, Any]
    reported_at: datetime
    ttl_seconds: float


class ConfigurationPage(msgspec.Struct, frozen=True):
    """The changes after a version, at one moment.

    Attributes:
        epoch: names the history of the database.
        version: the newest one.
        stamp: of that version; None for version 0.
        stamp_after: of the version after which was read; None where the database does not know it.
        entries: in order of kind and id.
        health_version: the newest version of the posted health.
        health: reports after a version of the health, of those that have not expired.
        experiments_silent_seconds: time since the daemon has last looked at experiments; None: it never has.
    """

    epoch: str
    version: int
    stamp: str | None
    stamp_after: str | None
    entries: list[EntryRow]
    health_version: int
    health: list[HealthRow]
    experiments_silent_seconds: float | None = None


_DECODER = msgspec.json.Decoder(ConfigurationPage)


def read_since(connection: psycopg.Connection[Any], version: int = 0, health_version: int = 0) -> ConfigurationPage:
    """Return the changes after a version of the configuration, and after one of the health; 0: everything.

    Raises:
        UnreadableConfigurationError: the answer cannot be decoded, or the only row of configuration_state is missing.
    """
    text = _CONFIGURATION_SINCE.one(connection, {"after_version": version, "after_health": health_version})
    if text is None:  # the value of the only column may be null
        raise UnreadableConfigurationError("configuration_state: found no row, expected one: restore it from a backup")
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableConfigurationError(
            f"the database has answered in another form than expected: {error}"
        ) from None
