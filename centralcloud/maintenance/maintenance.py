"""The maintenance task: creates partitions ahead of time, rolls up hours, merges evidence, and deletes expired rows."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.maintenance.clock import ServerClock
from centralcloud.maintenance.retention import Retention
from centralcloud.maintenance.usage import TRIM_ESCALATIONS, TRIM_USAGE, UsageSums
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.wording import counted
from centralcloud.store.partitions import (
    DEFAULT_WEEKS_AHEAD,
    MissingPartitionsError,
    drop_expired_partition,
    ensure_partitions,
    missing_weeks,
)
from centralcloud.store.slices import References, close_slice

log = get_logger(__name__)


class _PendingRollUp(NamedTuple):
    """The time that must be rolled up; it begins and ends at full hours (UTC)."""

    since: datetime
    until: datetime


_TRY_LOCK_MAINTENANCE = Query(__package__, "try_lock_maintenance", row=bool)
_MERGE_EVIDENCE = Query(__package__, "merge_evidence", row=int)
_PENDING_ROLL_UP = Query(__package__, "pending_roll_up", row=_PendingRollUp)
_ROLL_UP_IS_MISSING = Query(__package__, "roll_up_is_missing", row=bool)
_DELETE_ROLL_UP = Query(__package__, "delete_roll_up")
_ROLL_UP = Query(__package__, "roll_up")
_TRIM_DECISION_IDS = Query(__package__, "trim_decision_ids")
_TRIM_SCORE_UPDATES = Query(__package__, "trim_score_updates")
_TRIM_ROLL_UPS = Query(__package__, "trim_roll_ups")
_TRIM_DEAD_LETTERS = Query(__package__, "trim_dead_letters")
_TRIM_FINDINGS = Query(__package__, "trim_findings")
_TRIM_FLEET_MINUTES = Query(__package__, "trim_fleet_minutes")
_TRIM_SCORE_HISTORY = Query(__package__, "trim_score_history")
_TRIM_MODEL_CHANGES = Query(__package__, "trim_model_changes")
_TRIM_MODEL_VERSIONS = Query(__package__, "trim_model_versions")
_TRIM_UNPUBLISHED_RUNS = Query(__package__, "trim_unpublished_runs")
_TRIM_LEARNING_RUNS = Query(__package__, "trim_learning_runs")
_TRIM_WORKERS = Query(__package__, "trim_workers")
_TRIM_INSTANCES = Query(__package__, "trim_instances")
_TRIM_MESSAGE_IDS = Query(__package__, "trim_message_ids")
_TRIM_NEW_MODEL_NAMES = Query(__package__, "trim_new_model_names")
_TRIM_REQUEST_PLANS = Query(__package__, "trim_request_plans")
_TRIM_FEEDBACK = Query(__package__, "trim_feedback")
_TRIM_WAITING_FEEDBACK = Query(__package__, "trim_waiting_feedback")
_TRIM_TARGET_HEALTH = Query(__package__, "trim_target_health")
_SETTLE_FEEDBACK = Query(__package__, "settle_waiting_feedback", row=int)
#: Partitions that one round drops: the weeks of a month, so that a monthly schedule keeps up.
_MOST_PARTITIONS: Final = 5
#: Instances that one round deletes.
_MOST_INSTANCES: Final = 1000
#: Rows that one transaction deletes: few enough that no other transaction waits for it noticeably.
_TRIM_BATCH: Final = 10_000
#: The slices of the newest records are not merged: the adaptive rule weighs its newest 15,000 outcomes one by one (45,000
#: in scores from the time when its half-life was 3,000, for `verify --scores`), and a decision may have two records.
_WEIGHED_RECORDS: Final = 90_000
#: At most so many slices are kept unmerged for that: with little traffic, 90,000 records are very many small slices.
_WEIGHED_SLICES: Final = 2000
#: Time between two looks for records of an hour that is not rolled up yet, and the wait after a round that another replica's
#: round has ended.
_CHECK_SECONDS: Final = 60.0
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
    """One round at the start and then at every interval, or when woken. One replica at a time does the work.

    Between two rounds it rolls up soon after the first records of an hour have arrived: those of a database that was empty
    at the start, for example, do not wait for the next round. The sums of use are made about every minute.

    A round deletes little: at most 5 partitions and 1,000 instances, and of the other rows those that a day expires. It
    deletes nothing after a jump of the server's clock, and no record or decision id that the newest record does not expire.
    """

    def __init__(
        self,
        database: Database,
        *,
        weeks_ahead: int = DEFAULT_WEEKS_AHEAD,
        retention: Retention | None = None,
        references: References | None = None,
        interval_seconds: float | None = None,
        read_settings: Callable[[psycopg.Connection[Any]], MaintenanceSettings] | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        """Take the settings from `read_settings`, anew for each round, or else from `retention` and `references`.

        The tasks of a process share one `clock`.
        """
        checks = math.ceil((interval_seconds or 0.0) / _CHECK_SECONDS) or 1
        super().__init__("maintenance", database, interval_seconds=(interval_seconds or _CHECK_SECONDS) / checks)
        self._round_seconds = interval_seconds or math.inf
        self._next_round = time.monotonic()
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._weeks_ahead = weeks_ahead
        self._missing_weeks: list[str] = []
        self._clock = clock or ServerClock(database)
        self._settings = MaintenanceSettings(retention or Retention(), references or References())
        self._usage = UsageSums(self._exclusive, lambda: self.stopping)
        fixed = self._settings
        self._read_settings = read_settings or (lambda _: fixed)

    def run_once(self) -> bool:
        """Do a round if it is due, else roll up if an hour is missing; never asks to be run again at once.

        While a coming week has no partition, every run tries to create it, and the rounds keep their interval.

        Raises:
            MissingPartitionsError: see `maintain`.
        """
        if self.woken or time.monotonic() >= self._next_round:
            finished = self._do_round()
            wait = self._round_seconds if finished else min(self._round_seconds, _CHECK_SECONDS)
            self._next_round = time.monotonic() + wait
            self.woken = False  # a repeated run is not a round again
        else:
            if self._missing_weeks:
                self._create_partitions()
            self._roll_up_missing_hours()
            with suppress(AnotherReplicaError):  # the next check looks again
                self._usage.sum_if_due()
        self._settle_feedback()
        self._require_partitions()
        return False

    def maintain(self) -> bool:
        """Do one round of all maintenance; False if another replica is doing a part of it.

        Raises:
            MissingPartitionsError: a coming week has no partition, and it cannot be created. Everything else is done.
        """
        finished = self._do_round()
        self._require_partitions()
        return finished

    def _do_round(self) -> bool:
        with self.database.transaction() as connection:
            self._settings = self._read_settings(connection)
        # Every replica creates partitions: ingest fails without one.
        done = {"partitions_created": self._create_partitions()}
        clock = self._clock.observe()
        try:
            # Roll-ups and retention need closed slices, also in a fleet whose learner does not run.
            close_slice(self.database, self._settings.references)
            # Not logged: the newest hours are rolled up every time.
            self._roll_up()
            self._usage.sum()
            with self._exclusive() as connection:
                retention_round = self._clock.retention_round(connection, clock)
            if retention_round is not None:
                done |= self._delete_expired(retention_round.as_of)
                with self._exclusive() as connection:
                    self._clock.end_retention_round(connection, retention_round)
        except AnotherReplicaError:
            log.debug("maintenance_left_to_another_replica")
            finished = False
        else:
            finished = True
        if changed := {name: count for name, count in done.items() if count}:
            log.info("maintenance_done", **changed)
        return finished

    def _create_partitions(self) -> int:
        """Create the partitions of the coming weeks; return how many were created."""
        created = ensure_partitions(self.database, self._weeks_ahead)
        with self.database.transaction() as connection:
            self._missing_weeks = missing_weeks(connection, self._weeks_ahead)
        return created

    def _require_partitions(self) -> None:
        if missing := self._missing_weeks:
            raise MissingPartitionsError(
                f"routing_records has no partition for {counted(len(missing), 'coming week')}, from {missing[0]} on, and it "
                "cannot be created: `centralcloud doctor` shows more"
            )

    def _roll_up_missing_hours(self) -> None:
        with self.database.transaction() as connection:
            missing = _ROLL_UP_IS_MISSING.one(connection)
        if missing:
            with suppress(AnotherReplicaError):  # the next check looks again
                self._roll_up()

    def _settle_feedback(self) -> None:
        """Apply feedback that was reported while its record was being ingested: neither of the two saw the other."""
        with self.database.transaction() as connection:
            settled = _SETTLE_FEEDBACK.one(connection)
        if settled:
            log.info("feedback_settled", count=settled)

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

    def _delete_expired(self, as_of: datetime) -> dict[str, int]:
        """Drop, merge and delete what is old enough at the time `as_of`; return a count for each kind."""
        keep = self._settings.retention
        history = timedelta(days=keep.score_history_days)
        expired = {
            "score_updates_trimmed": (_TRIM_SCORE_UPDATES, keep.score_updates_days),
            "roll_ups_trimmed": (_TRIM_ROLL_UPS, keep.roll_ups_days),
            "usage_trimmed": (TRIM_USAGE, keep.roll_ups_days),
            "escalations_trimmed": (TRIM_ESCALATIONS, keep.roll_ups_days),
            "dead_letters_trimmed": (_TRIM_DEAD_LETTERS, keep.dead_letters_days),
            "findings_trimmed": (_TRIM_FINDINGS, keep.findings_days),
            "feedback_trimmed": (_TRIM_FEEDBACK, keep.feedback_days),
            "fleet_minutes_trimmed": (_TRIM_FLEET_MINUTES, keep.fleet_minutes_days),
            "score_history_trimmed": (_TRIM_SCORE_HISTORY, keep.score_history_days),
            "model_changes_trimmed": (_TRIM_MODEL_CHANGES, keep.score_history_days),
            "model_versions_trimmed": (_TRIM_MODEL_VERSIONS, keep.instances_days),
        }
        return {
            "partitions_dropped": self._drop_partitions(as_of),
            "slices_merged": self._merge_evidence(as_of),
            "decision_ids_trimmed": self._trim_batches(
                _TRIM_DECISION_IDS, as_of, window=timedelta(days=keep.decision_ids_days)
            ),
            "request_plans_trimmed": self._trim_batches(
                _TRIM_REQUEST_PLANS, as_of, retention=timedelta(days=keep.request_plans_days)
            ),
            "waiting_feedback_expired": self._trim(_TRIM_WAITING_FEEDBACK, as_of),
            **{
                name: self._trim(query, as_of, retention=timedelta(days=days))
                for name, (query, days) in expired.items()
            },
            "learning_runs_trimmed": self._trim(_TRIM_UNPUBLISHED_RUNS, as_of)
            + self._trim(_TRIM_LEARNING_RUNS, as_of, retention=history),
            "workers_trimmed": self._trim(_TRIM_WORKERS, as_of),
            "target_health_trimmed": self._trim(_TRIM_TARGET_HEALTH, as_of),
            "message_ids_trimmed": self._trim(_TRIM_MESSAGE_IDS, as_of),
            "new_model_names_trimmed": self._trim(_TRIM_NEW_MODEL_NAMES, as_of),
            "instances_trimmed": self._trim(
                _TRIM_INSTANCES, as_of, retention=timedelta(days=keep.instances_days), limit=_MOST_INSTANCES
            ),
        }

    def _drop_partitions(self, as_of: datetime) -> int:
        dropped = 0
        days = self._settings.retention.records_days
        while days and dropped < _MOST_PARTITIONS and not self.stopping:
            try:
                with self._exclusive() as connection:
                    partition = drop_expired_partition(connection, days, as_of)
            except psycopg.errors.LockNotAvailable:
                log.info("partition_drop_postponed", reason="a transaction reads routing_records", until="the next run")
                break
            if partition is None:
                break
            log.info("partition_dropped", **partition._asdict())
            dropped += 1
        return dropped

    def _merge_evidence(self, as_of: datetime) -> int:
        with self._exclusive() as connection:
            unmerged = {"weighed_records": _WEIGHED_RECORDS, "weighed_slices": _WEIGHED_SLICES}
            return _MERGE_EVIDENCE.one(connection, {**unmerged, "as_of": as_of})

    def _trim_batches(self, query: Query[Any], as_of: datetime, **parameters: Any) -> int:
        """Delete rows in batches: there can be millions."""
        trimmed = 0
        while not self.stopping:
            batch = self._trim(query, as_of, limit=_TRIM_BATCH, **parameters)
            trimmed += batch
            if batch < _TRIM_BATCH:
                break
        return trimmed

    def _trim(self, query: Query[Any], as_of: datetime, **parameters: Any) -> int:
        with self._exclusive() as connection:
            return query.run(connection, {"as_of": as_of, **parameters})

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
