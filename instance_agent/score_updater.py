"""Bringing learned scores from the database to the catalog.

`model_score_updates` is read as a log: every instance peeks behind its own cursor and deletes nothing, so every update
reaches every instance. The poll is the guarantee; a notification only makes it come sooner. At the start and at every
reconcile interval the whole table of scores is read as well, so that whatever was missed is made good.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg

from centralcloud.contracts import ContractError, parse_score_update
from centralcloud.contracts.score_update import is_score
from centralcloud.runtime.database import Database, DatabaseAwayError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from instance_agent.learned_scores import LearnedScore, LearnedScores, LearnedScoresFile

log = get_logger(__name__)

_EPOCH: Final = "SELECT centralcloud.epoch()"
_UPDATES: Final = "SELECT msg_id, enqueued_at, message::text FROM centralcloud.score_updates_since(%s)"
_SNAPSHOT: Final = "SELECT model_name, complexity_level, score, version, updated_at FROM centralcloud.current_scores()"
_ACKNOWLEDGE: Final = "SELECT centralcloud.acknowledge(%s, %s)"
#: A message may become visible after one with a higher id: each poll looks this many ids behind its cursor again.
_OVERLAP: Final = 100

#: msg_id, enqueued_at, text
_LogRow = tuple[int, datetime, str | None]
#: model, complexity, score, version, updated_at
_ScoreRow = tuple[str, str, Decimal, int, datetime]


class ScoreUpdater(Part):
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
        self._on_change = on_change
        self._reconciled_at: float | None = None
        self._seen: set[int] = set()
        self._written: LearnedScores | None = file.read()
        self._learned = self._written
        self.refused = 0

    @property
    def learned(self) -> LearnedScores:
        """The scores as they stand now."""
        return self._learned

    def run_once(self) -> bool:
        """One poll: read what is new, apply it, keep it, acknowledge it. Never more at once: a poll reads everything."""
        epoch, updates, snapshot = self._read()
        learned = self._learned
        if epoch != learned.epoch:
            if learned.epoch is not None:
                log.warning("database_changed", before=learned.epoch, now=epoch, effect="starting over from its scores")
            learned = LearnedScores(epoch=epoch)
            self._seen.clear()
        learned = self._apply_updates(learned, updates)
        learned = self._apply_snapshot(learned, snapshot or [])
        if snapshot is not None:
            self._reconciled_at = time.monotonic()
        self._take_over(learned)
        if self._written is self._learned:
            with self.database.transaction() as connection:
                connection.execute(_ACKNOWLEDGE, (self._instance_id, self._learned.version))
        return False

    def is_outage(self, error: BaseException) -> bool:
        """Every error of the database is waited out: the instance goes on with the scores it has."""
        return isinstance(error, psycopg.Error | DatabaseAwayError)

    def _read(self) -> tuple[str, list[_LogRow], list[_ScoreRow] | None]:
        """The epoch, the log behind the cursor, and the snapshot when its time has come; all of one moment."""
        with self.database.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = connection.execute(_EPOCH).fetchone()
            assert row is not None
            epoch = str(row[0])
            same = epoch == self._learned.epoch
            updates = _read_log(connection, max(0, self._learned.cursor - _OVERLAP) if same else 0)
            snapshot: list[_ScoreRow] | None = None
            if not same or self._reconcile_is_due():
                snapshot = connection.execute(_SNAPSHOT).fetchall()
        return epoch, updates, snapshot

    def _reconcile_is_due(self) -> bool:
        due_at = None if self._reconciled_at is None else self._reconciled_at + self._reconcile_interval_seconds
        return due_at is None or time.monotonic() >= due_at

    def _apply_updates(self, learned: LearnedScores, updates: list[_LogRow]) -> LearnedScores:
        for msg_id, enqueued_at, text in updates:
            if msg_id in self._seen:
                continue
            self._seen.add(msg_id)
            learned = replace(learned, cursor=max(learned.cursor, msg_id))
            try:
                update = parse_score_update(text)
            except ContractError as error:
                self._refuse("message", msg_id, str(error))
                continue
            score = LearnedScore(score=update.new_score, version=update.version, at=enqueued_at, reason=update.reason)
            learned = learned.with_score((update.model, update.complexity), score)
        self._seen = {msg_id for msg_id in self._seen if msg_id > learned.cursor - _OVERLAP}
        return learned

    def _apply_snapshot(self, learned: LearnedScores, rows: list[_ScoreRow]) -> LearnedScores:
        for model, complexity, value, version, updated_at in rows:
            if not is_score(float(value)):
                self._refuse(
                    "snapshot", version, f"{model} ({complexity}): found {value}, expected a score from 0 to 5"
                )
                continue
            score = LearnedScore(score=float(value), version=version, at=updated_at)
            learned = learned.with_score((model, complexity), score)
        return learned

    def _take_over(self, learned: LearnedScores) -> None:
        """Use new scores at once; write them to the file, now or, when the disk does not take them, at the next poll."""
        if learned is not self._learned:
            if changed := _count_changes(self._learned, learned):
                log.info("scores_applied", version=learned.version, changed=changed)
            self._learned = learned
            if self._on_change:
                self._on_change(learned)
        if self._written is not self._learned:
            try:
                self._file.write(self._learned)
            except OSError as error:
                log.error("learned_scores_not_written", path=str(self._file.path), reason=str(error))
            else:
                self._written = self._learned

    def _refuse(self, source: str, number: int, reason: str) -> None:
        self.refused += 1
        log.warning("score_update_refused", source=source, number=number, reason=reason)


def _read_log(connection: psycopg.Connection[Any], cursor: int) -> list[_LogRow]:
    rows: list[_LogRow] = []
    while page := connection.execute(_UPDATES, (cursor,)).fetchall():
        rows += page
        cursor = page[-1][0]
    return rows


def _count_changes(before: LearnedScores, after: LearnedScores) -> int:
    return sum(before.scores.get(pair) != score for pair, score in after.scores.items())
