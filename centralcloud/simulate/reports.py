"""What happened, and what the instances report of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from centralcloud.learning.evidence import Floats
from centralcloud.simulate.ground_truth import Integers, PhaseTruth


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks and what became of them; arrays of one length. Models, complexities, items, instances by number.

    Attributes:
        reward: 0 to 1.
        latency_ms, cost_usd: not a number where unknown.
        utility: the reward less what latency and cost take off.
    """

    instance: Integers
    complexity: Integers
    item: Integers
    model: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats
    utility: Floats

    @classmethod
    def done(
        cls, truth: PhaseTruth, instance: Integers, complexity: Integers, item: Integers, model: Integers
    ) -> "Tasks":
        """What becomes of tasks that are given to these models."""
        reward, latency_ms, cost_usd, utility = (np.empty(len(item)) for _ in range(4))
        for number, outcomes in enumerate(truth.by_complexity):
            of_it = complexity == number
            where = model[of_it], item[of_it]
            reward[of_it] = outcomes.reward[where]
            latency_ms[of_it] = outcomes.latency_ms[where]
            cost_usd[of_it] = outcomes.cost_usd[where]
            utility[of_it] = outcomes.utility[where]
        return cls(instance, complexity, item, model, reward, latency_ms, cost_usd, utility)

    def chosen(self, which: Integers) -> "Tasks":
        """Some of them, by their numbers; each as often as it is named."""
        return Tasks(*(getattr(self, part.name)[which] for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Reports:
    """Outcomes as they arrive; arrays of one length. Pairs are numbered as in `GroundTruth.pairs`."""

    instance: Integers
    pair: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats

    @classmethod
    def honest(cls, tasks: Tasks, complexities: int) -> "Reports":
        """What happened."""
        pair = tasks.model * complexities + tasks.complexity
        return cls(tasks.instance, pair, tasks.reward, tasks.latency_ms, tasks.cost_usd)

    @classmethod
    def joined(cls, reports: Sequence["Reports"]) -> "Reports":
        """All of them."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in reports]) for field in fields(cls)))

    def chosen(self, which: Integers) -> "Reports":
        """Some of them, by number."""
        return Reports(*(getattr(self, part.name)[which] for part in fields(self)))
