"""Completed tasks, and the instances' reports of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from centralcloud.runtime.arrays import Booleans, Floats, Integers
from centralcloud.simulate.ground_truth import PhaseTruth


@dataclass(frozen=True, slots=True)
class Tasks:
    """Completed tasks; arrays of one length. Models, complexities, task types, items and instances are numbers.

    Attributes:
        reward: 0 to 1; an expected one where it is estimated.
        latency_ms, cost_usd: NaN where unknown.
        utility: the reward less the penalties for latency and cost.
        estimated: whether the table lacks the outcome.
    """

    instance: Integers
    complexity: Integers
    task_type: Integers
    item: Integers
    model: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats
    utility: Floats
    estimated: Booleans

    @classmethod
    def done(cls, truth: PhaseTruth, instance: Integers, item: Integers, model: Integers) -> "Tasks":
        """Return the tasks, completed by these models."""
        outcomes, cell = truth.outcomes, (model, item)
        return cls(
            instance,
            outcomes.complexity[item],
            outcomes.task_type[item],
            item,
            model,
            outcomes.reward[cell],
            outcomes.latency_ms[cell],
            outcomes.cost_usd[cell],
            outcomes.utility[cell],
            outcomes.estimated[cell],
        )

    def chosen(self, which: Integers) -> "Tasks":
        """Select tasks by number; a number may be repeated."""
        return Tasks(*(getattr(self, part.name)[which] for part in fields(self)))

    def drawn(self, rng: np.random.Generator) -> "Tasks":
        """Draw a success or a failure in place of each estimated reward, as instances report it."""
        if not self.estimated.any():
            return self
        reward = np.where(self.estimated, rng.random(len(self.reward)) < self.reward, self.reward)
        return Tasks(*(reward if part.name == "reward" else getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Reports:
    """Reported outcomes; arrays of one length. Pairs are numbered as in `GroundTruth.pairs`."""

    instance: Integers
    pair: Integers
    task_type: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats

    @classmethod
    def honest(cls, tasks: Tasks, complexities: int) -> "Reports":
        """Return reports of the true outcomes."""
        pair = tasks.model * complexities + tasks.complexity
        return cls(tasks.instance, pair, tasks.task_type, tasks.reward, tasks.latency_ms, tasks.cost_usd)

    @classmethod
    def joined(cls, reports: Sequence["Reports"]) -> "Reports":
        """Concatenate reports."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in reports]) for field in fields(cls)))

    def chosen(self, which: Integers) -> "Reports":
        """Select reports by number."""
        return Reports(*(getattr(self, part.name)[which] for part in fields(self)))
