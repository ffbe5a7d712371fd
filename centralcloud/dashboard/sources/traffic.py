"""Which models get the tasks, and how they do, over the last day."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class PairTraffic(NamedTuple):
    """The decisions of a pair in one part of the time, and their outcomes.

    Attributes:
        start: of the part of the time, one of 48 from the oldest evidence of the last 24 hours until now.
    """

    start: datetime
    model: str
    complexity: str
    decisions: int
    successes: int
    failures: int


_READ_TRAFFIC = Query(__package__, "read_traffic", row=PairTraffic)

#: By start, model and complexity; parts of the time without decisions have no rows.
TRAFFIC: Final = Source("traffic", Tier.QUARTER, lambda connection: tuple(_READ_TRAFFIC.all(connection)))
