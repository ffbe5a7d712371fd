"""The housekeeping part: partitions ahead of time, roll-ups, and what only has to be kept for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import psycopg

from centralcloud.maintenance.retention import Retention
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD, drop_expired_partition, ensure_partitions
from centralcloud.store.slices import References, close_slice

log = get_logger(__name__)

_TRY_LOCK = Query(__package__, "try_lock_maintenance")
_MERGE_EVIDENCE = Query(__package__, "merge_evidence")
_ROLL_UP_STRETCH = Query(__package__, "pending_roll_up")
_CLEAR_ROLL_UP = Query(__package__, "delete_roll_up")
_ROLL_UP = Query(__package__, "roll_up")
_TRIM_DECISION_IDS = Query(__package__, "trim_decision_ids")
_TRIM_SCORE_UPDATES = Query(__package__, "trim_score_updates")
_TRIM_ROLL_UPS = Query(__package__, "trim_roll_ups")
_TRIM_DEAD_LETTERS = Query(__package__, "trim_dead_letters")
_TRIM_FINDINGS = Query(__package__, "trim_findings")
_TRIM_SCORE_HISTORY = Query(__package__, "trim_score_history")
_TRIM_UNPUBLISHED_RUNS = Query(__package__, "trim_unpublished_runs")
_TRIM_LEARNING_RUNS = Query(__package__, "trim_learning_runs")
_TRIM_WORKERS = Query(__package__, "trim_workers")
#: Rows a transaction: short enough that nobody waits for it.
_TRIM_BATCH: Final = 10_000
#: What is not merged yet: the adaptive rule weighs its newest 45,000 outcomes slice by slice, each may be of two records.
_WEIGHED_RECORDS: Final = 90_000
#: But not more slices than these: where little happens a slice is small.
_WEIGHED_SLICES: Final = 2000
#: Hours that are rolled up in one transaction.
_ROLL_UP_STEP: Final = timedelta(days=1)


class AnotherReplicaError(Exception):
    """Another replica does maintenance at this moment."""


class MaintenanceSettings(Protocol):
    """Settings of one round."""

    @property
    def retention(self) -> Retention:
        """Days that rows are kept."""

    @property
    def reference(self) -> References:
        """Caps of the evidence of the slice that the round closes."""


class Maintenance(BackgroundTask):
    """Runs at the start and then when woken (the daemon's schedule does that); one replica at a time does the work."""

    def __init__(
        self,
        database: Database,
        *,
        weeks_ahead: int = DEFAULT_WEEKS_AHEAD,
        retention: Retention | None = None,
        references: References | None = None,
        read_settings: Callable[[psycopg.Connection[Any]], MaintenanceSettings] | None = None,
    ) -> None:
        """Take the settings from `read_settings`, anew for each round, or else from `retention` and `references`."""
        super().__init__("maintenance", database, interval_seconds=None)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._weeks_ahead = weeks_ahead
        self._retention = retention or Retention()
        self._references = references or References()
        self._read_settings = read_settings

    def run_once(self) -> bool:
        """One round."""
        if self._read_settings is not None:
            with self.database.transaction() as connection:
                settings = self._read_settings(connection)
            self._retention, self._references = settings.retention, settings.reference
        # Not left to another replica: without a partition nobody can ingest.
        done = {"partitions_made": ensure_partitions(self.database, self._weeks_ahead)}
        try:
            close_slice(
                self.database, self._references
            )  # so that roll-ups and retention also get on where nobody learns
            done["hours_rolled_up"] = self._roll_up()
            done["partitions_dropped"] = self._drop_partitions()
            done["slices_merged"] = self._merge_evidence()
            done |= self._trim_all()
        except AnotherReplicaError:
            log.debug("maintenance_left_to_another_replica")
        # The newest hours are rolled up every time: nothing to tell.
        if told := {name: count for name, count in done.items() if count and name != "hours_rolled_up"}:
            log.info("maintenance_done", **told)
        return False

    def _roll_up(self) -> int:
        with self._alone() as connection:
            row = connection.execute(_ROLL_UP_STRETCH.text).fetchone()
        if row is None:
            return 0
        since, end = row
        hours = 0
        while since < end and not self.stopping:
            until = min(since + _ROLL_UP_STEP, end)
            self._roll_up_stretch(since, until)
            hours += (until - since) // timedelta(hours=1)
            since = until
        return hours

    def _roll_up_stretch(self, since: datetime, until: datetime) -> None:
        with self._alone() as connection:
            connection.execute(_CLEAR_ROLL_UP.text, {"since": since, "until": until})
            connection.execute(_ROLL_UP.text, {"since": since, "until": until})

    def _drop_partitions(self) -> int:
        dropped = 0
        while self._retention.records_days and not self.stopping:
            try:
                with self._alone() as connection:
                    partition = drop_expired_partition(connection, self._retention.records_days)
            except psycopg.errors.LockNotAvailable:
                log.info("partition_drop_postponed", reason="somebody reads routing_records", until="the next round")
                break
            if partition is None:
                break
            log.info("partition_dropped", **partition._asdict())
            dropped += 1
        return dropped

    def _merge_evidence(self) -> int:
        with self._alone() as connection:
            weighed = {"weighed_records": _WEIGHED_RECORDS, "weighed_slices": _WEIGHED_SLICES}
            row = connection.execute(_MERGE_EVIDENCE.text, weighed).fetchone()
        return int(row[0]) if row else 0

    def _trim_all(self) -> dict[str, int]:
        keep = self._retention
        trimmed_ids = 0
        while not self.stopping:
            window = {"window": timedelta(days=keep.decision_ids_days), "limit": _TRIM_BATCH}
            batch = self._trim(_TRIM_DECISION_IDS.text, window)
            trimmed_ids += batch
            if batch < _TRIM_BATCH:
                break
        return {
            "decision_ids_trimmed": trimmed_ids,
            "score_updates_trimmed": self._trim(_TRIM_SCORE_UPDATES.text, _older_than(keep.score_updates_days)),
            "roll_ups_trimmed": self._trim(_TRIM_ROLL_UPS.text, _older_than(keep.roll_ups_days)),
            "dead_letters_trimmed": self._trim(_TRIM_DEAD_LETTERS.text, _older_than(keep.dead_letters_days)),
            "findings_trimmed": self._trim(_TRIM_FINDINGS.text, _older_than(keep.findings_days)),
            "score_history_trimmed": self._trim(_TRIM_SCORE_HISTORY.text, _older_than(keep.score_history_days)),
            "learning_runs_trimmed": self._trim(_TRIM_UNPUBLISHED_RUNS.text)
            + self._trim(_TRIM_LEARNING_RUNS.text, _older_than(keep.score_history_days)),
            "workers_trimmed": self._trim(_TRIM_WORKERS.text),
        }

    def _trim(self, query: bytes, parameters: dict[str, Any] | None = None) -> int:
        with self._alone() as connection:
            return connection.execute(query, parameters).rowcount

    @contextmanager
    def _alone(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction in which no other replica does maintenance.

        Raises:
            AnotherReplicaError: one does; there is nothing left to do here.
        """
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            row = connection.execute(_TRY_LOCK.text).fetchone()
            if not row or not row[0]:
                raise AnotherReplicaError
            yield connection


def _older_than(days: int) -> dict[str, Any]:
    return {"retention": timedelta(days=days)}
