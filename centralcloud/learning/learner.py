"""The learner: closes the slice, asks every rule about every pair, publishes what the active one has changed."""

import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.metrics import LearningMetrics
from centralcloud.learning.publication import Change, Publication, publish
from centralcloud.learning.rule import PairState, Quarantine, Rule, RuleResult, Score
from centralcloud.learning.safety import SafetyLimits, exceeds_limits, invalid_fields
from centralcloud.learning.settings import FixedLearningSettings, LearningSettings, ReadLearningSettings
from centralcloud.runtime.logs import bind_to_logs, get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import is_contention, retry_on_contention
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.findings import Finding, replace_findings
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.slices import References, close_slice, evidence_including_open_slice

log = get_logger(__name__)

_CONTROL = Query(__package__, "learning_control")
_RULE_SCORES = Query(__package__, "rule_scores")
_PUT_RULE_SCORE = Query(__package__, "upsert_rule_score")
_ADD_RUN = Query(__package__, "insert_learning_run")
_FORGET_HOLDS = Query(__package__, "delete_holds")
_LOCK_SCORES = Query("centralcloud.store", "lock_scores")
_TOUCH = Query("centralcloud.store", "bump_score_revision")
_OUTCOMES_WAITING = Query(__package__, "count_waiting_outcomes")
_TRIES: Final = 5
#: How often an eager rule looks whether enough outcomes have come in.
_LOOK_SECONDS: Final = 1.0
#: A change that is no fall is told until the new level is known from so many outcomes.
_SETTLED_OUTCOMES: Final = 100

#: Kinds of findings that a run itself makes.
FINDING_KINDS: Final = ("change_alarm", "quarantined_instance", "publication_withheld")


class ScoresBusyError(CentralCloudError):
    """Others wrote scores again and again while a run computed."""


class LearningRun(NamedTuple):
    """What one run found and did.

    Attributes:
        run_id: None for a dry run.
        evaluated: pairs of which the active rule had enough evidence, changed or not.
        waiting: pairs with fresh outcomes, but not enough of them yet.
        without_outcomes: (model, complexity) of pairs that were chosen, and of which no outcome has come in.
        changes: what instances are told.
        withheld: why nothing was published; empty when nothing stood against it.
        quarantined: instances whose evidence the active rule has not counted.
    """

    run_id: int | None
    rule: str
    through_slice: int | None
    evaluated: int
    waiting: int
    without_outcomes: list[tuple[str, str]]
    changes: list[Change]
    withheld: list[str]
    quarantined: list[str]


class RunInput(NamedTuple):
    """What a run starts from, as of one moment. `stored` is what each rule gave each pair last, with its state."""

    settings: LearningSettings
    revision: int
    frozen_reason: str | None
    current: list[CurrentScore]
    stored: dict[str, dict[Pair, Publication]]
    excluded: dict[str, list[Quarantine]]
    evidence: dict[str, Evidence]
    failures: dict[str, str]


