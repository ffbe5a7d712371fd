"""Bringing learned scores from the database to the catalog.

`model_score_updates` is read as a log: every instance peeks behind its own cursor and deletes nothing, so every update
reaches every instance. The poll is the guarantee; a notification only makes it come sooner. At the start and at every
reconcile interval the whole table of scores is read as well, so that whatever was missed is made good.
"""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import ContractError, parse_score_update
from centralcloud.contracts.score_update import is_score, is_share, usable_estimate
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile

log = get_logger(__name__)

#: The epoch in every row, and in a row of its own when nothing is new: one round trip for both.
_LOG: Final = """
    SELECT (SELECT centralcloud.epoch()), log.msg_id, log.enqueued_at, log.message::text
    FROM (SELECT) AS always LEFT JOIN centralcloud.score_updates_since(%s) AS log ON true
    ORDER BY log.msg_id
"""
#: What `score_updates_since` returns at most: with fewer rows there are no more.
_LOG_PAGE: Final = 1000
_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SNAPSHOT: Final = """
    SELECT model_name, complexity_level, score, version, updated_at, reason, mean, n_eff, probe_share
    FROM centralcloud.current_scores()
"""
_ACKNOWLEDGE: Final = "SELECT centralcloud.acknowledge(%s, %s)"
#: A notification wakes the whole fleet at once: an instance that has applied the scores leaves the server to those that have
#: not, for so long (from, to). Measured with 100 instances: all have applied them in half the time.
_PAUSE_SECONDS: Final = (0.1, 0.2)
#: A message may become visible after one with a higher id: ids that are missing are looked for this long.
_GAP_PATIENCE_SECONDS: Final = 600.0
_MOST_GAPS: Final = 1000

#: msg_id, enqueued_at, text
_LogRow = tuple[int, datetime, str | None]
#: model, complexity, score, version, updated_at, reason, mean, n_eff, probe_share
_ScoreRow = tuple[str, str, Decimal, int, datetime, str, float | None, float | None, float | None]


class PollResult(NamedTuple):
    """What one poll has read; epoch, log and snapshot are of one moment. `snapshot` is None when its time has not come."""

    epoch: str
    updates: list[_LogRow]
    snapshot: list[_ScoreRow] | None


