"""The reader: one thread, one transaction a second, whatever the number of viewers."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.outages import Outage, problem_of
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

_TICK_SECONDS: Final = 1.0
#: Without a viewer for a minute it reads this seldom; the next viewer wakes it.
_IDLE_TICK_SECONDS: Final = 15.0
_IDLE_AFTER_SECONDS: Final = 60.0
#: How often a source is tried again that cannot be read: each costs a transaction.
_DENIED_SECONDS: Final = 10.0
#: Longest wait after a read that failed without an outage: a schema that was repaired is read again within seconds.
_LONGEST_BACKOFF_SECONDS: Final = 3.0
_READ_SECONDS: Final = 10.0
#: How often the schema is compared with this version: after a failed read it is compared at once.
_SCHEMA_SECONDS: Final = 10.0
#: A source that takes long is read less often: in 2% of the time at most.
_REST_FACTOR: Final = 50.0
#: Errors of a statement that names what the database does not have.
_MISSING: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)


class _Head(NamedTuple):
    now: datetime
    version: int


_READ_HEAD = Query(__package__, "read_head", row=_Head)


class Reader(BackgroundTask):
    """Reads the sources that are due, and publishes each result as a `Snapshot`.

    Attributes:
        snapshot: the newest one. Read it from any thread.
        on_snapshot: called in the reader's thread with each new one.
    """

    def __init__(
        self, database: Database, sources: Iterable[Source[Any]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("dashboard-reader", database, interval_seconds=_IDLE_TICK_SECONDS)
        self.snapshot = Snapshot()
        self.on_snapshot: Callable[[Snapshot], None] | None = None
        self._sources = {source.name: source for source in sources}
        self._clock = clock
        self._due: dict[str, float] = dict.fromkeys(self._sources, 0.0)
        self._rested: dict[str, float] = dict.fromkeys(self._sources, 0.0)
        self._version = -1
        self._schema_due = 0.0
        self.may_degrade = True
        self.longest_degraded_backoff_seconds = _LONGEST_BACKOFF_SECONDS
        self._viewed = clock()
        self._reads_everything = False

    def viewed(self) -> None:
        """Note that a viewer is there: the next minute is read every second."""
        idle = self._clock() - self._viewed > _IDLE_AFTER_SECONDS
        self._viewed = self._clock()
        if idle:
            self.wake()

    def read_everything(self) -> None:
        """Read every source again at once, as after a change that is known here. From any thread."""
        self._reads_everything = True
        self.wake()

    def run_once(self) -> bool:
        if self._reads_everything:
            self._reads_everything = False
            self._due = dict.fromkeys(self._sources, 0.0)
        idle = self._clock() - self._viewed > _IDLE_AFTER_SECONDS
        self.interval_seconds = _IDLE_TICK_SECONDS if idle else _TICK_SECONDS
        try:
            self._check_schema()
            while not self._read():
                pass
        except Exception as error:
            self._schema_due = 0.0
            reason = self._schema_problem() if isinstance(error, _MISSING) else None
            self._publish_outage(reason or error)  # whatever it is: the values are not new
            if reason is not None:
                raise reason from error
            raise
        return False

    def _check_schema(self) -> None:
        """Compare the schema with this version: one that differs may well be readable, and yet mean something else.

        Raises:
            SchemaError: it does not fit.
        """
        now = self._clock()
        if now < self._schema_due:
            return
        if (problem := self._schema_problem()) is not None:
            raise problem
        self._schema_due = now + _SCHEMA_SECONDS

    def _schema_problem(self) -> Exception | None:
        """Return why the schema does not fit this version; None where it does, or where this login may not ask."""
        from centralcloud.store.schema_revision import SchemaError, check_schema

        try:
            check_schema(self.database)
        except SchemaError as error:
            return error
        except psycopg.Error:
            return None
        return None

    def _read(self) -> bool:
        """Read what is due, in one transaction; False after a source that cannot be read, which is then not due."""
        values = dict(self.snapshot.values)
        denied = dict(self.snapshot.denied)
        took: dict[str, float] = {}
        with self.database.transaction(limit_seconds=_READ_SECONDS) as connection:
            head = _READ_HEAD.one(connection)
            now = self._clock()
            read = [source for source in self._sources.values() if self._is_due(source, head.version, now)]
            for source in read:
                began = self._clock()
                try:
                    value = source.read(connection)
                except (psycopg.errors.InsufficientPrivilege, psycopg.DataError) as error:
                    self._deny(source, error, now)
                    return False
                if source.name not in values or values[source.name] != value:
                    values[source.name] = value
                denied.pop(source.name, None)
                took[source.name] = self._clock() - began
        for source in read:
            rest = _REST_FACTOR * took[source.name]
            self._rested[source.name] = now + rest
            self._due[source.name] = now + max(source.tier.value, rest)
        self._version = head.version
        self._publish(Snapshot(self.snapshot.number + 1, head.now, values, denied))
        return True

    def _is_due(self, source: Source[Any], version: int, now: float) -> bool:
        # Half a tick early: a tick that comes a little late must not make a source wait for one more.
        is_due = self._due[source.name] <= now + _TICK_SECONDS / 2
        if is_due or source.tier is not Tier.SCORES or version == self._version:
            return is_due
        return source.name not in self.snapshot.denied and self._rested[source.name] <= now

    def _deny(self, source: Source[Any], error: Exception, now: float) -> None:
        problem = problem_of(error)
        if isinstance(error, psycopg.DataError):
            problem = problem._replace(reason=f"{source.name}: {problem.reason}")
        if self.snapshot.denied.get(source.name) != problem:
            log.warning("dashboard_source_denied", source=source.name, reason=problem.reason)
        self._due[source.name] = now + _DENIED_SECONDS
        before = self.snapshot
        # Without the value of before, which pages would show as that of now.
        values = {name: value for name, value in before.values.items() if name != source.name}
        self.snapshot = Snapshot(
            before.number, before.read_at, values, {**before.denied, source.name: problem}, before.outage
        )

    def _publish_outage(self, error: BaseException) -> None:
        before = self.snapshot
        since = before.outage.since if before.outage else datetime.now(UTC) if before.read_at else None
        outage = Outage(since, problem_of(error))
        self._publish(Snapshot(before.number + 1, before.read_at, before.values, before.denied, outage))

    def _publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        if self.on_snapshot is not None:
            self.on_snapshot(snapshot)
