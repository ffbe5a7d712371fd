"""Instances, workers, dead letters: counters of the fleet that change every second."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.monitoring.daemon_activity import WORKER_SECONDS
from centralcloud.runtime.postgres.query import Query


class FleetState(NamedTuple):
    """The fleet in numbers.

    Attributes:
        version: the newest published score version; 0: none yet.
        instances: seen within a day.
        behind: of these, those that lack a version which was published 15 seconds ago or earlier, and were seen since.
        furthest_behind: of these the one with the oldest version.
        versions_behind: how many versions it lacks.
        workers: ingest workers that were seen within three heartbeats.
        worker_seen_at: when a worker was seen last; None: never.
        dead_letters: open ones.
        new_dead_letters: those of the last hour.
        dead_letter_field: the field that most of them failed on.
        ingested: messages ever ingested.
        last_run_at: when the learner finished its last run.
    """

    version: int
    instances: int
    behind: int
    furthest_behind: str | None
    versions_behind: int | None
    workers: int
    worker_seen_at: datetime | None
    dead_letters: int
    new_dead_letters: int
    dead_letter_field: str | None
    ingested: int
    last_run_at: datetime | None


_READ_FLEET = Query(__package__, "read_fleet", row=FleetState)

FLEET: Final = Source(
    "fleet", Tier.SECOND, lambda connection: _READ_FLEET.one(connection, {"worker_seconds": WORKER_SECONDS})
)
