"""The routers of the simulated instances. They share one set of scores, so a single router is enough."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.learning.rule import Score
from centralcloud.runtime.arrays import Booleans, Integers
from centralcloud.simulate.draws import Draws
from centralcloud.simulate.ground_truth import GroundTruth
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair
from instance_agent.catalog.model import Model
from instance_agent.routing.router import ModelRouter

#: Time of publication of scores; no result depends on it.
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
#: The score in the catalog for a model that was never used.
UNTRIED_SCORE: Final = 2.5


class Fleet:
    """Chooses models as instances do, by the scores of the last tick."""

    def __init__(
        self,
        ground_truth: GroundTruth,
        rng: np.random.Generator,
        known: Mapping[str, float],
        *,
        selection: SelectionMode,
    ) -> None:
        """Create the routers. `known`: learned scores of models, 0.0 to 5.0, that the instances begin with."""
        self._models = ground_truth.models
        self._number = {model: number for number, model in enumerate(ground_truth.models)}
        self._complexities = ground_truth.complexities
        self._task_types: tuple[str | None, ...] = ground_truth.task_types or (None,)
        self._scores: dict[Pair, LearnedScore] = {
            (model, complexity): LearnedScore(score=score, version=0, at=_NOW)
            for model, score in known.items()
            for complexity in ground_truth.complexities
        }
        self._version = 0
        self._rng = rng
        self._selection: SelectionMode = selection
        self._draws: dict[tuple[int, int], Draws] = {}
        self.offer(ground_truth.phases[0].present)

    def offer(self, present: Booleans) -> None:
        """Make these pairs the ones in the catalogs; shape (models, complexities)."""
        entries = [
            Model(
                name=model,
                provider="simulated",
                complexity_scores={
                    complexity: UNTRIED_SCORE
                    for complexity, here in zip(self._complexities, of_model, strict=True)
                    if here
                },
            )
            for model, of_model in zip(self._models, present, strict=True)
            if of_model.any()
        ]
        self._offered = {(entry.name, complexity) for entry in entries for complexity in entry.complexity_scores}
        self._catalog = ModelCatalog(entries)
        self._router = ModelRouter(self._catalog, instance_id="simulated", selection=self._selection)
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
                task_types=score.task_types,
            )
        self._use_scores()

    def choose(self, complexity: Integers, task_type: Integers) -> tuple[Integers, int]:
        """Choose the model for each task; returns also how many of the choices were probes."""
        models = np.empty(len(complexity), dtype=np.int64)
        probes = 0
        cell = complexity * len(self._task_types) + task_type
        for each in np.flatnonzero(np.bincount(cell)).tolist():
            tasks = np.flatnonzero(cell == each)
            draws = self._draws_for(*divmod(each, len(self._task_types)))
            models[tasks], probed = draws.sample(len(tasks), self._rng)
            probes += probed
        return models, probes

    def _draws_for(self, complexity: int, task_type: int) -> Draws:
        key = complexity, task_type
        if key not in self._draws:
            candidates, method = self._router.candidates(
                self._complexities[complexity], task_type=self._task_types[task_type]
            )
            numbers = np.array([self._number[candidate.model] for candidate in candidates])
            self._draws[key] = Draws(candidates, method, numbers)
        return self._draws[key]

    def _use_scores(self) -> None:
        scores: dict[Pair, LearnedScore] = {
            pair: score for pair, score in self._scores.items() if pair in self._offered
        }
        self._catalog.use(LearnedScores(version=self._version, scores=scores))
        self._draws.clear()
