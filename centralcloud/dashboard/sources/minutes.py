"""The last day of the fleet, minute by minute."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class FleetMinute(NamedTuple):
    """One minute, or several: see the table `fleet_minutes`. Counts are None where they are not known."""

    minute: datetime
    counted_seconds: float
    ingested: int | None
    successes: int | None
    failures: int | None
    queue_messages: int
    queue_oldest_seconds: float | None
    dead_letters: int
    instances: int
    instances_behind: int
    cost_nano_usd: int | None


_LIST_MINUTES = Query(__package__, "list_minutes", row=FleetMinute)

#: The last 24 hours, oldest first.
MINUTES: Final = Source("minutes", Tier.QUARTER, lambda connection: tuple(_LIST_MINUTES.all(connection)))


def ingest_rates(minutes: Sequence[FleetMinute]) -> list[float]:
    """Return the events ingested a second in each minute for which that is known, oldest first."""
    known = (each for each in minutes if each.ingested is not None and each.counted_seconds > 0)
    return [(each.ingested or 0) / each.counted_seconds for each in known]
