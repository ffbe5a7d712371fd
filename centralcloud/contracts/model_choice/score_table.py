"""Score tables, and what routers would do with them: the probability of each model, by complexity and task type. Pure."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate
from centralcloud.contracts.model_choice.selection import Candidate, Selection, method_for
from centralcloud.contracts.task_score import OTHER_TASK_TYPE, TaskScores


class TableScore(NamedTuple):
    """The score of a pair in a table.

    Attributes:
        score: 0.0 to 5.0.
        learned: whether it was published; else it is the one that instances have configured.
        estimate: the success probability behind it.
        task_types: the scores for tasks of one type, by its name.
    """

    model: str
    complexity: str
    score: float
    learned: bool = True
    estimate: Estimate = NO_ESTIMATE
    task_types: TaskScores = MappingProxyType({})


class ScoreTable:
    """The scores of all pairs at one time, or by one rule.

    Attributes:
        name: in words, such as "the configured scores".
        scores: one for each pair.
        notes: what limits the table, in sentences.
    """

    def __init__(self, name: str, scores: Iterable[TableScore], notes: Iterable[str] = ()) -> None:
        self.name = name
        self.scores = tuple(scores)
        self.notes = tuple(notes)
        self._chances: dict[tuple[str, str | None], Mapping[str, float]] = {}

    @cached_property
    def task_types(self) -> frozenset[str]:
        """The task types for which at least one pair has a score."""
        return frozenset(name for each in self.scores for name in each.task_types)

    def chances(self, complexity: str, task_type: str | None) -> Mapping[str, float]:
        """Return the probability with which a router would choose each model; empty without a score for the complexity.

        A router that may use every model of the table, without a preference, and that chooses none at random
        (`INSTANCE_AGENT_EXPLORATION`): by Thompson sampling where a score has an estimate, else the highest score.

        Args:
            complexity: ``simple``, ``medium`` or ``complex``.
            task_type: as it was recorded. One without scores of its own is routed as ``other``, or by those of the pairs.
        """
        scored_as = self._scored_as(task_type)
        key = complexity, scored_as
        found = self._chances.get(key)
        if found is None:
            found = self._chances[key] = self._compute(complexity, scored_as)
        return found

    def _scored_as(self, task_type: str | None) -> str | None:
        if not task_type or not self.task_types:
            return None
        if task_type in self.task_types:
            return task_type
        return OTHER_TASK_TYPE if OTHER_TASK_TYPE in self.task_types else None

    def _compute(self, complexity: str, scored_as: str | None) -> dict[str, float]:
        candidates = [_candidate(each, scored_as) for each in self.scores if each.complexity == complexity]
        if not candidates:
            return {}
        selection = Selection(candidates, method_for("auto", candidates))
        return {
            candidate.model: chance.propensity for candidate, chance in zip(candidates, selection.chances, strict=True)
        }


def _candidate(each: TableScore, scored_as: str | None) -> Candidate:
    task = each.task_types.get(scored_as) if scored_as is not None else None
    score, estimate = (each.score, each.estimate) if task is None else (task.score, task.estimate)
    return Candidate(model=each.model, score=score, value=score, learned=each.learned, estimate=estimate)
