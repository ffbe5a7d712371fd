"""The published scores, and how they moved."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class PairScore(NamedTuple):
    """The published score of a pair.

    Attributes:
        score: 0 to 5.
        rule: that has published it; ``operator`` for one that was set by hand.
        samples: the outcomes that it rests on.
        mean, low, high: the estimated success rate and its interval, 0 to 1, where the rule has one.
        pinned_until: while it is pinned, the end of the pin, None for one without an end.
    """

    model: str
    complexity: str
    score: float
    version: int
    updated_at: datetime
    rule: str
    samples: int | None
    mean: float | None
    low: float | None
    high: float | None
    pinned: bool
    pinned_until: datetime | None
    held: bool


class ScoreChange(NamedTuple):
    """A published change of a score. `old_score`: None for the first one."""

    version: int
    at: datetime
    model: str
    complexity: str
    old_score: float | None
    new_score: float


_LIST_PAIRS = Query(__package__, "list_pairs", row=PairScore)
_RECENT_CHANGES = Query(__package__, "recent_changes", row=ScoreChange)

#: The pairs of models that are not retired, by model and complexity.
PAIRS: Final = Source("pairs", Tier.SCORES, lambda connection: tuple(_LIST_PAIRS.all(connection)))
#: Changes of the last 24 hours, oldest first, at most 5,000: the newest ones.
CHANGES: Final = Source("changes", Tier.SCORES, lambda connection: tuple(_RECENT_CHANGES.all(connection)))