class ScoreUpdater(BackgroundTask):
    """Polls for score updates, keeps them in a file, and hands them to `on_change`.

    Without the database the last good scores stay, in the file and in the catalog.
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
    ) -> None:
        super().__init__("score-updater", database, interval_seconds=poll_interval_seconds)
        self._instance_id = instance_id
        self._file = file
        self._reconcile_interval_seconds = reconcile_interval_seconds
        self._reconciled_at: float | None = None
        self._gaps = _Gaps()
        self._written: LearnedScores | None = file.read()
        self._learned = self._written
        self._unwritable = False
        self.on_change = on_change
        self.refused = 0

    @property
    def learned(self) -> LearnedScores:
        """The scores as they stand now."""
        return self._learned

    def run_once(self) -> bool:
        """One poll: read what is new, apply it, keep it, acknowledge it. Never more at once: a poll reads everything.

        Applied first: neither the disk nor an answer of the database stands between a score and its use.
        """
        known = self._learned
        read = self._read(known, with_snapshot=self._reconcile_is_due())
        if read.epoch != known.epoch or _contradicts(known, read.snapshot):
            learned = self._start_over(known, read.epoch)
        else:
            learned = self._apply_updates(known, read.updates)
            learned = self._apply_snapshot(learned, read.snapshot or [])
        if read.snapshot is not None:
            self._reconciled_at = time.monotonic()
        if learned is not known:
            self._use(learned)
            if self.woken:
                self.pause(random.uniform(*_PAUSE_SECONDS))
        if self._keep():
            with self.database.connection() as connection:
                connection.execute(_ACKNOWLEDGE, (self._instance_id, learned.version))
        return False

    def is_outage(self, error: BaseException) -> bool:
        """Every error of the database is waited out: the instance goes on with the scores it has."""
        return is_database_error(error)

    def _read(self, known: LearnedScores, *, with_snapshot: bool) -> PollResult:
        cursor = self._gaps.look_behind(known.cursor)
        if not with_snapshot:
            with self.database.connection() as connection:
                return PollResult(*_read_log(connection, cursor), snapshot=None)
        with self.database.transaction() as connection:
            connection.execute(_ONE_MOMENT)
            epoch, updates = _read_log(connection, cursor)
            return PollResult(epoch, updates, connection.execute(_SNAPSHOT).fetchall())

    def _reconcile_is_due(self) -> bool:
        due_at = None if self._reconciled_at is None else self._reconciled_at + self._reconcile_interval_seconds
        return due_at is None or time.monotonic() >= due_at

    def _start_over(self, known: LearnedScores, epoch: str) -> LearnedScores:
        """The scores of a database that is new to us: its snapshot, and what the log holds beside it (scores by hand)."""
        if known.epoch is not None:
            log.warning("database_changed", before=known.epoch, now=epoch, effect="starting over from its scores")
        self._gaps = _Gaps()
        empty = LearnedScores(epoch=epoch)
        read = self._read(empty, with_snapshot=True)
        learned = self._apply_snapshot(empty, read.snapshot or [])
        return self._apply_updates(learned, read.updates, only_by_hand=True)

    def _apply_updates(
        self, learned: LearnedScores, updates: list[_LogRow], *, only_by_hand: bool = False
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
            if update.version is not None and only_by_hand:
                continue
            # A version counts from its publication; the message's own time is the start of the sender's transaction.
            at = update.timestamp if update.version is not None and update.timestamp else enqueued_at
            score = LearnedScore(
                score=update.new_score,
                version=update.version,
                at=at,
                reason=update.reason,
                mean=update.mean,
                n_eff=update.n_eff,
                probe_share=update.probe_share,
            )
            learned = learned.with_score((update.model, update.complexity), score)
        return learned

    def _apply_snapshot(self, learned: LearnedScores, rows: list[_ScoreRow]) -> LearnedScores:
        for model, complexity, value, version, updated_at, reason, *estimate in rows:
            if not is_score(float(value)):
                self._refuse(
                    "snapshot", version, f"{model} ({complexity}): found {value}, expected a score from 0 to 5"
                )
                continue
            mean, n_eff = usable_estimate(*estimate[:2])
            probe_share = estimate[2] if is_share(estimate[2]) else None
            score = LearnedScore(
                score=float(value),
                version=version,
                at=updated_at,
                reason=reason,
                mean=mean,
                n_eff=n_eff,
                probe_share=probe_share,
            )
            learned = learned.with_score((model, complexity), score)
        return learned

    def _use(self, learned: LearnedScores) -> None:
        """Route by `learned` from now on, whether or not it can be written."""
        before, self._learned = self._learned, learned
        if self.on_change:
            self.on_change(learned)
        if changed := _count_changes(before, learned):
            log.info("scores_applied", version=learned.version, changed=changed)

    def _keep(self) -> bool:
        """Whether the file holds the scores as they stand; writes them if not. A poll tries again what the disk refused."""
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
    """Ids of the log that were missing when a greater one was read. Most never come: their sender rolled back."""

    def __init__(self) -> None:
        self._missing: dict[int, float] = {}

    def look_behind(self, cursor: int) -> int:
        """The id behind which to read, so that whatever is still missing would be found."""
        now = time.monotonic()
        self._missing = {msg_id: until for msg_id, until in self._missing.items() if until > now}
        return min(self._missing, default=cursor + 1) - 1

    def is_new(self, msg_id: int, cursor: int, enqueued_at: datetime) -> bool:
        """Whether a message that was read has not been seen before; notes what is missing between it and the cursor."""
        if msg_id <= cursor:
            return self._missing.pop(msg_id, None) is not None
        age_seconds = (datetime.now(UTC) - enqueued_at).total_seconds()
        if age_seconds < _GAP_PATIENCE_SECONDS:
            until = time.monotonic() + _GAP_PATIENCE_SECONDS
            first = max(cursor + 1, msg_id - _MOST_GAPS)
            self._missing.update(dict.fromkeys(range(first, msg_id), until))
        return True


def _contradicts(known: LearnedScores, snapshot: list[_ScoreRow] | None) -> bool:
    """Whether the database no longer has what we learned from it: it was restored to an earlier state in place.

    Within one history a version never goes back, and log and snapshot are read at one moment.
    """
    if snapshot is None:
        return False
    versions = {(model, complexity): version for model, complexity, _, version, *_ in snapshot}
    return any(
        score.version is not None and score.version > versions.get(pair, 0) for pair, score in known.scores.items()
    )


def _read_log(connection: psycopg.Connection[Any], cursor: int) -> tuple[str, list[_LogRow]]:
    """The epoch, and every message after `cursor`."""
    updates: list[_LogRow] = []
    while True:
        rows = connection.execute(_LOG, (cursor,)).fetchall()
        page = [row[1:] for row in rows if row[1] is not None]
        updates += page
        if len(page) < _LOG_PAGE:
            return rows[0][0], updates
        cursor = page[-1][0]


def _count_changes(before: LearnedScores, after: LearnedScores) -> int:
    return sum(before.scores.get(pair) != score for pair, score in after.scores.items())
