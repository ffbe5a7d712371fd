"""The learner: closes the slice, asks the rule about every pair, publishes what changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.evidence import Evaluation, PairEvidence, Rule, as_score
from centralcloud.learning.publication import Change, publish
from centralcloud.learning.statistics import LearningStatistics
from centralcloud.runtime.database import Database
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from centralcloud.store import queries
from centralcloud.store.slices import close_slice, evidence_as_it_stands

log = get_logger(__name__)

_FRESH_EVIDENCE = queries.load("fresh_evidence")
_LOCK_SCORES = queries.load("lock_scores")
_WATERMARKS = queries.load("score_watermarks")
_TRIES: Final = 5

#: How far each pair has been evaluated: what must not have changed between reading and publishing.
_Watermarks = Mapping[tuple[str, str], tuple[int, int]]


class LearningRun(NamedTuple):
    """What one run found and did.

    Attributes:
        run_id: None for a dry run.
        evaluated: pairs that had enough evidence, changed or not.
        waiting: pairs with outcomes, but not enough of them yet.
        without_outcomes: (model, complexity) of pairs that were chosen, and of which no outcome has come in.
    """

    run_id: int | None
    rule: str
    through_slice: int | None
    evaluated: int
    waiting: int
    without_outcomes: list[tuple[str, str]]
    changes: list[Change]


class Learner(Part):
    """Runs when woken (the daemon's schedule does that). Any number of replicas may run: the score lock orders them."""

    def __init__(self, database: Database, rule: Rule, *, statistics: LearningStatistics | None = None) -> None:
        super().__init__("learner", database, interval_seconds=None)
        self._rule = rule
        self._statistics = statistics

    def run_once(self) -> bool:
        self.learn()
        return False

    def learn(self) -> LearningRun:
        """One run: close the slice, read, compute, publish. No transaction is open while the rule computes.

        Raises:
            CentralCloudError: other writers changed the scores again and again in the meantime.
        """
        started_at = datetime.now(UTC)
        through_slice = close_slice(self.database)
        for _ in range(_TRIES):
            with self.database.transaction() as connection:
                watermarks = _read_watermarks(connection)
                pairs = _read_evidence(connection, through_slice)
            evaluations = _evaluate(self._rule, pairs)
            with self.database.transaction() as connection:
                connection.execute(_LOCK_SCORES)
                if _read_watermarks(connection) != watermarks:
                    continue  # another replica, or an operator, wrote scores: what was read is used up
                run_id, changes = publish(
                    connection,
                    evaluations,
                    rule=self._rule.name,
                    through_slice=through_slice,
                    started_at=started_at,
                )
            run = _report(run_id, self._rule.name, through_slice, pairs, evaluations, changes)
            self._log(run)
            if self._statistics:
                self._statistics.add(run.evaluated, len(run.changes), (datetime.now(UTC) - started_at).total_seconds())
            return run
        raise CentralCloudError(
            f"the scores changed during each of {_TRIES} tries to learn: is another writer running wild?"
        )

    def preview(self) -> LearningRun:
        """What `learn` would do now. The open slice stays open: its evidence is gathered, looked at, and undone."""
        pairs = self._look_at_evidence()
        evaluations = _evaluate(self._rule, pairs)
        changes = [Change.of(evaluation) for evaluation in evaluations if evaluation.changed]
        return _report(None, self._rule.name, None, pairs, evaluations, changes)

    def _look_at_evidence(self) -> list[PairEvidence]:
        for _ in range(_TRIES - 1):
            try:
                with evidence_as_it_stands(self.database) as connection:
                    return _read_evidence(connection, None)
            except psycopg.errors.UniqueViolation:
                continue  # a learner gathered the same slice at the same moment
        with evidence_as_it_stands(self.database) as connection:
            return _read_evidence(connection, None)

    def _log(self, run: LearningRun) -> None:
        for change in run.changes:
            log.debug("score_changed", **change._asdict())
        if run.evaluated:
            log.info("learning_run", run_id=run.run_id, evaluated=run.evaluated, changed=len(run.changes))


def _read_evidence(connection: psycopg.Connection[Any], through_slice: int | None) -> list[PairEvidence]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FRESH_EVIDENCE, {"through_slice": through_slice}).fetchall()
    return [_pair_evidence(row) for row in rows]


def _pair_evidence(row: dict[str, Any]) -> PairEvidence:
    learned, reported = row.pop("learned_score"), row.pop("last_reported_score")
    return PairEvidence(
        model=row.pop("model_name"),
        complexity=row.pop("complexity_level"),
        old_score=as_score(reported if learned is None else learned),
        **row,
    )


def _read_watermarks(connection: psycopg.Connection[Any]) -> _Watermarks:
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_WATERMARKS)}


def _evaluate(rule: Rule, pairs: list[PairEvidence]) -> list[Evaluation]:
    return [evaluation for pair in pairs if (evaluation := rule.evaluate(pair)) is not None]


def _report(
    run_id: int | None,
    rule: str,
    through_slice: int | None,
    pairs: list[PairEvidence],
    evaluations: list[Evaluation],
    changes: list[Change],
) -> LearningRun:
    return LearningRun(
        run_id=run_id,
        rule=rule,
        through_slice=through_slice,
        evaluated=len(evaluations),
        waiting=sum(pair.outcomes > 0 for pair in pairs) - len(evaluations),
        without_outcomes=[(pair.model, pair.complexity) for pair in pairs if pair.routed and not pair.outcomes],
        changes=changes,
    )
