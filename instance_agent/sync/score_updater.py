"""The score updater: brings learned scores from the database to the catalog.

It reads `model_score_updates` as a log: every instance reads behind a cursor of its own and deletes nothing, so every update
reaches every instance. Polling is the guarantee; a notification only starts the next poll sooner. At the start and at every
reconcile interval it also reads the snapshot of all published scores, which repairs whatever it missed.
"""

import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from msgspec import structs

from centralcloud.contracts import ContractError, parse_estimate, parse_score_update
from centralcloud.contracts.validators import is_score
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile

log = get_logger(__name__)


class LogMessage(NamedTuple):
    """A message of `model_score_updates`."""

    msg_id: int
    enqueued_at: datetime
    text: str | None


class PublishedScore(NamedTuple):
    """A score of the snapshot, with the parts of its estimate."""

    model: str
    complexity: str
    score: Decimal
    version: int
    updated_at: datetime
    reason: str
    mean: float | None
    n_eff: float | None
    probe_share: float | None


_READ_LOG = Query(__package__, "read_log")
_START_READ_ONLY_SNAPSHOT = Query(__package__, "start_read_only_snapshot")
_READ_SNAPSHOT = Query(__package__, "read_snapshot", row=PublishedScore)
_ACKNOWLEDGE = Query(__package__, "acknowledge")

#: Most messages that one read of the log returns; with fewer there are no more.
_LOG_PAGE: Final = 1000
#: A notification wakes the whole fleet at once. An instance that has applied the scores leaves the server to the others:
#: it pauses for a random time in this range, then acknowledges. With 100 instances, this halves the time until all have
#: the scores.
_PAUSE_SECONDS: Final = (0.1, 0.2)
#: A message may become visible after one with a higher id. The reader looks for a missing id for this long.
_GAP_TIMEOUT_SECONDS: Final = 600.0
_MAX_GAPS: Final = 1000


class PollResult(NamedTuple):
    """The result of one poll: epoch, log and snapshot of one moment. `snapshot` is None when a reconcile is not due."""

    epoch: str
    updates: list[LogMessage]
    snapshot: list[PublishedScore] | None


