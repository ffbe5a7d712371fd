"""The score updater: brings learned scores from the database to the catalog.

It reads `model_score_updates` as a log: every instance reads behind a cursor of its own and deletes nothing, so every update
reaches every instance.
"""

import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg
from msgspec import structs

from centralcloud.contracts import ContractError, parse_estimate, parse_score_update
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.contracts.task_score import TaskScore, parse_task_scores
from centralcloud.contracts.validators import is_score
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.deadline_connection import DeadlineConnection
from centralcloud.runtime.postgres.query import Query
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.follower import Follower
from instance_agent.sync.reconciliation import PublishedScore, contradicts, corrected, log_start_over
from instance_agent.sync.token_bucket import TokenBucket

log = get_logger(__name__)


class LogMessage(NamedTuple):
    """A message of `model_score_updates`. `text` is None if it is larger than a message may be, or null."""

    msg_id: int
    enqueued_at: datetime
    text: str | None
    size_bytes: int | None


_READ_LOG = Query(__package__, "read_log")
_START_READ_ONLY_SNAPSHOT = Query(__package__, "start_read_only_snapshot")
_READ_SNAPSHOT = Query(__package__, "read_snapshot", row=PublishedScore)
_MAY_READ_TASK_SCORES = Query(__package__, "may_read_task_scores", row=bool)
_READ_TASK_SCORES = Query(__package__, "read_task_scores", row=dict)
_ACKNOWLEDGE = Query(__package__, "acknowledge")

#: Most bytes of the messages that one read of the log returns; ordinary ones have 600 bytes, and a read has 1,000 of them.
_PAGE_BYTES: Final = 2 * 2**20
#: A notification wakes the whole fleet at once. An instance that has applied the scores leaves the server to the others:
#: it pauses for a random time in this range, then acknowledges. With 100 instances, this halves the time until all have
#: the scores.
_PAUSE_SECONDS: Final = (0.1, 0.2)
#: Most polls that notifications start, in a second and at once: a storm of them costs a bounded rate, and a few publications
#: in a row are applied without a wait.
_WOKEN_POLLS_PER_SECOND: Final = 2.0
_WOKEN_POLLS_AT_ONCE: Final = 10
#: A message may become visible after one with a higher id. The reader looks for a missing id for this long.
_GAP_TIMEOUT_SECONDS: Final = 600.0
_MAX_GAPS: Final = 1000


class PollResult(NamedTuple):
    """The result of one poll: epoch, a page of the log, and snapshot of one moment.

    Attributes:
        more: whether the log may have more messages after this page.
        snapshot: None when a reconcile is not due.
    """

    epoch: str
    more: bool
    updates: list[LogMessage]
    snapshot: list[PublishedScore] | None