class Learner(BackgroundTask):
    """Runs when woken (the daemon's schedule does that), and for an eager rule as soon as enough outcomes are in.

    Any number of replicas may run: the score lock orders them, and each run reads the settings in the transaction in which
    it reads its input. All rules are asked, so that those in the shadow can be compared with the active one, the first; only
    its scores are published.
    """

    def __init__(
        self,
        database: Database,
        rules: Sequence[Rule] = (),
        *,
        references: References | None = None,
        limits: SafetyLimits | None = None,
        read_settings: ReadLearningSettings | None = None,
        after_outcomes: int = 0,
        metrics: LearningMetrics | None = None,
    ) -> None:
        """Take the settings from `read_settings`, anew for each run, or else from `rules`, `references` and `limits`.

        Args:
            after_outcomes: how many new outcomes start a run of an eager rule between two wakes; 0: none do.
        """
        fixed = FixedLearningSettings(rules, references or References(), limits or SafetyLimits())
        self._read_settings = read_settings or (lambda _: fixed)
        self._after_outcomes = after_outcomes
        super().__init__("learner", database, interval_seconds=_LOOK_SECONDS if self._after_outcomes else None)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._metrics = metrics
        self._reader = EvidenceReader()
        self._runs = 0

    def run_once(self) -> bool:
        try:
            if self.woken or not self._after_outcomes or self._is_due():
                self.learn()
        except ScoresBusyError as error:
            log.warning("learning_deferred", reason=str(error))  # the faster replica has learned the same
        except SettingsError as error:
            log.debug("learning_skipped", reason=str(error))  # logged as an error when the settings changed
        return False

    def learn(self, *, force: bool = False, operator: Operator | None = None) -> LearningRun:
        """One run: close the slice, read, compute, publish. No transaction is open while the rules compute.

        Args:
            force: publish even when more would move than the safety limits allow. What is no score is never published.
            operator: who forces it, for the log of operators' actions.

        Raises:
            ScoresBusyError: other writers changed the scores again and again in the meantime.
            SettingsError: the database has a setting that this version cannot use.
        """
        started_at = datetime.now(UTC)
        self._runs += 1
        bind_to_logs(run=self._runs)
        with self.database.transaction() as connection:
            references = self._read_settings(connection).reference
        through_slice = close_slice(self.database, references)
        for _ in range(_TRIES):
            with self.database.transaction() as connection:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                run_input = self._read(connection, through_slice, self._reader)
            results = self._evaluate(run_input)
            with self.database.transaction() as connection:
                connection.execute(_LOCK_SCORES.text)
                if _read_control(connection)[0] != run_input.revision:
                    continue  # another replica, or an operator, wrote scores or settings: what was read is used up
                run = self._write(connection, run_input, results, through_slice, started_at, force=force)
                if force and operator and run.changes:
                    _record_force(connection, operator, run)
            self._log(run)
            if self._metrics:
                self._metrics.add(run.evaluated, len(run.changes), (datetime.now(UTC) - started_at).total_seconds())
            return run
        raise ScoresBusyError(
            f"the scores changed during each of {_TRIES} tries to learn: is another writer running wild?"
        )

    def preview(self) -> LearningRun:
        """What `learn` would do now. The open slice stays open: its evidence is gathered, looked at, and undone."""

        def look() -> RunInput:
            with evidence_including_open_slice(self.database) as connection:
                return self._read(connection, None, EvidenceReader())

        # A learner may gather the same slice at the same moment.
        run_input = retry_on_contention(
            look, is_in_the_way=lambda error: is_contention(error) or _gathered_meanwhile(error)
        )
        results = self._evaluate(run_input)
        active = run_input.settings.rules[0].name
        publications, withheld = self._publications(run_input, results[active], force=False)
        changes = [Change.of(each.current.old_score, each.score) for each in publications]
        return _report(None, active, None, run_input, results[active], changes, withheld)

    def _is_due(self) -> bool:
        """Whether to run between two wakes: at the start, and for an eager rule once enough outcomes have arrived."""
        with self.database.transaction() as connection:
            if not self._read_settings(connection).rules[0].eager:
                return self._runs == 0
            row = connection.execute(_OUTCOMES_WAITING.text, {"limit": self._after_outcomes}).fetchone()
        return row is not None and row[0] >= self._after_outcomes

    def _read(self, connection: psycopg.Connection[Any], through_slice: int | None, reader: EvidenceReader) -> RunInput:
        revision, generation, frozen_reason = _read_control(connection)
        settings = self._read_settings(connection)
        current = read_current_scores(connection)
        reported = {of.pair: of.last_reported_score for of in current if of.last_reported_score is not None}
        recent = reader.recent(connection, through_slice)
        failures: dict[str, str] = {}
        excluded = {}
        for rule in settings.rules:
            with _noting(rule, failures):
                excluded[rule.name] = rule.exclude(recent)
            excluded.setdefault(rule.name, [])
        evidence = {
            name: reader.evidence(
                connection,
                through_slice,
                generation=generation,
                excluded=[instance.instance_id for instance in instances],
                reported=reported,
            )
            for name, instances in excluded.items()
        }
        reader.forget_all_but(of_rule.excluded for of_rule in evidence.values())
        stored = _read_rule_scores(connection, current)
        return RunInput(settings, revision, frozen_reason, current, stored, excluded, evidence, failures)

    def _evaluate(self, run_input: RunInput) -> dict[str, RuleResult]:
        retired = {current.model for current in run_input.current if current.retired_at is not None}
        results = {rule.name: RuleResult([], {}) for rule in run_input.settings.rules}
        for rule in run_input.settings.rules:
            if rule.name in run_input.failures or not run_input.evidence[rule.name].slices:
                continue
            stored = run_input.stored.get(rule.name, {})
            state = {pair: each.state for pair, each in stored.items() if pair[0] not in retired}
            with _noting(rule, run_input.failures):
                results[rule.name] = rule.evaluate(run_input.evidence[rule.name], state)
        return results

    def _write(
        self,
        connection: psycopg.Connection[Any],
        run_input: RunInput,
        results: dict[str, RuleResult],
        through_slice: int,
        started_at: datetime,
        *,
        force: bool,
    ) -> LearningRun:
        active = run_input.settings.rules[0].name
        publications, withheld = self._publications(run_input, results[active], force=force)
        run = {
            "rule": active,
            "through_slice": through_slice,
            "started_at": started_at,
            "pairs_evaluated": len(results[active].scores),
            "pairs_changed": len(publications),
            "samples": sum(score.samples for score in results[active].scores),
            "excluded": [instance.instance_id for instance in run_input.excluded[active]],
        }
        row = connection.execute(_ADD_RUN.text, run).fetchone()
        assert row is not None
        run_id, now = row
        objections = {
            rule: withheld if rule == active else _rejections(run_input, rule, result)
            for rule, result in results.items()
        }
        written = sum(
            _put_rule_scores(connection, rule, result, run_input.stored.get(rule, {}), run_id=run_id, now=now)
            for rule, result in results.items()
            if not objections[rule]
        )
        changes = publish(connection, publications, rule=active, run_id=run_id, now=now) if publications else []
        released = [each.current for each in publications if each.current.held_after_slice is not None]
        if released:
            pairs = {"models": [of.model for of in released], "complexities": [of.complexity for of in released]}
            connection.execute(_FORGET_HOLDS.text, pairs)
        if written:
            connection.execute(_TOUCH.text)
        findings = [*_alarm_findings(results[active]), *_quarantine_findings(run_input.excluded[active])]
        findings += [
            Finding("publication_withheld", rule, "; ".join(reasons), {"reasons": reasons})
            for rule, reasons in objections.items()
            if reasons
        ]
        replace_findings(connection, FINDING_KINDS, findings)
        return _report(run_id, active, through_slice, run_input, results[active], changes, withheld)

    def _publications(
        self, run_input: RunInput, result: RuleResult, *, force: bool
    ) -> tuple[list[Publication], list[str]]:
        """What is to be published, or why nothing is."""
        active = run_input.settings.rules[0].name
        stored = run_input.stored.get(active, {})
        if reasons := _rejections(run_input, active, result):
            return [], reasons
        free = {
            of.pair for of in run_input.current if not of.withheld(_outcomes_since_hold(run_input.evidence[active], of))
        }
        before = {pair: each.score.score for pair, each in stored.items() if pair in free}
        if not force and (reasons := exceeds_limits(result.scores, before, run_input.settings.safety)):
            return [], reasons
        if run_input.frozen_reason is not None:
            return [], []
        scores = {pair: each.score for pair, each in stored.items()} | {score.pair: score for score in result.scores}
        publications = []
        for current in run_input.current:
            score = scores.get(current.pair)
            if score is None or current.pair not in free or not current.differs_from(score):
                continue
            publications.append(Publication(current, score, result.state.get(current.pair, {})))
        return publications, []

    def _log(self, run: LearningRun) -> None:
        for change in run.changes:
            log.debug("score_changed", **change._asdict())
        if run.withheld:
            log.warning("publication_withheld", run_id=run.run_id, reasons=run.withheld)
        if run.evaluated:
            log.info("learning_run", run_id=run.run_id, evaluated=run.evaluated, changed=len(run.changes))


