"""The gateways that are alive."""

from typing import Any

import psycopg

from centralcloud.runtime.postgres.query import Query

_COUNT_GATEWAYS = Query(__package__, "count_gateways", row=int)


def count_gateways(connection: psycopg.Connection[Any]) -> int:
    """Return how many instances that send requests with ids, as gateways do, were seen in the last 15 minutes."""
    return _COUNT_GATEWAYS.one(connection)
