"""Generated worlds: tables of outcomes drawn from a few numbers, one for each seed.

No rule was tuned on them, and their truth is known.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from centralcloud.contracts import COMPLEXITIES
from centralcloud.runtime.arrays import Floats
from centralcloud.simulate.ground_truth import GroundTruth, make_ground_truth
from centralcloud.simulate.outcome_table import OutcomeTable
from centralcloud.simulate.scenario import Scenario

#: Part of a seed, beside the seed of the run.
_STREAM: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Models and tasks to draw worlds of.

    Attributes:
        models: number of models, called model-1 to model-n.
        items: number of tasks, spread evenly over the complexities.
        alpha, beta: success of a model at a complexity is Beta distributed.
        task_types: number of task types, called type-1 to type-n, equally frequent; 0: none.
        type_effect: standard deviation of the effect of a task type on the logit of the success of a model at a complexity.
    """

    models: int
    items: int
    alpha: float = 4.0
    beta: float = 2.0
    task_types: int = 0
    type_effect: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The models."""
        return tuple(f"model-{number}" for number in range(1, self.models + 1))

    def draw(self, rng: np.random.Generator) -> OutcomeTable:
        """Draw a table: the rates of all models, then each outcome."""
        complexity = np.sort(np.arange(self.items) % len(COMPLEXITIES))
        task_type = rng.integers(max(self.task_types, 1), size=self.items)
        rates = rng.beta(self.alpha, self.beta, size=(self.models, len(COMPLEXITIES)))
        effects = self.type_effect * rng.standard_normal((self.models, len(COMPLEXITIES), max(self.task_types, 1)))
        logits = np.log(rates / (1 - rates))[:, :, None] + effects
        chance: Floats = 1 / (1 + np.exp(-logits[:, complexity, task_type]))
        reward = (rng.random(chance.shape) < chance).astype(np.float64)
        counts = np.bincount(complexity)
        return OutcomeTable(
            self.names,
            COMPLEXITIES,
            tuple(f"type-{number}" for number in range(1, self.task_types + 1)),
            complexity,
            task_type,
            reward,
            np.full(chance.shape, np.nan),
            np.full(chance.shape, np.nan),
            np.zeros(chance.shape, dtype=np.bool_),
            np.tile(counts, (self.models, 1)),
        )


@dataclass(frozen=True, slots=True)
class GeneratedWorld:
    """A scenario in the worlds of a population, one for each seed."""

    scenario: Scenario
    population: Population

    def for_seed(self, seed: int) -> GroundTruth:
        """Return the truth of the run with this seed."""
        return make_ground_truth(self.scenario, self.population.draw(np.random.default_rng([seed, _STREAM])))
