"""The choice of the scores that a run publishes."""

from typing import NamedTuple

from centralcloud.learning.current_scores import CurrentScore
from centralcloud.learning.evidence import Evidence
from centralcloud.learning.publication import Publication
from centralcloud.learning.rule_scores import new_rule_scores
from centralcloud.learning.run_input import Evaluation, RunInput
from centralcloud.learning.safety import exceeds_limits


class Selection(NamedTuple):
    """The scores to publish, or the reasons why none is published."""

    publications: list[Publication]
    withheld: list[str]


def select_publications(run_input: RunInput, evaluation: Evaluation, *, force: bool) -> Selection:
    """Select the scores of the active rule that differ enough from the published ones.

    Pairs that are retired, pinned or on hold are left out, and everything while learning is frozen. `force` skips the safety
    limits.
    """
    if evaluation.rejections:
        return Selection([], evaluation.rejections)
    active = run_input.by_rule[run_input.active]
    free = [
        current for current in run_input.current if not current.withheld(_outcomes_since_hold(active.evidence, current))
    ]
    before = {
        current.pair: active.stored[current.pair].score.score for current in free if current.pair in active.stored
    }
    if not force and (reasons := exceeds_limits(evaluation.result.scores, before, run_input.settings.safety)):
        return Selection([], reasons)
    if run_input.control.frozen_reason is not None:
        return Selection([], [])
    # A pair that was not evaluated in this run may still have an earlier score to publish, for example after `unpin`. Except
    # for the score that a rollback took back: it stays stored until the rule evaluates the pair again.
    on_hold = {each.pair for each in free if each.held_after_slice is not None}
    earlier = {pair: each for pair, each in active.stored.items() if each.basis.recomputable or pair not in on_hold}
    scores = {**earlier, **new_rule_scores(evaluation.result, active.evidence.excluded)}
    publications = [
        Publication(current, scores[current.pair].score, scores[current.pair].basis)
        for current in free
        if current.pair in scores and current.differs_from(scores[current.pair].score)
    ]
    return Selection(publications, [])


def _outcomes_since_hold(evidence: Evidence, current: CurrentScore) -> float:
    """Number of outcomes of a pair since it was rolled back; 0 for a pair that is not on hold."""
    column = evidence.column_of(current.pair)
    if current.held_after_slice is None or column is None:
        return 0.0
    held = evidence.position_after(current.held_after_slice)
    return float(evidence.total("outcomes")[column] - evidence.total("outcomes", held)[column])
