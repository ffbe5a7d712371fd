"""The gateways that are alive."""

from datetime import timedelta
from typing import Any, Final

import psycopg

from centralcloud.runtime.postgres.query import Query

_COUNT_GATEWAYS = Query(__package__, "count_gateways", row=int)

#: A gateway that was not seen for so long is not alive.
ALIVE: Final = timedelta(minutes=15)
#: A fleet none of whose gateways was seen for so long has none any more.
HAS_GATEWAYS: Final = timedelta(days=1)


def count_gateways(connection: psycopg.Connection[Any], within: timedelta = ALIVE) -> int:
    """Return how many instances that send requests with ids, as gateways do, were seen within a time until now."""
    return _COUNT_GATEWAYS.one(connection, {"within": within})
