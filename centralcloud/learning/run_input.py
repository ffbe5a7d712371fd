"""The input of a run of the learner, read as of one moment, and the results of the rules on it."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.model_changes import read_model_changes, read_new_versions
from centralcloud.learning.rule import Quarantine, Rule, RuleResult
from centralcloud.learning.rule_scores import RuleScore, read_rule_scores
from centralcloud.learning.safety import invalid_fields
from centralcloud.learning.settings import LearningSettings
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

_T = TypeVar("_T")


class Control(NamedTuple):
    """The one row of `learning_control`.

    Attributes:
        history: identifies the history of the database that all numbers here belong to.
        through_slice: the newest slice up to which all evidence is complete; 0: none is.
        revision: counts everything that is written about scores.
        evidence_generation: counts changes of old evidence.
        frozen_reason: why learning is frozen; None if it is not.
    """

    history: str
    through_slice: int
    revision: int
    evidence_generation: int
    frozen_reason: str | None


_LEARNING_CONTROL = Query(__package__, "learning_control", row=Control)


@dataclass(frozen=True, slots=True)
class RuleInput:
    """The input of one rule.

    Attributes:
        stored: the rule's last score for each pair.
        excluded: the instances whose evidence the rule leaves out in this run.
        evidence: all evidence except theirs.
        failure: why the rule failed; None if it did not.
    """

    stored: Mapping[Pair, RuleScore]
    excluded: list[Quarantine]
    evidence: Evidence
    failure: str | None


@dataclass(frozen=True, slots=True)
class RunInput:
    """The input of one run, as of one moment; `by_rule` holds that of each rule, by its name."""

    settings: LearningSettings
    control: Control
    current: list[CurrentScore]
    by_rule: dict[str, RuleInput]

    @property
    def active(self) -> str:
        """The name of the active rule, whose scores are published."""
        return self.settings.rules[0].name


class Evaluation(NamedTuple):
    """The result of one rule, and the reasons why it must not be used; without reasons it may."""

    result: RuleResult
    rejections: list[str]


def read_control(connection: psycopg.Connection[Any]) -> Control:
    """Read the row of `learning_control`.

    Raises:
        CentralCloudError: the table is empty.
    """
    control = _LEARNING_CONTROL.maybe(connection)
    if control is None:
        raise CentralCloudError("learning_control: found no row, expected one; `centralcloud verify --repair` makes it")
    return control


def read_run_input(
    connection: psycopg.Connection[Any],
    settings: LearningSettings,
    reader: EvidenceReader,
    *,
    with_open_slice: bool = False,
) -> RunInput:
    """Read the input of a run on all complete evidence; `with_open_slice`: also on what the transaction has gathered."""
    control = read_control(connection)
    through_slice = None if with_open_slice else control.through_slice
    current = read_current_scores(connection, settings.learning)
    known = {each.pair for each in current}
    stored = read_rule_scores(connection)
    reported = {each.pair: each.last_reported_score for each in current if each.last_reported_score is not None}
    recent = reader.recent(connection, through_slice, pairs=known)
    changes = read_model_changes(connection, known)
    new_versions = read_new_versions(connection, known)
    by_rule = {}
    for rule in settings.rules:
        excluded, failure = _call(rule, partial(rule.exclude, recent), list[Quarantine]())
        evidence = reader.evidence(
            connection,
            through_slice,
            history=control.history,
            generation=control.evidence_generation,
            pairs=known,
            excluded=[instance.instance_id for instance in excluded],
            reported=reported,
            changes=changes,
            new_versions=new_versions,
        )
        scores = {pair: score for pair, score in stored.get(rule.name, {}).items() if pair in known}
        by_rule[rule.name] = RuleInput(scores, excluded, evidence, failure)
    reader.forget_all_but(each.evidence.excluded for each in by_rule.values())
    return RunInput(settings, control, current, by_rule)


def evaluate_rules(run_input: RunInput) -> dict[str, Evaluation]:
    """Let every rule evaluate its input; by the rule's name. A rule that fails does not stop the others."""
    retired = {current.model for current in run_input.current if current.retired_at is not None}
    return {rule.name: _evaluate(rule, run_input.by_rule[rule.name], retired) for rule in run_input.settings.rules}


def _evaluate(rule: Rule, rule_input: RuleInput, retired: set[str]) -> Evaluation:
    nothing = RuleResult([], {})
    if rule_input.failure is not None:
        return Evaluation(nothing, [rule_input.failure])
    if not rule_input.evidence.slices:
        return Evaluation(nothing, [])
    states = {pair: each.basis.state for pair, each in rule_input.stored.items() if pair[0] not in retired}
    result, failure = _call(rule, partial(rule.evaluate, rule_input.evidence, states), nothing)
    if failure is not None:
        return Evaluation(nothing, [failure])
    return Evaluation(result, invalid_fields(result))


def _call(rule: Rule, work: Callable[[], _T], otherwise: _T) -> tuple[_T, str | None]:
    """Return the result of `work` and None. If it fails, return `otherwise` and the reason: the daemon must go on."""
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - an installed rule may raise anything
        log.error("rule_failed", rule=rule.name, error=repr(error), traceback=traceback.format_exception(error))
        return otherwise, f"the rule {rule.name} failed: {error!r}"