@contextmanager
def _noting(rule: Rule, failures: dict[str, str]) -> Iterator[None]:
    """A rule that fails is not worth a daemon: its run comes to nothing, and an operator finds out why."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - anything may be wrong with a rule of somebody else's
        log.error("rule_failed", rule=rule.name, error=repr(error), traceback=traceback.format_exception(error))
        failures[rule.name] = f"the rule {rule.name} failed: {error!r}"


def _rejections(run_input: RunInput, rule: str, result: RuleResult) -> list[str]:
    return [run_input.failures[rule]] if rule in run_input.failures else invalid_fields(result)


def _outcomes_since_hold(evidence: Evidence, current: CurrentScore) -> float:
    """Outcomes of a pair since it was rolled back, 0 for one that was not."""
    if current.held_after_slice is None or current.pair not in evidence.pairs:
        return 0.0
    column = evidence.pairs.index(current.pair)
    held = evidence.position_after(current.held_after_slice)
    return float(evidence.total("outcomes")[column] - evidence.total("outcomes", held)[column])


def _gathered_meanwhile(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors.UniqueViolation)


def _read_control(connection: psycopg.Connection[Any]) -> tuple[int, int, str | None]:
    """Revision, evidence generation, and why learning is frozen (None: it is not)."""
    row = connection.execute(_CONTROL.text).fetchone()
    if row is None:
        raise CentralCloudError("the table learning_control is empty: expected its one row, which the migration made")
    revision, generation, frozen_at, frozen_reason = row
    return int(revision), int(generation), (frozen_reason or "") if frozen_at is not None else None


def _read_rule_scores(
    connection: psycopg.Connection[Any], current: Iterable[CurrentScore]
) -> dict[str, dict[Pair, Publication]]:
    by_pair = {of.pair: of for of in current}
    stored: dict[str, dict[Pair, Publication]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_RULE_SCORES.text):
            rule, state = row.pop("rule"), row.pop("state")
            score = Score(**row)
            if score.pair in by_pair:
                stored.setdefault(rule, {})[score.pair] = Publication(by_pair[score.pair], score, state)
    return stored


def _put_rule_scores(
    connection: psycopg.Connection[Any],
    rule: str,
    result: RuleResult,
    stored: dict[Pair, Publication],
    *,
    run_id: int,
    now: datetime,
) -> int:
    """Write what has changed: a pair of which nothing came in has the same numbers as before. Returns how many have."""
    rows = [
        {**score.values(), "rule": rule, "run_id": run_id, "now": now, "state": Jsonb(result.state.get(score.pair, {}))}
        for score in result.scores
        if _is_new(score, result.state.get(score.pair, {}), stored.get(score.pair))
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_PUT_RULE_SCORE.text, rows)
    return len(rows)


def _is_new(score: Score, state: PairState, stored: Publication | None) -> bool:
    if stored is None:
        return True
    return stored.state != state or stored.score != replace(score, through_slice=stored.score.through_slice)


def _record_force(connection: psycopg.Connection[Any], operator: Operator, run: LearningRun) -> None:
    pairs = {f"{change.model}/{change.complexity}": change for change in run.changes}
    record_action(
        connection,
        operator,
        Action.FORCE_LEARNING,
        "scores",
        before={"scores": {pair: change.old_score for pair, change in pairs.items()}},
        after={"run_id": run.run_id, "scores": {pair: change.new_score for pair, change in pairs.items()}},
        version=max((change.version for change in run.changes if change.version is not None), default=None),
    )


def _alarm_findings(result: RuleResult) -> list[Finding]:
    """Falls that have not been made good, and other changes until the new level is known well."""
    found = []
    for score in result.scores:
        state = result.state.get(score.pair, {})
        if "alarm" not in state or not (state.get("fallen_from") or score.samples < _SETTLED_OUTCOMES):
            continue
        before, after, statistic, threshold = state["alarm"]
        direction = "fell" if after < before else "rose"
        # A fall in the middle of a slice is noticed in two steps: it is told from where it began.
        before = max(before, state.get("fallen_from", before))
        message = (
            f"the success rate of {score.model} for {score.complexity} tasks {direction} from {before:.2f} to {after:.2f} "
            f"(G {statistic:.0f}, over {threshold:.0f}); it is {score.mean:.2f} now"
        )
        details = {"model": score.model, "complexity": score.complexity, "before": before, "after": after}
        found.append(Finding("change_alarm", f"{score.model}/{score.complexity}", message, details))
    return found


def _quarantine_findings(excluded: list[Quarantine]) -> list[Finding]:
    return [
        Finding(
            "quarantined_instance",
            instance.instance_id,
            f"the outcomes of {instance.instance_id} differ from the fleet's on {instance.pairs} pairs "
            f"(log-likelihood {instance.excess:.0f} more than chance explains): not counted while they do",
            {"excess": round(instance.excess, 1), "pairs": instance.pairs},
        )
        for instance in excluded
    ]


def _report(
    run_id: int | None,
    rule: str,
    through_slice: int | None,
    run_input: RunInput,
    result: RuleResult,
    changes: list[Change],
    withheld: list[str],
) -> LearningRun:
    evidence = run_input.evidence[rule]
    evaluated = {score.pair for score in result.scores}
    stored = run_input.stored.get(rule, {})
    waiting = 0
    for column, pair in enumerate(evidence.pairs):
        used = evidence.position_after(stored[pair].state.get("after_slice", 0)) if pair in stored else 0
        fresh = evidence.total("outcomes")[column] - evidence.total("outcomes", used)[column]
        waiting += int(pair not in evaluated and fresh > 0)
    return LearningRun(
        run_id=run_id,
        rule=rule,
        through_slice=through_slice,
        evaluated=len(evaluated),
        waiting=waiting,
        without_outcomes=[of.pair for of in run_input.current if of.routed_count and not of.outcome_count],
        changes=changes,
        withheld=withheld,
        quarantined=[instance.instance_id for instance in run_input.excluded[rule]],
    )
