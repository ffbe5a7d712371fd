"""The maintenance task: creates partitions ahead of time, rolls up hours, merges evidence, and deletes expired rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.maintenance.retention import Retention
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD, drop_expired_partition, ensure_partitions
from centralcloud.store.slices import References, close_slice

log = get_logger(__name__)


class _PendingRollUp(NamedTuple):
    """The time that must be rolled up; it begins and ends at full hours (UTC)."""

    since: datetime
    until: datetime


_TRY_LOCK_MAINTENANCE = Query(__package__, "try_lock_maintenance", row=bool)
_MERGE_EVIDENCE = Query(__package__, "merge_evidence", row=int)
_PENDING_ROLL_UP = Query(__package__, "pending_roll_up", row=_PendingRollUp)
_DELETE_ROLL_UP = Query(__package__, "delete_roll_up")
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
_TRIM_NEW_MODEL_NAMES = Query(__package__, "trim_new_model_names")
#: Rows that one transaction deletes: few enough that no other transaction waits for it noticeably.
_TRIM_BATCH: Final = 10_000
#: The slices of the newest records are not merged: the adaptive rule weighs its newest 45,000 outcomes slice by slice, and a
#: decision may have two records.
_WEIGHED_RECORDS: Final = 90_000
#: At most so many slices are kept unmerged for that: with little traffic, 90,000 records are very many small slices.
_WEIGHED_SLICES: Final = 2000
#: Hours that one transaction rolls up.
_ROLL_UP_STEP: Final = timedelta(days=1)


class AnotherReplicaError(Exception):
    """Another replica is doing maintenance."""


class MaintenanceSettings(NamedTuple):
    """Settings of one round.

    Attributes:
        retention: days that rows are kept.
        references: caps of the evidence of the slice that the round closes.
    """

    retention: Retention
    references: References


class Maintenance(BackgroundTask):
    """Runs once at the start and then at every interval, or when woken. One replica at a time does the work."""

    def __init__(
        self,
        database: Database,
        *,
        weeks_ahead: int = DEFAULT_WEEKS_AHEAD,
        retention: Retention | None = None,
        references: References | None = None,
        interval_seconds: float | None = None,
        read_settings: Callable[[psycopg.Connection[Any]], MaintenanceSettings] | None = None,
    ) -> None:
        """Take the settings from `read_settings`, anew for each round, or else from `retention` and `references`."""
        super().__init__("maintenance", database, interval_seconds=interval_seconds)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._weeks_ahead = weeks_ahead
        self._settings = MaintenanceSettings(retention or Retention(), references or References())
        fixed = self._settings
        self._read_settings = read_settings or (lambda _: fixed)

    def run_once(self) -> bool:
        """Do all maintenance once; never asks to be run again at once."""
        with self.database.transaction() as connection:
            self._settings = self._read_settings(connection)
        # Every replica creates partitions: ingest fails without one.
        done = {"partitions_created": ensure_partitions(self.database, self._weeks_ahead)}
        try:
            # Roll-ups and retention need closed slices, also in a fleet whose learner does not run.
            close_slice(self.database, self._settings.references)
            # Not logged: the newest hours are rolled up every time.
            self._roll_up()
            done["partitions_dropped"] = self._drop_partitions()
            done["slices_merged"] = self._merge_evidence()
            done |= self._trim_all()
        except AnotherReplicaError:
            log.debug("maintenance_left_to_another_replica")
        if changed := {name: count for name, count in done.items() if count}:
            log.info("maintenance_done", **changed)
        return False

    def _roll_up(self) -> None:
        with self._exclusive() as connection:
            pending = _PENDING_ROLL_UP.maybe(connection)
        if pending is None:
            return
        since = pending.since
        while since < pending.until and not self.stopping:
            hours = {"since": since, "until": min(since + _ROLL_UP_STEP, pending.until)}
            with self._exclusive() as connection:
                _DELETE_ROLL_UP.run(connection, hours)
                _ROLL_UP.run(connection, hours)
            since = hours["until"]

    def _drop_partitions(self) -> int:
        dropped = 0
        while self._settings.retention.records_days and not self.stopping:
            try:
                with self._exclusive() as connection:
                    partition = drop_expired_partition(connection, self._settings.retention.records_days)
            except psycopg.errors.LockNotAvailable:
                log.info("partition_drop_postponed", reason="a transaction reads routing_records", until="the next run")
                break
            if partition is None:
                break
            log.info("partition_dropped", **partition._asdict())
            dropped += 1
        return dropped

    def _merge_evidence(self) -> int:
        with self._exclusive() as connection:
            unmerged = {"weighed_records": _WEIGHED_RECORDS, "weighed_slices": _WEIGHED_SLICES}
            return _MERGE_EVIDENCE.one(connection, unmerged)

    def _trim_all(self) -> dict[str, int]:
        keep = self._settings.retention
        return {
            "decision_ids_trimmed": self._trim_decision_ids(timedelta(days=keep.decision_ids_days)),
            "score_updates_trimmed": self._trim(_TRIM_SCORE_UPDATES, keep.score_updates_days),
            "roll_ups_trimmed": self._trim(_TRIM_ROLL_UPS, keep.roll_ups_days),
            "dead_letters_trimmed": self._trim(_TRIM_DEAD_LETTERS, keep.dead_letters_days),
            "findings_trimmed": self._trim(_TRIM_FINDINGS, keep.findings_days),
            "score_history_trimmed": self._trim(_TRIM_SCORE_HISTORY, keep.score_history_days),
            "learning_runs_trimmed": self._trim(_TRIM_UNPUBLISHED_RUNS)
            + self._trim(_TRIM_LEARNING_RUNS, keep.score_history_days),
            "workers_trimmed": self._trim(_TRIM_WORKERS),
            "new_model_names_trimmed": self._trim(_TRIM_NEW_MODEL_NAMES),
        }

    def _trim_decision_ids(self, window: timedelta) -> int:
        """Delete the ids of decisions in batches: there can be millions."""
        trimmed = 0
        while not self.stopping:
            with self._exclusive() as connection:
                batch = _TRIM_DECISION_IDS.run(connection, {"window": window, "limit": _TRIM_BATCH})
            trimmed += batch
            if batch < _TRIM_BATCH:
                break
        return trimmed

    def _trim(self, query: Query[Any], retention_days: int | None = None) -> int:
        parameters = None if retention_days is None else {"retention": timedelta(days=retention_days)}
        with self._exclusive() as connection:
            return query.run(connection, parameters)

    @contextmanager
    def _exclusive(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a transaction in which no other replica does maintenance.

        Raises:
            AnotherReplicaError: another replica is doing maintenance, and will do the rest.
        """
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            if not _TRY_LOCK_MAINTENANCE.one(connection):
                raise AnotherReplicaError
            yield connection