class ScoreUpdater(BackgroundTask):
    """Polls for score updates, stores them in a file, and passes them to `on_change`.

    While the database is unavailable, the file and the catalog keep the last good scores.
    """

    def __init__(
        self,
        database: Database,
        *,
        instance_id: str,
        file: LearnedScoresFile,
        poll_interval_seconds: float = 10.0,
        reconcile_interval_seconds: float = 60.0,
        on_change: Callable[[LearnedScores], None] | None = None,
        catalog_models: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Create the task.

        Args:
            catalog_models: returns the models of the catalog; their scores are kept before those of other models.
        """
        super().__init__("score-updater", database, interval_seconds=poll_interval_seconds)
        self._instance_id = instance_id
        self._file = file
        self._reconcile_interval_seconds = reconcile_interval_seconds
        self._reconciled_at: float | None = None
        self._gaps = _Gaps()
        self._written: LearnedScores | None = file.read()
        self._learned = self._written
        self._unwritable = False
        self._catalog_models = catalog_models
        self._limited = False
        self.on_change = on_change
        self.refused = 0

    @property
    def learned(self) -> LearnedScores:
        """The current scores."""
        return self._learned

    def run_once(self) -> bool:
        """Poll once: read what is new, apply it, store it, acknowledge it. Return False: a poll reads everything there is.

        Scores are used before they are stored or acknowledged: neither the disk nor the database may delay them.
        """
        known = self._learned
        read = self._read(known, with_snapshot=self._reconcile_is_due())
        if read.epoch != known.epoch or _contradicts(known, read.snapshot):
            learned = self._read_everything(known, read.epoch)
        else:
            learned = self._apply_updates(known, read.updates)
            learned = self._apply_snapshot(learned, read.snapshot or [])
        learned = self._limit(known, learned)
        if read.snapshot is not None:
            self._reconciled_at = time.monotonic()
        if learned is not known:
            self._use(learned)
            if self.woken:
                self.pause(random.uniform(*_PAUSE_SECONDS))
        if self._store():
            with self.database.connection() as connection:
                _ACKNOWLEDGE.run(connection, {"instance_id": self._instance_id, "version": learned.version})
        return False

    def is_outage(self, error: BaseException) -> bool:
        """Return True for every database error: the instance continues with the scores it has, and retries."""
        return is_database_error(error)

    def _read(self, known: LearnedScores, *, with_snapshot: bool) -> PollResult:
        cursor = self._gaps.read_after(known.cursor)
        if not with_snapshot:
            with self.database.connection() as connection:
                return PollResult(*_read_log(connection, cursor), snapshot=None)
        with self.database.transaction() as connection:
            _START_READ_ONLY_SNAPSHOT.run(connection)
            epoch, updates = _read_log(connection, cursor)
            return PollResult(epoch, updates, _READ_SNAPSHOT.all(connection))

    def _reconcile_is_due(self) -> bool:
        due_at = None if self._reconciled_at is None else self._reconciled_at + self._reconcile_interval_seconds
        return due_at is None or time.monotonic() >= due_at

    def _read_everything(self, known: LearnedScores, epoch: str) -> LearnedScores:
        """Return all scores of a database that is new to this instance: its snapshot, and the manual scores of its log."""
        if known.epoch is not None:
            log.warning("database_changed", before=known.epoch, now=epoch, effect="starting over from its scores")
        self._gaps = _Gaps()
        empty = LearnedScores(epoch=epoch)
        read = self._read(empty, with_snapshot=True)
        learned = self._apply_snapshot(empty, read.snapshot or [])
        return self._apply_updates(learned, read.updates, manual_only=True)

    def _apply_updates(
        self, learned: LearnedScores, updates: list[LogMessage], *, manual_only: bool = False
    ) -> LearnedScores:
        for msg_id, enqueued_at, text in updates:
            if not self._gaps.is_new(msg_id, learned.cursor, enqueued_at):
                continue
            learned = replace(learned, cursor=max(learned.cursor, msg_id))
            try:
                update = parse_score_update(text)
            except ContractError as error:
                self._refuse("message", msg_id, str(error))
                continue
            if update.version is not None and manual_only:
                continue
            # `timestamp` is the time of publication; `enqueued_at` is the start of the sender's transaction.
            at = update.timestamp if update.version is not None and update.timestamp else enqueued_at
            score = LearnedScore(
                score=update.new_score,
                version=update.version,
                at=at,
                reason=update.reason,
                estimate=structs.replace(update.estimate, interval=None),  # the snapshot has none
            )
            learned = learned.with_score((update.model, update.complexity), score)
        return learned

    def _apply_snapshot(self, learned: LearnedScores, rows: list[PublishedScore]) -> LearnedScores:
        for row in rows:
            if not is_score(float(row.score)):
                found = f"{row.model} ({row.complexity}): found {row.score}, expected a score from 0 to 5"
                self._refuse("snapshot", row.version, found)
                continue
            score = LearnedScore(
                score=float(row.score),
                version=row.version,
                at=row.updated_at,
                reason=row.reason,
                estimate=parse_estimate(row._asdict()),
            )
            learned = learned.with_score((row.model, row.complexity), score)
        return learned

    def _limit(self, known: LearnedScores, learned: LearnedScores) -> LearnedScores:
        """Return the scores that the instance keeps; `known` if they are the same ones as before."""
        kept = learned.limited(self._catalog_models())
        if kept is learned:
            return learned
        if not self._limited:
            log.warning("learned_scores_limited", received=len(learned.scores), kept=len(kept.scores))
        self._limited = True
        return known if kept == known else kept

    def _use(self, learned: LearnedScores) -> None:
        """Route by `learned` from now on, even if it cannot be stored."""
        before, self._learned = self._learned, learned
        if self.on_change:
            self.on_change(learned)
        if changed := _count_changes(before, learned):
            log.info("scores_applied", version=learned.version, changed=changed)

    def _store(self) -> bool:
        """Write the current scores to the file if it lacks them; return whether it has them. The next poll retries."""
        if self._written is self._learned:
            return True
        try:
            self._file.write(self._learned)
        except OSError as error:
            if not self._unwritable:
                log.error("learned_scores_not_written", path=str(self._file.path), reason=str(error))
            self._unwritable = True
            return False
        if self._unwritable:
            log.info("learned_scores_written_again", path=str(self._file.path))
        self._unwritable = False
        self._written = self._learned
        return True

    def _refuse(self, source: str, number: int, reason: str) -> None:
        self.refused += 1
        log.warning("score_update_refused", source=source, number=number, reason=reason)


class _Gaps:
    """Ids of the log that were missing when a higher one was read. Most never appear: their sender rolled back."""

    def __init__(self) -> None:
        self._missing: dict[int, float] = {}

    def read_after(self, cursor: int) -> int:
        """Return the id after which to read, so that the read includes every missing message."""
        now = time.monotonic()
        self._missing = {msg_id: until for msg_id, until in self._missing.items() if until > now}
        return min(self._missing, default=cursor + 1) - 1

    def is_new(self, msg_id: int, cursor: int, enqueued_at: datetime) -> bool:
        """Return whether a message is read for the first time; remember the ids missing between it and the cursor."""
        if msg_id <= cursor:
            return self._missing.pop(msg_id, None) is not None
        age_seconds = (datetime.now(UTC) - enqueued_at).total_seconds()
        if age_seconds < _GAP_TIMEOUT_SECONDS:
            until = time.monotonic() + _GAP_TIMEOUT_SECONDS
            first = max(cursor + 1, msg_id - _MAX_GAPS)
            self._missing.update(dict.fromkeys(range(first, msg_id), until))
        return True


def _contradicts(known: LearnedScores, snapshot: list[PublishedScore] | None) -> bool:
    """Return whether the database has lost scores that were read from it: it was restored in place to an earlier state.

    Within one history a version never decreases, and log and snapshot are read at one moment.
    """
    if snapshot is None:
        return False
    versions = {(row.model, row.complexity): row.version for row in snapshot}
    return any(
        score.version is not None and score.version > versions.get(pair, 0) for pair, score in known.scores.items()
    )


def _read_log(connection: psycopg.Connection[Any], cursor: int) -> tuple[str, list[LogMessage]]:
    """Return the epoch and every message after `cursor`."""
    updates: list[LogMessage] = []
    while True:
        rows = _READ_LOG.all(connection, {"cursor": cursor})
        page = [LogMessage(*row[1:]) for row in rows if row[1] is not None]
        updates += page
        if len(page) < _LOG_PAGE:
            return rows[0][0], updates
        cursor = page[-1].msg_id


def _count_changes(before: LearnedScores, after: LearnedScores) -> int:
    return sum(before.scores.get(pair) != score for pair, score in after.scores.items())
