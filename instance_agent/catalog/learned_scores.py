"""Learned scores as an instance keeps them, and the rule by which one replaces another."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from centralcloud.contracts import NO_ESTIMATE, Estimate
from centralcloud.contracts.task_score import OTHER_TASK_TYPE, TaskScores
from centralcloud.contracts.text import normalize

#: (model, complexity)
Pair = tuple[str, str]
#: Pairs whose scores an instance keeps, in memory and in its file: some megabytes.
MOST_PAIRS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScore:
    """One learned score.

    Attributes:
        score: 0.0 to 5.0.
        version: None for a manual score without one.
        at: when it was published, by the database's clock.
        reason: a sentence with the numbers behind it; None for a manual score without one.
        estimate: the success probability behind it; empty for a manual score, and when the rule estimates none.
        task_types: the scores for tasks of one type, by its name; empty when there are none.
    """

    score: float
    version: int | None
    at: datetime
    reason: str | None = None
    estimate: Estimate = NO_ESTIMATE
    task_types: TaskScores = field(default_factory=dict)

    def for_task_type(self, name: str) -> "LearnedScore":
        """Return the score with the numbers for tasks of one type; the same object where none are known.

        Args:
            name: of the task type, as `LearnedScores.task_type_of` returns it.
        """
        task = self.task_types.get(name)
        return self if task is None else replace(self, score=task.score, estimate=task.estimate)

    def replaces(self, other: "LearnedScore | None") -> bool:
        """Whether to use this score instead of `other`.

        The higher of two versions wins. A score without a version is used until a newer version is published, so there the
        time of publication decides. The order in which scores arrive makes no difference: a message that is read twice or
        late, or a score that is seen in a snapshot only, leads to the same catalog.

        Args:
            other: the score of the same pair that is used now; None: the pair has none.
        """
        if other is None:
            return True
        if self.version is not None and other.version is not None:
            if self.version == other.version:  # as a version of the agent that knew no task types has stored it
                return bool(self.task_types) and not other.task_types
            return self.version > other.version
        if self.at != other.at:
            return self.at > other.at
        return self.version is not None and other.version is None


@dataclass(frozen=True, kw_only=True)
class LearnedScores:
    """All scores that an instance has received from one history of one database. Immutable.

    Attributes:
        epoch: identifies that history; None before the first contact.
        cursor: msg_id of the newest message of `model_score_updates` that was read.
        version: the newest score version applied, 0 for none.
        scores: the learned score of each (model, complexity).
    """

    epoch: str | None = None
    cursor: int = 0
    version: int = 0
    scores: dict[Pair, LearnedScore] = field(default_factory=dict)

    def of(self, model: str, complexity: str) -> LearnedScore | None:
        """Return the learned score of a pair; None when there is none.

        Args:
            model: the name of the model.
            complexity: ``simple``, ``medium`` or ``complex``.
        """
        return self.scores.get((model, complexity))

    @property
    def task_types(self) -> frozenset[str]:
        """The task types for which at least one pair has a score."""
        return self._task_types

    @cached_property
    def _task_types(self) -> frozenset[str]:
        return frozenset(name for score in self.scores.values() for name in score.task_types)

    def task_type_of(self, name: str | None) -> str | None:
        """Return the task type by whose scores tasks of type `name` are routed; None: by those of the pairs.

        Args:
            name: as the caller or a classifier gave it; one without scores of its own counts as ``other``.
        """
        known = self._task_types
        if not known or not name:
            return None
        if name in known or (name := normalize(name)) in known:
            return name
        return OTHER_TASK_TYPE if OTHER_TASK_TYPE in known else None

    def for_task_type(self, name: str) -> "LearnedScores":
        """Return these scores with those for tasks of one type in place of those of their pairs, where there are any.

        Args:
            name: of the task type, as `task_type_of` returns it.
        """
        found = self._by_task_type.get(name)
        if found is None:
            scores = {pair: score.for_task_type(name) for pair, score in self.scores.items()}
            found = self._by_task_type[name] = replace(self, scores=scores)
        return found

    @cached_property
    def _by_task_type(self) -> "dict[str, LearnedScores]":
        return {}

    def with_score(self, pair: Pair, score: LearnedScore) -> "LearnedScores":
        """Return these scores with one more applied; the same object when it changes nothing.

        Args:
            pair: the model and the complexity of the score.
            score: the score that was received.
        """
        return self.with_scores([(pair, score)])

    def with_scores(self, received: Iterable[tuple[Pair, LearnedScore]]) -> "LearnedScores":
        """Return these scores with others applied, all at once; the same object when they change nothing.

        Args:
            received: pairs, each with the score that was received for it.
        """
        version = self.version
        scores: dict[Pair, LearnedScore] | None = None
        for pair, score in received:
            version = max(version, score.version or 0)
            if score.replaces((self.scores if scores is None else scores).get(pair)):
                if scores is None:
                    scores = dict(self.scores)
                scores[pair] = score
        if scores is not None:
            return replace(self, version=version, scores=scores)
        return self if version == self.version else replace(self, version=version)

    def limited(self, models: Collection[str]) -> "LearnedScores":
        """Return these scores without the oldest ones beyond `MOST_PAIRS`; the same object when there are not so many.

        Args:
            models: the models of the catalog, whose scores are kept before those of other models.
        """
        if len(self.scores) <= MOST_PAIRS:
            return self

        def importance(item: tuple[Pair, LearnedScore]) -> tuple[bool, datetime, Pair]:
            (pair, score) = item
            return pair[0] in models, score.at, pair

        kept = sorted(self.scores.items(), key=importance, reverse=True)[:MOST_PAIRS]
        return replace(self, scores=dict(kept))
