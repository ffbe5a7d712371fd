"""The state of the whole fleet once a minute, in `fleet_minutes`: two weeks of charts without another program.

Counts are the differences of two readings of the message ledger, which ingest changes in the transaction of each batch. The
newest row holds the ledger as it was read for it, so that the next reading continues from there, in whichever process: no
event is counted twice, and a restart loses none. Where nothing is known about the time between two readings, no count is
written for it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.leases import acquire_lease, release_lease
from centralcloud.store.message_ledger import LedgerMissingError
from centralcloud.store.swallowed_rows import require_stored

log = get_logger(__name__)

_LEASE: Final = "fleet-minutes"
#: Of the interval: the lease ends before the next reading, which a replica that still lives then takes at once.
_LEASE_SHARE: Final = 0.8
#: Of the interval: a task that wakes so early does not run twice.
_EARLY_SHARE: Final = 0.05
#: How often a daemon reads the fleet.
FLEET_MINUTE_SECONDS: Final = 60.0
#: Readings that are further apart do not tell what happened in which minute.
_LONGEST_SPAN: Final = timedelta(seconds=90)
#: A difference between the server's clock and this process's own that counts as a jump. Time servers correct less at once.
_TOLERANCE: Final = timedelta(seconds=5)
#: A bigint holds no more: 9.2 billion USD.
_MOST_NANO_USD: Final = 2**63 - 1


class Ledger(NamedTuple):
    """The lifetime totals of the fleet. `counted`: the `records` whose outcomes and cost are in the others."""

    records: int
    counted: int
    successes: int
    failures: int
    blameless: int
    cost_nano_usd: Decimal


class FleetReading(NamedTuple):
    """The columns of ``read_fleet.sql``."""

    now: datetime
    records: int
    counted: int
    successes: int
    failures: int
    blameless: int
    cost_nano_usd: Decimal
    queue_messages: int
    queue_oldest_seconds: float | None
    dead_letters: int
    instances: int
    instances_behind: int

    @property
    def ledger(self) -> Ledger:
        """The totals at this moment."""
        return Ledger(*(getattr(self, name) for name in Ledger._fields))


class NewestMinute(NamedTuple):
    """The columns of ``newest_fleet_minute.sql``: the server's clock and the newest row; None without one."""

    now: datetime
    read_at: datetime | None
    records: int | None
    counted: int | None
    successes: int | None
    failures: int | None
    blameless: int | None
    cost_nano_usd: Decimal | None

    @property
    def ledger(self) -> Ledger | None:
        """The totals up to which the rows count; None without a row."""
        values = [getattr(self, name) for name in Ledger._fields]
        return None if None in values else Ledger(*values)


class Counted(NamedTuple):
    """What a reading adds to the row of `minute`; None: not known, and then `seconds` is 0."""

    minute: datetime
    seconds: float
    ingested: int | None
    successes: int | None
    failures: int | None
    blameless: int | None
    cost_nano_usd: int | None


_READ_FLEET = Query(__package__, "read_fleet", row=FleetReading)
_NEWEST_FLEET_MINUTE = Query(__package__, "newest_fleet_minute", row=NewestMinute)
_ADD_TO_FLEET_MINUTE = Query(__package__, "add_to_fleet_minute")
_DELETE_FLEET_MINUTES_AHEAD = Query(__package__, "delete_fleet_minutes_ahead")


def count_since(newest: NewestMinute, reading: FleetReading, *, clock_jumped: bool = False) -> Counted:
    """Return what has been ingested since the newest row, for the minute in which most of that time lies.

    Not known, and for the minute of now: without a row, after more than 90 seconds or a jump of the clock, after a total
    fell (a repaired ledger), and while a worker ingests that does not count outcomes (older than revision 0025).
    """
    before, read_at = newest.ledger, newest.read_at
    unknown = Counted(_minute_of(reading.now), 0.0, None, None, None, None, None)
    if before is None or read_at is None or clock_jumped:
        return unknown
    span = reading.now - read_at
    if not timedelta(0) <= span <= _LONGEST_SPAN:
        return unknown
    added = [int(getattr(reading.ledger, name) - getattr(before, name)) for name in Ledger._fields]
    records, counted, successes, failures, blameless, cost = added
    if min(added) < 0 or records != counted:
        return unknown
    minute, seconds = _minute_of(read_at + span / 2), span.total_seconds()
    return Counted(minute, seconds, records, successes, failures, blameless, min(cost, _MOST_NANO_USD))


