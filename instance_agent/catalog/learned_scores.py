"""Learned scores as an instance keeps them: which score wins, and the file that survives a restart."""

from dataclasses import dataclass, field, replace
from datetime import datetime

#: (model, complexity)
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScore:
    """One learned score.

    Attributes:
        score: 0.0 to 5.0.
        version: None for a score that somebody sent by hand, without one.
        at: when it was published, by the database's clock.
        mean, n_eff: the success probability behind it is Beta(mean n_eff, (1 - mean) n_eff); None when its rule, or whoever
            sent it, estimates none.
        probe_share: share of the tasks of this complexity that should go to this model to keep it judged, 0 to 1.
    """

    score: float
    version: int | None
    at: datetime
    reason: str | None = None
    mean: float | None = None
    n_eff: float | None = None
    probe_share: float | None = None

    def wins_over(self, other: "LearnedScore | None") -> bool:
        """Whether this score is to be used instead of `other`.

        Of two versions the higher wins. A score without a version stands until a newer version comes, so there the time of
        publication decides. The order in which scores arrive makes no difference, so reading a message twice, late, or
        only as part of the snapshot always ends in the same catalog.
        """
        if other is None:
            return True
        if self.version is not None and other.version is not None:
            return self.version > other.version
        if self.at != other.at:
            return self.at > other.at
        return self.version is not None and other.version is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScores:
    """Everything an instance has learned from one history of one database. Immutable: a change makes a new one.

    Attributes:
        epoch: names that history; None before the first contact.
        cursor: the newest message of `model_score_updates` that was read.
        version: the newest score version applied, 0 for none.
    """

    epoch: str | None = None
    cursor: int = 0
    version: int = 0
    scores: dict[Pair, LearnedScore] = field(default_factory=dict)

    def of(self, model: str, complexity: str) -> LearnedScore | None:
        """The learned score of a pair; None when there is none."""
        return self.scores.get((model, complexity))

    def with_score(self, pair: Pair, score: LearnedScore) -> "LearnedScores":
        """These scores with one more taken into account; the same object when it changes nothing."""
        version = max(self.version, score.version or 0)
        if score.wins_over(self.scores.get(pair)):
            return replace(self, version=version, scores={**self.scores, pair: score})
        return self if version == self.version else replace(self, version=version)
