"""Completed tasks, and the instances' reports of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from centralcloud.learning.arrays import Floats
from centralcloud.simulate.ground_truth import Integers, PhaseTruth


@dataclass(frozen=True, slots=True)
class Tasks:
    """Completed tasks; arrays of one length. Models, complexities, items and instances are numbers.

    Attributes:
        reward: 0 to 1.
        latency_ms, cost_usd: NaN where unknown.
        utility: the reward less the penalties for latency and cost.
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
        """Return the tasks, completed by these models."""
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
        """Select tasks by number; a number may be repeated."""
        return Tasks(*(getattr(self, part.name)[which] for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Reports:
    """Reported outcomes; arrays of one length. Pairs are numbered as in `GroundTruth.pairs`."""

    instance: Integers
    pair: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats

    @classmethod
    def honest(cls, tasks: Tasks, complexities: int) -> "Reports":
        """Return reports of the true outcomes."""
        pair = tasks.model * complexities + tasks.complexity
        return cls(tasks.instance, pair, tasks.reward, tasks.latency_ms, tasks.cost_usd)

    @classmethod
    def joined(cls, reports: Sequence["Reports"]) -> "Reports":
        """Concatenate reports."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in reports]) for field in fields(cls)))

    def chosen(self, which: Integers) -> "Reports":
        """Select reports by number."""
        return Reports(*(getattr(self, part.name)[which] for part in fields(self)))
