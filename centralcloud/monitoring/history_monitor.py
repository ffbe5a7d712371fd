"""Notices another history of the database than before, two histories that answer in turn, and sequences left behind."""

import time
from typing import Final

import psycopg

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS
from centralcloud.runtime.postgres.errors import is_outage, summarize_error
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.findings import Finding, close_stale_findings
from centralcloud.store.history import Epoch, read_epoch
from centralcloud.store.sequences import sequences_behind
from centralcloud.store.urgent_findings import open_urgent_finding

log = get_logger(__name__)

#: The kind of the finding that this task opens.
HISTORY_FINDING: Final = "two_histories"

_INTERVAL_SECONDS: Final = 5.0
#: How often a new connection is opened to look where the URL leads now: pooled ones may stay with an old primary.
_CONNECT_SECONDS: Final = 30.0
_SEQUENCES_SECONDS: Final = 60.0
#: A history that has not answered for so long does not count any more.
_MEMORY_SECONDS: Final = 3600.0


class Histories:
    """The histories that answered within an hour, in the order in which they did. Times are in seconds of one clock."""

    def __init__(self) -> None:
        self.current: str | None = None
        self._last_seen: dict[str, float] = {}

    def observe(self, epoch: str, at: float) -> str | None:
        """Add an answer; return why it must not have come, None if it may.

        After a failover the timeline rises, and after a restore the epoch is new. A lower timeline of the same database, or
        an epoch that has been replaced by another one, is a server that should have been shut down.
        """
        before = self.current
        returned = epoch != before and epoch in self._last_seen
        self._last_seen = {each: seen for each, seen in self._last_seen.items() if at - seen < _MEMORY_SECONDS}
        newer = [each for each in self._last_seen if _is_newer(each, epoch)]
        self._last_seen[epoch] = at
        self.current = epoch
        if newer:
            return (
                f"the server with timeline {Epoch.parse(epoch).timeline} answered after one with timeline "
                f"{Epoch.parse(newer[0]).timeline} of the same database: an old primary accepts connections"
            )
        if returned and len(self._last_seen) > 1:
            return f"the histories {before} and {epoch} answer in turn: expected one database behind the URL"
        return None


class HistoryMonitor(BackgroundTask):
    """Reads the epoch every few seconds, and compares sequences with their tables at the start and every minute.

    Attributes:
        behind: how many sequences are behind their tables.
    """

    def __init__(self, database: Database) -> None:
        super().__init__("history-monitor", database, interval_seconds=_INTERVAL_SECONDS)
        self.behind = 0
        self._histories = Histories()
        self._alarm_at: float | None = None
        self._reported: set[str] = set()
        self._behind: list[str] = []
        self._connected_at = 0.0
        self._sequences_at = 0.0

    @property
    def alternating(self) -> bool:
        """Whether a history answered within the last hour that must not have."""
        return self._alarm_at is not None and time.monotonic() - self._alarm_at < _MEMORY_SECONDS

    def run_once(self) -> bool:
        now = time.monotonic()
        if not self._connected_at or now - self._connected_at >= _CONNECT_SECONDS:
            self._look_through_a_new_connection(now)
            self._connected_at = now
        with self.database.transaction() as pooled:
            changed = self._observe(pooled, now)
            if changed or not self._sequences_at or now - self._sequences_at >= _SEQUENCES_SECONDS:
                self._compare_sequences(pooled)
                self._sequences_at = now
            close_stale_findings(pooled, HISTORY_FINDING, seconds=_MEMORY_SECONDS)
        return False

    def _look_through_a_new_connection(self, now: float) -> None:
        try:
            with self.database.connect() as connection, connection.limited(ANSWER_SECONDS):
                self._observe(connection, now)
        except psycopg.Error as error:
            if not is_outage(error):
                raise
            # The server may have no connection left for it; whether the database works, the pool knows.
            log.debug("history_connection_failed", reason=summarize_error(error))

    def _observe(self, connection: psycopg.Connection[object], now: float) -> bool:
        """Read the epoch; return whether it is another one than before."""
        before, epoch = self._histories.current, read_epoch(connection)
        problem = self._histories.observe(epoch, now)
        if before not in (None, epoch):
            log.warning(
                "database_history_changed", before=before, now=epoch, effect="memory of the other one is discarded"
            )
        if problem is None:
            return before != epoch
        self._alarm_at = now
        if problem not in self._reported:
            self._reported.add(problem)
            log.error("database_histories_alternate", found=problem, advice="shut down the old primary")
        open_urgent_finding(connection, Finding(HISTORY_FINDING, "database", problem, {"epoch": epoch}))
        return before != epoch

    def _compare_sequences(self, connection: psycopg.Connection[object]) -> None:
        behind = sequences_behind(connection)
        self.behind = len(behind)
        found = [str(each) for each in behind]
        if found and [str(each.sequence) for each in behind] != self._behind:
            effect = (
                "until `centralcloud repair sequences` ingest waits if it draws from them, and other tasks are degraded"
            )
            log.error("sequences_behind", sequences=found, effect=effect)
        elif self._behind and not found:
            log.info("sequences_repaired", sequences=self._behind)
        self._behind = [str(each.sequence) for each in behind]


def _is_newer(epoch: str, than: str) -> bool:
    """Return whether `epoch` is a later timeline of the same database as `than`."""
    one, other = Epoch.parse(epoch), Epoch.parse(than)
    return one.database == other.database and (one.timeline or 0) > (other.timeline or 0) > 0
