"""The choice of a shadow rule for a request: the candidate that its scores put first. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from centralcloud.dashboard.sources.request import RuleScore


class Shadow(NamedTuple):
    """The leader of a rule that is not published.

    Attributes:
        leader: the candidate with its best score.
        chosen_score: its score for the model that was called first; None: it has none.
        agrees: whether its leader is that model.
        of_then: whether its scores are those of the request's time. The scores of a shadow rule have no history: they are,
            as long as it has not computed them again since.
        evaluated_at: when it last computed one of them.
    """

    rule: str
    leader: str
    score: float
    chosen: str
    chosen_score: float | None
    agrees: bool
    of_then: bool
    evaluated_at: datetime


def shadows_of(
    scores: Sequence[RuleScore], candidates: Collection[str], chosen: str, began: datetime
) -> tuple[Shadow, ...]:
    """Return the leader of each shadow rule among the candidates of a request, by the name of the rule.

    Args:
        scores: of every rule, for the complexity of the request.
        candidates: names of models.
        chosen: the model that was called first.
        began: when the request began.
    """
    published = {each.rule for each in scores if each.published}
    found = []
    for rule in sorted({each.rule for each in scores} - published):
        own = {each.model: each for each in scores if each.rule == rule and each.model in candidates}
        if not own:
            continue
        leader = max(own.values(), key=lambda each: (each.score, each.model == chosen))
        evaluated_at = max(each.evaluated_at for each in own.values())
        found.append(
            Shadow(
                rule,
                leader.model,
                leader.score,
                chosen,
                own[chosen].score if chosen in own else None,
                leader.model == chosen,
                evaluated_at <= began,
                evaluated_at,
            )
        )
    return tuple(found)