def _minute_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


class FleetMinuteRecorder(BackgroundTask):
    """Reads the fleet at the start and at the end of each minute of the server's clock. One replica at a time does it.

    A replica that is killed leaves no gap while another one runs, and else at most the minutes in which none ran.
    """

    def __init__(
        self,
        database: Database,
        *,
        interval_seconds: float = FLEET_MINUTE_SECONDS,
        counted_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read every `interval_seconds`, 0.1 to 60: a shorter interval renews the row of the minute that runs.

        `counted_seconds` is a clock of this process that is never set.
        """
        if not 0.1 <= interval_seconds <= FLEET_MINUTE_SECONDS:
            raise CentralCloudError(
                f"interval_seconds: found {interval_seconds:g}, expected 0.1 to {FLEET_MINUTE_SECONDS:g}"
            )
        super().__init__("fleet-minutes", database, interval_seconds=interval_seconds)
        self._every = interval_seconds
        self._counted_seconds = counted_seconds
        self._seen: tuple[datetime, float] | None = None

    def run_once(self) -> bool:
        """Read the fleet once, if no other replica has, and wait until the next minute of the server's clock begins."""
        with self.database.transaction() as connection:
            reads = acquire_lease(connection, _LEASE, seconds=self._every * _LEASE_SHARE)
            newest = _NEWEST_FLEET_MINUTE.one(connection)  # after the lease: no other replica adds a row from here on
            jumped = self._has_jumped(newest.now)
            if reads:
                self._record(connection, newest, clock_jumped=jumped)
        self.interval_seconds = seconds_until_next(newest.now, self._every)
        return False

    def on_stop(self) -> None:
        """Release the lease."""
        release_lease(self.database, _LEASE)

    def _has_jumped(self, now: datetime) -> bool:
        """Compare the server's clock with the one of this process, since the last look."""
        counted, seen = self._counted_seconds(), self._seen
        self._seen = now, counted
        return seen is not None and abs(now - seen[0] - timedelta(seconds=counted - seen[1])) > _TOLERANCE

    def _record(self, connection: psycopg.Connection[Any], newest: NewestMinute, *, clock_jumped: bool) -> None:
        reading = _READ_FLEET.maybe(connection)
        if reading is None:
            raise LedgerMissingError
        ahead = timedelta(0) if newest.read_at is None else newest.read_at - reading.now
        if ahead > _TOLERANCE:  # these minutes come again
            deleted = _DELETE_FLEET_MINUTES_AHEAD.run(connection, {"minute": _minute_of(reading.now)})
            log.warning("fleet_minutes_deleted", count=deleted, reason="the server's clock was set back")
        elif ahead > timedelta(0):  # corrected by a little: the next reading is later than the newest row
            return
        counted = count_since(newest, reading, clock_jumped=clock_jumped)
        stored = _ADD_TO_FLEET_MINUTE.run(connection, {**reading._asdict(), **_columns(counted)})
        require_stored("fleet_minutes", written=1, stored=stored)


def _columns(counted: Counted) -> dict[str, Any]:
    """Return the parameters of ``add_to_fleet_minute.sql`` that are not totals or states."""
    return {f"added_{name}": value for name, value in counted._asdict().items()}


def seconds_until_next(now: datetime, every: float) -> float:
    """Return the seconds until the next whole multiple of `every` seconds; the one after it, when that is very near."""
    wait = every - now.timestamp() % every
    return wait if wait > every * _EARLY_SHARE else wait + every
