"""The scores of every rule: of the active one, which are published, and of those in its shadow."""

from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.monitoring.rule_choices import read_active_rule
from centralcloud.runtime.postgres.query import Query


class RuleScore(NamedTuple):
    """The newest score of a pair by one rule.

    Attributes:
        score: 0 to 5.
        samples: the outcomes that it rests on.
        success_rate: of these outcomes, 0 to 1; None without any.
        mean, low, high: the estimated success rate and its 90% interval, 0 to 1; None for a rule that estimates none.
    """

    rule: str
    model: str
    complexity: str
    score: float
    samples: int
    success_rate: float | None
    mean: float | None
    low: float | None
    high: float | None


_LIST_RULE_SCORES = Query(__package__, "list_rule_scores", row=RuleScore)

#: The scores of all rules, by rule, model and complexity.
RULE_SCORES: Final = Source("rule_scores", Tier.SCORES, lambda connection: tuple(_LIST_RULE_SCORES.all(connection)))
#: The name of the rule whose scores are published; None before the first daemon has started.
ACTIVE_RULE: Final = Source("active_rule", Tier.QUARTER, read_active_rule)
