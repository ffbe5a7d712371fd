"""How far each instance is behind the newest published score."""

from typing import Any, NamedTuple

import psycopg

from centralcloud.runtime.postgres.query import Query


class InstanceLag(NamedTuple):
    """An instance that was seen within a day.

    Attributes:
        applied_version: the newest version that it has acknowledged.
        version_lag: versions that it is behind the newest one.
        seconds_since_seen: time since it last acknowledged, in seconds.
        decisions: its decisions of the newest hour.
    """

    instance_id: str
    applied_version: int
    version_lag: int
    seconds_since_seen: float
    decisions: int = 0


_INSTANCE_LAGS = Query(__package__, "instance_lags", row=InstanceLag)


def read_instance_lags(connection: psycopg.Connection[Any]) -> list[InstanceLag]:
    """Read the instances that were seen within a day, ordered by id."""
    return _INSTANCE_LAGS.all(connection)
