"""The standing of the models of policies by what is learned: who is demoted, and who is tried earlier for that. Pure."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from centralcloud.contracts import COMPLEXITIES
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.routing.demotion import Demotion, Promotion, demotions, promotions
from instance_agent.routing.routes import Route


class Standing(Struct, frozen=True, kw_only=True):
    """The models of one policy for one complexity, where at least one is demoted.

    Attributes:
        policy: whose models they are.
        level: ``simple``, ``medium`` or ``complex``.
        order: the names of the models as they are tried.
        demoted: tried last.
        promoted: tried before a model that is listed before them.
        scored_at: when the newest score among them was published.
    """

    policy: str
    level: str
    order: tuple[str, ...]
    demoted: tuple[Demotion, ...]
    promoted: tuple[Promotion, ...]
    scored_at: datetime


def standings(routes: Iterable[Route], learned: LearnedScores) -> list[Standing]:
    """Return the standings under policies whose order is ``priority``, those of their fallbacks apart."""
    found = []
    for route in routes:
        stage = route.stages[0] if route.stages else None
        if stage is None or stage.order != "priority" or stage.policy is None or stage.policy.name != route.policy:
            continue
        listed = list(dict.fromkeys(candidate.targets[0].model.name for candidate in stage.candidates))
        for level in COMPLEXITIES:
            scores = [(name, learned.of(name, level)) for name in listed]
            demoted = demotions(scores)
            if demoted:
                found.append(
                    Standing(
                        policy=stage.policy.name,
                        level=level,
                        order=tuple(sorted(listed, key=lambda name, last=demoted: name in last)),  # type: ignore[misc]
                        demoted=tuple(demoted.values()),
                        promoted=promotions(listed, demoted),
                        scored_at=max(score.at for _, score in scores if score is not None),
                    )
                )
    return found