class ScoreUpdater(Follower[LearnedScores]):
    """Polls for score updates, stores them in a file, and passes them to `on_change`.

    While another process writes the file, scores are acknowledged without it.

    Attributes:
        on_change: called with the scores in each change.
        refused: score updates that were refused since the start.
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
        learned: LearnedScores | None = None,
        catalog_models: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Create an updater.

        Args:
            database: that publishes the scores.
            instance_id: as which it acknowledges them.
            file: the scores of the last run, and where they are stored.
            poll_interval_seconds: longest wait before the next poll.
            reconcile_interval_seconds: how often every score is compared.
            on_change: called with the scores in each change.
            learned: the scores to start from, instead of those of the file.
            catalog_models: returns the models of the catalog; their scores are kept before those of other models.
        """
        super().__init__(
            "score-updater",
            database,
            file=file,
            state=learned,
            poll_interval_seconds=poll_interval_seconds,
            reconcile_interval_seconds=reconcile_interval_seconds,
            wakes=TokenBucket(per_second=_WOKEN_POLLS_PER_SECOND, burst=_WOKEN_POLLS_AT_ONCE),
        )
        self._instance_id = instance_id
        self._gaps = _Gaps()
        #: After which message the next poll reads, while there is more to read.
        self._read_on_after: int | None = None
        self._catalog_models = catalog_models
        self._limited = False
        self.on_change = on_change
        self.refused = 0

    @property
    def learned(self) -> LearnedScores:
        """The current scores."""
        return self._state

    def run_once(self) -> bool:
        """Poll once: read a page of what is new, apply it, store it, acknowledge it. Return whether there is more.

        An instance that is far behind reads page after page, and stores and acknowledges after the last one. Scores are used
        before that: neither the disk nor the database may delay them.
        """
        self._wait_in_a_storm(reads_on=self._read_on_after is not None)
        known = self._state
        read = self._read(known, with_snapshot=self._reconcile_is_due())
        if read.epoch != known.epoch or contradicts(known, read.snapshot):
            log_start_over(known, read.epoch, read.snapshot)
            everything = self._read_everything()
            if everything is None:
                return False
            read, learned = everything
        else:
            learned = self._apply_updates(known, read.updates)
            learned = self._apply_snapshot(learned, read.snapshot or [])
        learned = self._limit(known, learned)
        if read.snapshot is not None:
            self._mark_reconciled()
        self._read_on_after = read.updates[-1].msg_id if read.more else None
        if learned is not known:
            self._use(learned)
        if read.more:
            return True
        if learned is not known and self.woken:
            self.pause(random.uniform(*_PAUSE_SECONDS))
        if self._store():
            with self.database.connection() as connection:
                _ACKNOWLEDGE.run(connection, {"instance_id": self._instance_id, "version": learned.version})
        return False

    def _read(self, known: LearnedScores, *, with_snapshot: bool) -> PollResult:
        cursor = self._read_on_after
        if cursor is None:
            cursor = self._gaps.read_after(known.cursor)
        if not with_snapshot:
            with self.database.connection() as connection:
                return PollResult(*_read_log(connection, cursor), snapshot=None)
        with self.database.transaction() as connection:
            _START_READ_ONLY_SNAPSHOT.run(connection)
            return PollResult(*_read_log(connection, cursor), snapshot=_read_snapshot(connection))

    def _read_everything(self) -> tuple[PollResult, LearnedScores] | None:
        """Return all scores of a database that is new to this instance: its snapshot, and the manual scores of its log.

        The whole log is read, page by page, at the moment of the snapshot. The snapshot has every version that the log
        has by then, except those of scores that were removed since: their messages stay in the log, and count no more.

        Returns:
            None when the task is stopped before the end: a part of the log is not a state to start from.
        """
        self._gaps = _Gaps()
        self._read_on_after = None
        with self.database.transaction() as connection:
            _START_READ_ONLY_SNAPSHOT.run(connection)
            snapshot = _read_snapshot(connection)
            read = PollResult(*_read_log(connection, 0), snapshot=snapshot)
            learned = self._apply_snapshot(LearnedScores(epoch=read.epoch), snapshot)
            learned = self._apply_updates(learned, read.updates, manual_only=True)
            while read.more:
                if self.stopping:
                    return None
                self.heartbeat.beat()
                if isinstance(connection, DeadlineConnection):
                    connection.deadline = time.monotonic() + LIMIT_SECONDS  # of each page, not of a log of any length
                read = PollResult(*_read_log(connection, read.updates[-1].msg_id), snapshot=snapshot)
                learned = self._apply_updates(learned, read.updates, manual_only=True)
        return read, learned

    def _apply_updates(
        self, learned: LearnedScores, updates: list[LogMessage], *, manual_only: bool = False
    ) -> LearnedScores:
        cursor = learned.cursor
        scores: list[tuple[Pair, LearnedScore]] = []
        for msg_id, enqueued_at, text, size_bytes in updates:
            if not self._gaps.is_new(msg_id, cursor, enqueued_at):
                continue
            cursor = max(cursor, msg_id)
            try:
                if text is None and size_bytes is not None:
                    raise message_too_large(size_bytes)
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
                task_types={name: _without_interval(task) for name, task in update.task_types.items()},
            )
            scores.append(((update.model, update.complexity), score))
        return (learned if cursor == learned.cursor else replace(learned, cursor=cursor)).with_scores(scores)

    def _apply_snapshot(self, learned: LearnedScores, rows: list[PublishedScore]) -> LearnedScores:
        scores: list[tuple[Pair, LearnedScore]] = []
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
                task_types=row.task_types or {},
            )
            scores.append(((row.model, row.complexity), score))
        return corrected(learned, scores).with_scores(scores)

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
        before, self._state = self._state, learned
        if self.on_change:
            self.on_change(learned)
        if changed := _count_changes(before, learned):
            log.info("scores_applied", version=learned.version, changed=changed)

    def log_file_changed(self) -> None:
        """Log that another program has changed the file: it is written again."""
        effect = "the scores of this instance are written again"
        log.warning("learned_scores_file_changed", path=str(self._file.path), effect=effect)

    def log_not_written(self, reason: str) -> None:
        """Log that the file cannot be written: the scores are used anyway."""
        log.error("learned_scores_not_written", path=str(self._file.path), reason=reason)

    def log_written_again(self) -> None:
        """Log that the file can be written again."""
        log.info("learned_scores_written_again", path=str(self._file.path))

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


def _read_log(connection: psycopg.Connection[Any], cursor: int) -> tuple[str, bool, list[LogMessage]]:
    """Return the epoch, whether there is more, and the next messages after `cursor`."""
    page = {"cursor": cursor, "max_bytes": _PAGE_BYTES, "max_message_bytes": MAX_MESSAGE_BYTES}
    rows = _READ_LOG.all(connection, page)
    return rows[0][0], rows[0][1], [LogMessage(*row[2:]) for row in rows if row[2] is not None]


def _read_snapshot(connection: psycopg.Connection[Any]) -> list[PublishedScore]:
    """Return the published scores with those of their task types, where the database has them."""
    published = _READ_SNAPSHOT.all(connection)
    if not _MAY_READ_TASK_SCORES.one(connection):
        return published
    found: dict[Pair, dict[str, Any]] = {}
    for row in _READ_TASK_SCORES.all(connection):
        pair = row["model"], row["complexity"]
        found.setdefault(pair, {})[row["task_type"]] = {**row, "score": float(row["score"])}
    task_types = {pair: parse_task_scores(rows) for pair, rows in found.items()}
    return [row._replace(task_types=task_types.get((row.model, row.complexity))) for row in published]


def _without_interval(task: TaskScore) -> TaskScore:
    return structs.replace(task, estimate=structs.replace(task.estimate, interval=None))


def _count_changes(before: LearnedScores, after: LearnedScores) -> int:
    return sum(before.scores.get(pair) != score for pair, score in after.scores.items())
