"""Recompute every score from the evidence behind it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg

from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.rule import Rule, TaskTypeRule, as_score
from centralcloud.learning.rule_scores import Basis
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.fleet_settings import StoredSetting, list_settings


class ScoreDifference(NamedTuple):
    """A stored score that its rule does not reproduce from the evidence.

    Attributes:
        table: where it is stored.
        key: which row.
        stored, recomputed: the score on both sides, 0.000 to 5.000; `recomputed` is None when the pair has no evidence.
    """

    table: str
    key: dict[str, Any]
    stored: Decimal
    recomputed: Decimal | None


class UnverifiedScores(NamedTuple):
    """Scores of a rule that its constants of today do not reproduce, and that were computed before some of these changed.

    The constants of a run are not stored with it, so neither an error nor a right score can be proven.

    Attributes:
        settings: the names of the constants that have changed since.
        scores: the number of such scores.
    """

    rule: str
    settings: list[str]
    scores: int


class Audit(NamedTuple):
    """The result of an audit.

    Attributes:
        checked: number of scores, without the unverified ones.
        unknown_rules: rules that have scores and are not installed here.
    """

    checked: int
    differences: list[ScoreDifference]
    unknown_rules: list[str]
    unverified: list[UnverifiedScores]


class _StoredScore(NamedTuple):
    table: str
    rule: str
    model: str
    complexity: str
    version: int | None
    score: Decimal
    in_history: Decimal | None
    after_slice: int
    through_slice: int
    computed_at: datetime
    task_scores: dict[str, float]
    basis: Basis

    @property
    def pair(self) -> Pair:
        return self.model, self.complexity

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> "_StoredScore":
        plain = {name: columns[name] for name in cls._fields if name != "basis"}
        plain["task_scores"] = plain["task_scores"] or {}
        return cls(**plain, basis=Basis.from_columns(columns))


_SCORES_TO_AUDIT = Query(__package__, "scores_to_audit", row=dict)


def audit_scores(database: Database, rules: Sequence[Rule]) -> Audit:
    """Recompute every published score and every rule's own score, each on the evidence through the slice that it used.

    A score that an operator has set (`pin`, `rollback`, `retired`, `renamed`) is compared with its history alone. One that
    comes out differently is unverified, not a difference, if a constant of its rule changed after it was computed.
    """
    by_name = {rule.name: rule for rule in rules}
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        stored = [_StoredScore.from_columns(row) for row in _SCORES_TO_AUDIT.all(connection)]
        changes = _Changes(list_settings(connection))
        differences = list(_differences(connection, stored, by_name, changes))
    unknown = {each.rule for each in stored if each.table == "rule_scores"} - by_name.keys()
    unverified = changes.unverified()
    return Audit(len(stored) - sum(each.scores for each in unverified), differences, sorted(unknown), unverified)


class _Changes:
    """The changes of rules' constants, which are the fleet settings `<rule>.<name>`, and the scores that are older."""

    def __init__(self, settings: Sequence[StoredSetting]) -> None:
        self._settings = settings
        self._scores: Counter[str] = Counter()
        self._names: dict[str, set[str]] = {}

    def excuse(self, score: _StoredScore) -> bool:
        """Whether a constant of the rule changed after the score was computed; if so, count the score."""
        names = {
            each.name
            for each in self._settings
            if each.name.startswith(f"{score.rule}.") and each.updated_at > score.computed_at
        }
        if names:
            self._scores[score.rule] += 1
            self._names.setdefault(score.rule, set()).update(names)
        return bool(names)

    def unverified(self) -> list[UnverifiedScores]:
        """Return the scores that were counted, by rule."""
        return [
            UnverifiedScores(rule, sorted(self._names[rule]), count) for rule, count in sorted(self._scores.items())
        ]


def _differences(
    connection: psycopg.Connection[Any], stored: list[_StoredScore], rules: dict[str, Rule], changes: _Changes
) -> Iterator[ScoreDifference]:
    reader = EvidenceReader()
    newest = max((each.through_slice for each in stored), default=0)
    pairs = {each.pair for each in stored}
    for each in stored:
        which = {"rule": each.rule} if each.version is None else {"version": each.version}
        key = {"model": each.model, "complexity": each.complexity, **which}
        if each.version is not None and each.in_history != each.score:
            yield ScoreDifference(each.table, key, each.score, each.in_history)
        elif each.rule in rules and each.basis.recomputable:
            whole = reader.evidence(
                connection, newest, history="", generation=0, pairs=pairs, excluded=each.basis.excluded, reported={}
            )
            evidence = whole.up_to(each.through_slice)
            recomputed = _recompute(evidence, each, rules[each.rule])
            different = [ScoreDifference(each.table, key, each.score, recomputed)] if recomputed != each.score else []
            different = different or _different_task_scores(evidence, each, key, rules[each.rule])
            if different and not changes.excuse(each):
                yield from different


def _different_task_scores(
    evidence: Evidence, each: _StoredScore, key: dict[str, Any], rule: Rule
) -> list[ScoreDifference]:
    """Return the scores of task types that come out differently."""
    if not each.task_scores or not isinstance(rule, TaskTypeRule):
        return []
    recomputed = rule.recompute_task_types(evidence, each.pair, each.after_slice, each.basis.state)
    table = "rule_scores" if each.version is None else "model_task_scores"
    return [
        ScoreDifference(table, {**key, "task_type": name}, as_score(float(score)), recomputed.get(name))
        for name, score in sorted(each.task_scores.items())
        if recomputed.get(name) != as_score(float(score))
    ]


def _recompute(evidence: Evidence, each: _StoredScore, rule: Rule) -> Decimal | None:
    if evidence.column_of(each.pair) is None or not evidence.slices:
        return None
    return rule.recompute(evidence, each.pair, each.after_slice, each.basis.state)
