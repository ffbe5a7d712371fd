"""Which model gets the most tasks, and why it need not be the one that the rules would choose. Pure.

The first is counted, over a time that the page names: it is true whatever pins, a freeze, a policy or a model that is not
active have to do with it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.words import SMALL_SHARE
from centralcloud.dashboard.sources.control import Control
from centralcloud.dashboard.sources.scores import PairScore
from centralcloud.dashboard.sources.targets import Registered
from centralcloud.dashboard.sources.traffic import PairTraffic
from centralcloud.monitoring.rule_choices import TIE_DIGITS
from centralcloud.runtime.wording import listed

_MOST_NAMED: Final = 3


class Leader(NamedTuple):
    """The model that got the most tasks of a complexity. `share`: of them, 0 to 1; `since`: the begin of the time."""

    model: str
    complexity: str
    share: float
    since: datetime


def leader_now(traffic: Sequence[PairTraffic], complexity: str) -> Leader | None:
    """Return the model that got most tasks of a complexity in the newest twelfth of the day; None without any."""
    newest = newest_parts(traffic)
    counts: dict[str, int] = defaultdict(int)
    for each in traffic:
        if each.complexity == complexity and each.start in newest:
            counts[each.model] += each.decisions
    best = max(counts, key=lambda model: (counts[model], model), default=None)
    if best is None or not counts[best]:
        return None
    return Leader(best, complexity, counts[best] / sum(counts.values()), min(newest))


def newest_parts(traffic: Sequence[PairTraffic]) -> frozenset[datetime]:
    """Return the parts of the time that are the newest twelfth of the day."""
    starts = sorted({each.start for each in traffic})
    return frozenset(starts[-max(1, len(starts) // 12) :])


def avoided_pairs(pairs: Sequence[PairScore], traffic: Sequence[PairTraffic]) -> list[tuple[PairScore, float]]:
    """Return the pairs that are surely worse than the best of their complexity and hardly get a task, the weakest first.

    Each comes with its share of the fleet's newest tasks, 0 to 1. A pair that an operator has pinned or rolled back is not
    one of them: learning does not decide about it.
    """
    newest, counts = newest_parts(traffic), defaultdict[tuple[str, str], int](int)
    for each in traffic:
        if each.start in newest:
            counts[each.model, each.complexity] += each.decisions
    total, best = sum(counts.values()), defaultdict[str, float](float)
    for pair in pairs:
        best[pair.complexity] = max(best[pair.complexity], pair.low or 0.0)
    weak = [each for each in pairs if each.high is not None and each.high < best[each.complexity]]
    found = [(each, counts[each.model, each.complexity] / total) for each in weak if total]
    avoided = [(each, share) for each, share in found if share < SMALL_SHARE and not each.pinned and not each.held]
    return sorted(avoided, key=lambda entry: (entry[0].mean or 0.0, entry[0].model, entry[0].complexity))


def inactive_models(registered: Sequence[Registered]) -> frozenset[str]:
    """Return the names of the registered models that get no request."""
    bodies = (each.value for each in registered if each.kind == "model")
    return frozenset(str(body["name"]) for body in bodies if body.get("status") == "inactive" and "name" in body)


def override_of(
    complexity: str,
    choice: str,
    pairs: Sequence[PairScore],
    control: Control | None,
    disabled: Collection[str],
) -> str | None:
    """Return a sentence on why routers do not choose the model that the active rule would choose; None: they do.

    Args:
        choice: the model with the highest score of the active rule.
        pairs: the published scores, by which routers choose.
        disabled: models that the configuration gives no request.
    """
    if choice in disabled:
        return f"{choice} is not active in the configuration: gateways give it no {complexity} task."
    scores = {each.model: each for each in pairs if each.complexity == complexity and each.model not in disabled}
    if not scores:
        return None
    best = max(round(each.score, TIE_DIGITS) for each in scores.values())
    leaders = sorted(model for model, each in scores.items() if round(each.score, TIE_DIGITS) == best)
    if choice in leaders:
        return None
    fixed = [scores[model] for model in (choice, *leaders) if model in scores]
    reasons = [f"{each.model} is pinned" for each in fixed if each.pinned]
    reasons += [f"{each.model} is held after a rollback" for each in fixed if each.held and not each.pinned]
    if control is not None and control.frozen_at is not None:
        reasons.append("learning is frozen")
    why = listed(reasons, _MOST_NAMED) if reasons else "the active rule's score is not published"
    has = "has the highest one" if len(leaders) == 1 else "have the highest ones"
    names = listed(leaders, _MOST_NAMED)
    return f"Routers go by the published scores of {complexity} tasks, and there {names} {has}: {why}."
