"""The parts of the fleet one by one: instances, workers, leases, dead letters by field, late and lost outcomes."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.monitoring.daemon_activity import LATE_WORKER_SECONDS, WORKER_SECONDS
from centralcloud.runtime.postgres.query import Query


class Instance(NamedTuple):
    """A registered instance.

    Attributes:
        versions_behind: versions between the one it has applied and the newest one.
        is_behind: it lacks a version that was published 15 seconds ago or earlier, and was seen within a day.
        is_silent: it was not seen for 10 minutes.
        decisions: of the newest hour.
        quarantine: the id of the open finding, while its outcomes are not counted.
    """

    instance_id: str
    applied_version: int
    versions_behind: int
    is_behind: bool
    first_seen_at: datetime
    last_seen_at: datetime
    is_silent: bool
    decisions: int
    quarantine: int | None


class InstanceModel(NamedTuple):
    """The decisions of an instance for a model within 24 hours, and their outcomes."""

    instance_id: str
    model: str
    decisions: int
    successes: int
    failures: int


class Sender(NamedTuple):
    """An instance of the newest records. `is_gateway`: it sends ids of requests."""

    instance_id: str
    is_gateway: bool


class Worker(NamedTuple):
    """A process that ingests. `is_running`: seen within three heartbeats; `is_late`: has missed one."""

    worker_id: int
    host: str
    process: str
    batch_size: int
    started_at: datetime
    seen_at: datetime
    is_running: bool
    is_late: bool


class Lease(NamedTuple):
    """Work that one replica does for all."""

    name: str
    holder: str
    expires_at: datetime
    is_held: bool


class Letters(NamedTuple):
    """Open dead letters that were refused for one field. `new`: of the last hour; `reason`: of the newest one."""

    field: str
    letters: int
    new: int
    oldest_at: datetime
    newest_at: datetime
    newest_id: int
    reason: str


class LateAndLost(NamedTuple):
    """Outcomes of a pair that came late or never. Shares are in percent, 0 to 100.

    Attributes:
        decisions: those with an id, which an outcome can be matched with.
        outcomes: of all its decisions.
    """

    model: str
    complexity: str
    decisions: int
    unresolved_percent: float | None
    outcomes: int
    late: int
    late_percent: float | None


_LIST_INSTANCES = Query(__package__, "list_fleet_instances", row=Instance)
_LIST_MODELS = Query(__package__, "list_models_of_instances", row=InstanceModel)
_LIST_SENDERS = Query(__package__, "list_senders", row=Sender)
_LIST_WORKERS = Query(__package__, "list_workers", row=Worker)
_LIST_LEASES = Query(__package__, "list_leases", row=Lease)
_COUNT_LETTERS = Query(__package__, "count_letters_by_field", row=Letters)
_LIST_LATE_AND_LOST = Query(__package__, "list_late_and_lost", row=LateAndLost)


def _read_workers(connection: psycopg.Connection[Any]) -> tuple[Worker, ...]:
    limits = {"worker_seconds": WORKER_SECONDS, "late_seconds": LATE_WORKER_SECONDS}
    return tuple(_LIST_WORKERS.all(connection, limits))


#: Those that were seen last first, at most `MOST_INSTANCES`.
INSTANCES: Final = Source("instances", Tier.QUARTER, lambda connection: tuple(_LIST_INSTANCES.all(connection)))
MOST_INSTANCES: Final = 5000
#: By instance, most decisions first.
INSTANCE_MODELS: Final = Source("instance_models", Tier.MINUTE, lambda connection: tuple(_LIST_MODELS.all(connection)))
SENDERS: Final = Source("senders", Tier.MINUTE, lambda connection: tuple(_LIST_SENDERS.all(connection)))
WORKERS: Final = Source("workers", Tier.QUARTER, _read_workers)
LEASES: Final = Source("leases", Tier.QUARTER, lambda connection: tuple(_LIST_LEASES.all(connection)))
LETTERS: Final = Source("letters", Tier.QUARTER, lambda connection: tuple(_COUNT_LETTERS.all(connection)))
LATE_AND_LOST: Final = Source(
    "late_and_lost", Tier.MINUTE, lambda connection: tuple(_LIST_LATE_AND_LOST.all(connection))
)
