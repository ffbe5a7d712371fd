"""The routers of the simulated instances. They share one set of scores, so a single router is enough."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from centralcloud.learning.rule import Score
from centralcloud.simulate.ground_truth import GroundTruth, Integers
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair
from instance_agent.catalog.model import Model
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.selection import SelectionMode

#: Time of publication of scores; no result depends on it.
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
#: The score in the catalog for a model that was never used.
UNTRIED_SCORE: Final = 2.5


class Fleet:
    """Chooses models as instances do, by the scores of the last tick."""

    def __init__(
        self, ground_truth: GroundTruth, rng: random.Random, known: Mapping[str, float], *, selection: SelectionMode
    ) -> None:
        """Create the routers. `known`: learned scores of models, 0.0 to 5.0, that the instances begin with."""
        self._entries = [
            Model(
                name=model,
                provider="simulated",
                complexity_scores=dict.fromkeys(ground_truth.complexities, UNTRIED_SCORE),
            )
            for model in ground_truth.models
        ]
        self._number = {model: number for number, model in enumerate(ground_truth.models)}
        self._complexities = ground_truth.complexities
        self._scores: dict[Pair, LearnedScore] = {
            (model, complexity): LearnedScore(score=score, version=0, at=_NOW)
            for model, score in known.items()
            for complexity in ground_truth.complexities
        }
        self._version = 0
        self._rng = rng
        self._selection: SelectionMode = selection
        self._catalog = ModelCatalog([])
        self.offer(range(len(ground_truth.models)))

    def offer(self, present: Iterable[int]) -> None:
        """Make these models the ones in the catalogs."""
        self._catalog = ModelCatalog([self._entries[number] for number in present])
        self._router = ModelRouter(self._catalog, instance_id="simulated", selection=self._selection, rng=self._rng)
        self._use_scores()

    def learn(self, scores: Iterable[Score]) -> None:
        """Apply scores; those of other pairs stay."""
        self._version += 1
        for score in scores:
            self._scores[score.pair] = LearnedScore(
                score=float(score.score),
                version=self._version,
                at=_NOW,
                estimate=score.estimate,
            )
        self._use_scores()

    def choose(self, complexities: Integers) -> tuple[Integers, int]:
        """Choose the model for each task; returns also how many of the choices were probes."""
        probes = 0
        models = np.empty(len(complexities), dtype=np.int64)
        choose, number = self._router.choose, self._number
        names = [self._complexities[complexity] for complexity in complexities]
        for position, complexity in enumerate(names):
            choice = choose(complexity)
            models[position] = number[choice.model.name]
            probes += choice.kind == "probe"
        return models, probes

    def _use_scores(self) -> None:
        self._catalog.use(LearnedScores(version=self._version, scores=dict(self._scores)))
