"""Tables of outcomes in memory: the outcome of every model for every task, recorded or estimated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from centralcloud.runtime.arrays import Booleans, Floats, Integers


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """The outcomes of some models. Items are sorted by complexity.

    Attributes:
        models: the rows of every array of shape (models, items).
        complexities: those that have items, in the order of `COMPLEXITIES`.
        task_types: names; empty if no item has one.
        complexity, task_type: of each item, as numbers; shape (items,).
        reward: success, 0 to 1; an expected one where it is estimated.
        latency_ms, cost_usd: NaN where unknown.
        estimated: which outcomes are not recorded but estimated.
        recorded: number of recorded outcomes; shape (models, complexities). A model with none at a complexity cannot be
            chosen there.
    """

    models: tuple[str, ...]
    complexities: tuple[str, ...]
    task_types: tuple[str, ...]
    complexity: Integers
    task_type: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats
    estimated: Booleans
    recorded: Integers

    @property
    def items(self) -> Integers:
        """Number of items of each complexity."""
        counts: Integers = np.bincount(self.complexity, minlength=len(self.complexities)).astype(np.int64)
        return counts

    def items_of(self, complexity: int) -> Booleans:
        """Return which items are of a complexity, given as a number."""
        which: Booleans = self.complexity == complexity
        return which

    def ranking(self) -> list[str]:
        """Return the models, best first, by mean success; every complexity weighs the same. Ties are sorted by name."""
        means = np.column_stack([self.reward[:, self.items_of(c)].mean(axis=1) for c in range(len(self.complexities))])
        mean = (
            np.average(means, axis=1, weights=None) if (self.recorded > 0).all() else _mean_where(means, self.recorded)
        )
        return [name for _, name in sorted(zip(-mean, self.models, strict=True))]


class OutcomeSource(Protocol):
    """A source of tables: a file, or the records of a site."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model."""

    @property
    def complexities(self) -> tuple[str, ...]:
        """The complexities that have outcomes."""

    def table(self, models: Iterable[str] | None = None) -> OutcomeTable:
        """Return the outcomes of `models` (default: all)."""


def _mean_where(means: Floats, recorded: Integers) -> Floats:
    offered = recorded > 0
    mean: Floats = np.where(offered, means, 0.0).sum(axis=1) / np.maximum(offered.sum(axis=1), 1)
    return mean
