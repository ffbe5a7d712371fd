"""Catalogs and requests for tests of the planner."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

from centralcloud.contracts import Estimate
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.model import Model
from instance_agent.catalog.provider import Provider
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.task import hints_from_headers

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PROVIDERS = [
    Provider(provider="p", base_url="http://10.0.0.1/v1"),
    Provider(provider="q", base_url="http://10.0.0.2/v1"),
]
MISSING = Provider(provider="none", base_url="http://10.0.0.3/v1", api_key="env:SURELY_NOT_SET_ANYWHERE")


def model(name: str, score: float | None = 3.0, *, provider: str = "p", **fields) -> Model:
    scores = {} if score is None else dict.fromkeys(("simple", "medium", "complex"), score)
    return Model(**{"name": name, "provider": provider, "complexity_scores": scores, **fields})


def snapshot(
    *models: Model,
    learned: LearnedScores | None = None,
    aliases: dict[str, str] | None = None,
    providers: Sequence[Provider] = (),
) -> CatalogSnapshot:
    configuration = build_configuration(models, [*PROVIDERS, MISSING, *providers], aliases)
    return CatalogSnapshot(configuration.models, learned or LearnedScores(), configuration)


def estimated(**means: float) -> LearnedScores:
    scores = {
        (name, complexity): LearnedScore(
            score=5 * mean, version=9, at=NOW, estimate=Estimate(mean=mean, n_eff=40, probe_share=0.05)
        )
        for name, mean in means.items()
        for complexity in ("simple", "medium", "complex")
    }
    return LearnedScores(epoch="e", version=9, scores=scores)


def learned(**scores: tuple[float, float] | float) -> LearnedScores:
    """Scores of models for medium tasks: a score, or mean and n_eff."""
    return LearnedScores(
        epoch="e", version=3,
        scores={
            (name, "medium"): LearnedScore(
                score=each if isinstance(each, float) else 5 * each[0], version=3, at=NOW,
                estimate=Estimate() if isinstance(each, float) else Estimate(mean=each[0], n_eff=each[1]),
            )
            for name, each in scores.items()
        },
    )  # fmt: skip


def request(complexity: str | int | None = "medium", **fields) -> RoutingRequest:
    headers = {} if complexity is None else {"x-centralcloud-complexity": str(complexity)}
    return RoutingRequest(headers=hints_from_headers(headers), **fields)


def a_planner(**options) -> Planner:
    return Planner(rng=random.Random(1), **options)


def names(plan) -> list[str]:
    return [planned.target.model.name for planned in plan.targets]


def keys(plan) -> list[str]:
    return [planned.target.key for planned in plan.targets]


def struck(plan) -> dict[str, str]:
    return {each.key: each.code for each in plan.struck}
