"""The learner: closes the slice, lets every rule evaluate every pair, and publishes the changes of the active rule."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.learning.evidence import Pair
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.metrics import LearningMetrics
from centralcloud.learning.publication import Change, newest_version, publish, scores_after, scores_before
from centralcloud.learning.publication_gate import Gated, PublicationGate
from centralcloud.learning.rule import Rule, RuleResult
from centralcloud.learning.rule_scores import changed_rule_scores, store_rule_scores
from centralcloud.learning.run_findings import report_findings
from centralcloud.learning.run_input import (
    Evaluation,
    RuleInput,
    RunInput,
    evaluate_rules,
    read_control,
    read_run_input,
)
from centralcloud.learning.run_parts import RunPart, split_run
from centralcloud.learning.safety import SafetyLimits
from centralcloud.learning.selection import Selection, select_publications
from centralcloud.learning.settings import FixedLearningSettings, ReadLearningSettings
from centralcloud.learning.version_tracking import follow_versions
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import is_contention, retry_on_contention
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.score_lock import bump_score_revision, lock_scores
from centralcloud.store.sequences import LEARNING_TABLES, require_sequences
from centralcloud.store.slices import References, close_slice, evidence_including_open_slice

log = get_logger(__name__)


class _Run(NamedTuple):
    run_id: int
    finished_at: datetime


_INSERT_LEARNING_RUN = Query(__package__, "insert_learning_run", row=_Run)
_DELETE_HOLDS = Query(__package__, "delete_holds")
_COUNT_WAITING_OUTCOMES = Query(__package__, "count_waiting_outcomes", row=int)
_TRIES: Final = 5
#: How often an eager rule checks whether enough outcomes have arrived.
_CHECK_SECONDS: Final = 1.0


class ScoresBusyError(CentralCloudError):
    """Other writers changed the scores during each of several tries."""


class LearningRun(NamedTuple):
    """The result of one run.

    Attributes:
        run_id: None for a dry run.
        evaluated: number of pairs for which the active rule had enough evidence, whether the score changed or not.
        waiting: number of pairs with new outcomes, but not enough of them yet.
        without_outcomes: (model, complexity) of pairs that were chosen but have no outcomes.
        changes: the changes that were sent to instances.
        withheld: why nothing was published; empty if nothing prevented it.
        quarantined: the instances whose evidence the active rule did not count.
        held: the changes that wait: they would change who leads.
        held_because: for which they wait, in sentences.
        canary: the id of the canary that this run has started for them; None: it started none.
    """

    run_id: int | None
    rule: str
    through_slice: int | None
    evaluated: int
    waiting: int
    without_outcomes: list[Pair]
    changes: list[Change]
    withheld: list[str]
    quarantined: list[str]
    held: Sequence[Change] = ()
    held_because: Sequence[str] = ()
    canary: str | None = None


class Learner(BackgroundTask):
    """Runs on schedule, and for an eager rule as soon as enough outcomes have arrived.

    Any number of replicas may run: the score lock orders them, and each run reads the settings in the transaction in which
    it reads its input. All rules evaluate every pair, so that the others can be compared with the first one, the active
    rule; only the scores of the active rule are published.
    """

    def __init__(
        self,
        database: Database,
        rules: Sequence[Rule] = (),
        *,
        references: References | None = None,
        limits: SafetyLimits | None = None,
        read_settings: ReadLearningSettings | None = None,
        gate: PublicationGate | None = None,
        after_outcomes: int = 0,
        schedule_seconds: float | None = None,
        metrics: LearningMetrics | None = None,
    ) -> None:
        """Create a learner with the settings of `read_settings`, or else with `rules`, `references` and `limits`.

        Args:
            read_settings: called in the transaction in which a run reads its input.
            gate: holds scores back where the setting `publication` is canary; None: nothing does.
            after_outcomes: new outcomes that start a run of an eager rule between two scheduled runs; 0: none do.
            schedule_seconds: time between two scheduled runs; None: `wake()` starts each of them.
        """
        fixed = FixedLearningSettings(rules, references or References(), limits or SafetyLimits())
        self._read_settings: ReadLearningSettings = read_settings or (lambda _: fixed)
        self._gate = gate
        self._after_outcomes = after_outcomes
        intervals = [schedule_seconds, _CHECK_SECONDS if self._after_outcomes else None]
        super().__init__("learner", database, interval_seconds=min((each for each in intervals if each), default=None))
        self._schedule_seconds = schedule_seconds or math.inf
        self._due_at = time.monotonic() + self._schedule_seconds
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._metrics = metrics
        self._reader = EvidenceReader()
        self._runs = 0
        self._eager: bool | None = None

    def run_once(self) -> bool:
        scheduled = not self._after_outcomes or time.monotonic() >= self._due_at
        try:
            if self.woken or scheduled or self._is_due_early():
                self.learn()
        except ScoresBusyError as error:
            log.warning("learning_deferred", reason=str(error))  # the other replica learned from the same evidence
        except SettingsError as error:
            log.debug("learning_skipped", reason=str(error))  # logged as an error when the settings changed
        if scheduled:  # set after the run: one that fails because the database is unavailable is repeated
            self._due_at = time.monotonic() + self._schedule_seconds
        return False

    def learn(self, *, force: bool = False, operator: Operator | None = None) -> LearningRun:
        """Run once: close the slice, read, compute, publish. No transaction is open while the rules compute.

        Args:
            force: publish even if more would move than the safety limits allow. Invalid scores are never published.
            operator: the operator who forces the run, for the log of operators' actions.

        Raises:
            ScoresBusyError: other writers changed the scores during each try.
            SettingsError: the database has a setting that this version cannot use.
            SequencesBehindError: a sequence that a run draws from is behind its table.
        """
        started_at = datetime.now(UTC)
        self._runs += 1
        bind_to_logs(run=self._runs)
        with self.database.transaction() as connection:
            references = self._read_settings(connection).reference
            require_sequences(connection, LEARNING_TABLES)
        close_slice(self.database, references)
        told = follow_versions(self.database)
        if self._metrics and told:
            self._metrics.count_model_changes(len(told))
        published: list[Change] = []
        for _ in range(_TRIES):
            run = self._try_to_learn(started_at, published, force=force, operator=operator)
            if run is not None:
                self._log(run)
                if self._metrics:
                    seconds = (datetime.now(UTC) - started_at).total_seconds()
                    self._metrics.add(run.evaluated, len(run.changes), seconds)
                return run
        raise ScoresBusyError(
            f"the scores changed during each of {_TRIES} tries to learn: is another program writing scores all the time?"
        )

    def preview(self) -> LearningRun:
        """Return the result of `learn` now, but publish nothing. The open slice stays open: its evidence is rolled back."""

        def read() -> RunInput:
            with evidence_including_open_slice(self.database) as connection:
                settings = self._read_settings(connection)
                return read_run_input(connection, settings, EvidenceReader(), with_open_slice=True)

        # A learner may gather the same slice at the same time.
        run_input = retry_on_contention(
            read, is_in_the_way=lambda error: is_contention(error) or _gathered_meanwhile(error)
        )
        active = run_input.active
        evaluation = evaluate_rules(run_input)[active]
        gated = self._gated(run_input, evaluation, force=False)
        changes = [Change.of(each.current.old_score, each.score) for each in gated.selection.publications]
        return _report(None, active, None, run_input, evaluation.result, changes, gated)

    def _is_due_early(self) -> bool:
        """Return whether to run before the schedule: enough outcomes for an eager rule, or the first run."""
        if self._eager is False:  # as of the last run: a change of the rule takes effect with the next one
            return False
        with self.database.transaction() as connection:
            if self._eager is None and not self._read_settings(connection).rules[0].eager:
                return True
            waiting = _COUNT_WAITING_OUTCOMES.one(connection, {"limit": self._after_outcomes})
        return waiting >= self._after_outcomes

    def _try_to_learn(
        self, started_at: datetime, published: list[Change], *, force: bool, operator: Operator | None
    ) -> LearningRun | None:
        """Read, compute and publish.

        Each part of the run is one transaction, and adds to `published`. Parts that were published before another writer
        came stay: the next try finds their pairs unchanged.

        Returns:
            None if another replica, or an operator, changed scores or settings in between, or if the database that it would
            publish on has another history than the one that it has read.
        """
        with self.database.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            run_input = read_run_input(connection, self._read_settings(connection), self._reader)
        through_slice = run_input.control.through_slice
        self._eager = run_input.settings.rules[0].eager
        evaluations = evaluate_rules(run_input)
        active = run_input.active
        gated = self._gated(run_input, evaluations[active], force=force)
        selection = gated.selection
        withheld = {rule: each.rejections for rule, each in evaluations.items()} | {active: selection.withheld}
        parts = split_run(run_input, evaluations, withheld, selection)
        read = run_input.control
        revision = read.revision
        for part in parts:
            with self.database.transaction() as connection:
                lock_scores(connection)
                control = read_control(connection)
                if control.history != read.history:
                    log.warning(
                        "database_history_changed", before=read.history, now=control.history, effect="learning again"
                    )
                    return None
                if control.revision != revision:
                    return None
                run = _insert_run(connection, active, run_input.by_rule[active], part, through_slice, started_at)
                _store_scores(connection, run_input, part.evaluations, withheld, run)
                changes = _publish(connection, active, part.selection, run)
                if part is parts[-1]:
                    if self._gate is not None and gated.canary is not None:
                        self._gate.start(connection, gated.canary)
                    report_findings(
                        connection, evaluations[active].result, run_input.by_rule[active].excluded, withheld
                    )
                if force and operator and changes:
                    _record_force(connection, operator, run.run_id, changes)
                revision = read_control(connection).revision
            published += changes
        result = evaluations[active].result
        return _report(run.run_id, active, through_slice, run_input, result, published, gated)

    def _gated(self, run_input: RunInput, evaluation: Evaluation, *, force: bool) -> Gated:
        """Select the scores to publish, and those that wait for a canary. An operator who forces a run waits for none."""
        selection = select_publications(run_input, evaluation, force=force)
        gate = None if force or run_input.settings.publication == "direct" else self._gate
        if gate is None or not selection.publications:
            return Gated(selection)
        fallen = frozenset((each.model, each.complexity) for each in evaluation.result.open_changes if each.fell)
        with self.database.transaction() as connection:
            return gate.hold(connection, run_input, selection, fallen)

    def _log(self, run: LearningRun) -> None:
        for change in run.changes:
            log.debug("score_changed", **change._asdict())
        if run.withheld:
            log.warning("publication_withheld", run_id=run.run_id, reasons=run.withheld)
        if run.held:
            log.info("scores_wait_for_canary", run_id=run.run_id, scores=len(run.held), reasons=run.held_because)
        if run.evaluated:
            log.info("learning_run", run_id=run.run_id, evaluated=run.evaluated, changed=len(run.changes))


def _insert_run(
    connection: psycopg.Connection[Any],
    rule: str,
    rule_input: RuleInput,
    part: RunPart,
    through_slice: int,
    started_at: datetime,
) -> _Run:
    scores = part.evaluations[rule].result.scores
    values = {
        "rule": rule,
        "through_slice": through_slice,
        "started_at": started_at,
        "pairs_evaluated": len(scores),
        "pairs_changed": len(part.selection.publications),
        "samples": sum(score.samples for score in scores),
        "excluded": [instance.instance_id for instance in rule_input.excluded],
    }
    return _INSERT_LEARNING_RUN.one(connection, values)


def _store_scores(
    connection: psycopg.Connection[Any],
    run_input: RunInput,
    evaluations: dict[str, Evaluation],
    withheld: dict[str, list[str]],
    run: _Run,
) -> None:
    """Store the new scores of every rule, except for those that are withheld: the next run evaluates the same evidence."""
    stored = 0
    for rule, evaluation in evaluations.items():
        if not withheld[rule]:
            before = run_input.by_rule[rule]
            changed = changed_rule_scores(evaluation.result, before.evidence.excluded, before.stored)
            stored += store_rule_scores(connection, rule, changed, run_id=run.run_id, now=run.finished_at)
    if stored:
        bump_score_revision(connection)


def _publish(connection: psycopg.Connection[Any], rule: str, selection: Selection, run: _Run) -> list[Change]:
    """Publish the selected scores, and end the holds of their pairs."""
    publications = selection.publications
    if not publications:
        return []
    changes = publish(connection, publications, rule=rule, run_id=run.run_id, now=run.finished_at)
    released = [each.current for each in publications if each.current.held_after_slice is not None]
    if released:
        pairs = {
            "models": [current.model for current in released],
            "complexities": [current.complexity for current in released],
        }
        _DELETE_HOLDS.run(connection, pairs)
    return changes


def _record_force(
    connection: psycopg.Connection[Any], operator: Operator, run_id: int, changes: Sequence[Change]
) -> None:
    record_action(
        connection,
        operator,
        Action.FORCE_LEARNING,
        "scores",
        before=scores_before(changes),
        after={"run_id": run_id, **scores_after(changes)},
        version=newest_version(changes),
    )


def _gathered_meanwhile(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors.UniqueViolation)


def _report(
    run_id: int | None,
    rule: str,
    through_slice: int | None,
    run_input: RunInput,
    result: RuleResult,
    changes: list[Change],
    gated: Gated,
) -> LearningRun:
    rule_input = run_input.by_rule[rule]
    evidence = rule_input.evidence
    evaluated = {score.pair for score in result.scores}
    waiting = 0
    for column, pair in enumerate(evidence.pairs):
        stored = rule_input.stored.get(pair)
        used = evidence.position_after(stored.basis.state.evidence_from) if stored else 0
        new_outcomes = evidence.total("outcomes")[column] - evidence.total("outcomes", used)[column]
        waiting += int(pair not in evaluated and new_outcomes > 0)
    return LearningRun(
        run_id=run_id,
        rule=rule,
        through_slice=through_slice,
        evaluated=len(evaluated),
        waiting=waiting,
        without_outcomes=[each.pair for each in run_input.current if each.routed_count and not each.outcome_count],
        changes=changes,
        withheld=gated.selection.withheld,
        quarantined=[instance.instance_id for instance in rule_input.excluded],
        held=[Change.of(each.current.old_score, each.score) for each in gated.held],
        held_because=gated.reasons,
        canary=None if gated.canary is None else gated.canary.id,
    )
