"""Choices for many tasks at once, drawn from the posteriors.

For one task, the router computes the probability of each model first: its choice then costs one random number, and its
propensity is exact. A simulation needs no propensities, and drawing from the posteriors, as Thompson sampling is defined,
takes it half the time.
"""

from collections.abc import Sequence

import numpy as np

from centralcloud.contracts.model_choice.best_probability import BetaPosterior, FixedValue
from centralcloud.contracts.model_choice.posterior_table import LARGEST_PARAMETER, SMALLEST_PARAMETER
from centralcloud.contracts.model_choice.selection import Candidate, SelectionMethod, group_draws, probe_shares_of
from centralcloud.runtime.arrays import Booleans, Floats, Integers


class Draws:
    """The choices by one state of the scores: those of `Selection`, with the same probabilities."""

    def __init__(self, candidates: Sequence[Candidate], method: SelectionMethod, numbers: Integers) -> None:
        """`numbers`: of the candidates' models, which `sample` returns."""
        self._numbers = numbers
        self._probes_until = np.cumsum(probe_shares_of(candidates))
        if method == "greedy":
            best = max(candidate.value for candidate in candidates)
            groups: list[tuple[list[int], FixedValue | BetaPosterior]] = [
                ([index], FixedValue(candidate.value))
                for index, candidate in enumerate(candidates)
                if candidate.value == best
            ]
        else:
            groups = group_draws(candidates)
        fixed = [(members, one.value) for members, one in groups if isinstance(one, FixedValue)]
        self._floor = max((value for _, value in fixed), default=-np.inf)
        self._at_floor = [index for members, value in fixed if value == self._floor for index in members]
        drawn = [(members, one) for members, one in groups if isinstance(one, BetaPosterior)]
        self._members = [members for members, _ in drawn]
        self._first = np.array([members[0] for members in self._members], dtype=np.int64)
        self._shared = [number for number, members in enumerate(self._members) if len(members) > 1]
        alpha, beta, shift = np.array([one for _, one in drawn]).reshape(-1, 3).T
        self._alpha, self._beta = (
            np.clip(parameter, SMALLEST_PARAMETER, LARGEST_PARAMETER) for parameter in (alpha, beta)
        )
        self._shift = shift

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Integers, int]:
        """Choose for `count` tasks; returns the models, and how many of them are probes."""
        chosen = self._best(count, rng)
        at = rng.random(count)
        probed = at < self._probes_until[-1]
        chosen[probed] = np.searchsorted(self._probes_until, at[probed], side="right")
        return self._numbers[chosen], int(probed.sum())

    def _best(self, count: int, rng: np.random.Generator) -> Integers:
        """Return the candidate with the largest draw for each task."""
        if not self._members:
            return self._one_of(self._at_floor, count, rng)
        draws: Floats = rng.beta(self._alpha, self._beta, size=(count, len(self._alpha))) + self._shift
        column = np.argmax(draws, axis=1)
        chosen: Integers = self._first[column]
        for number in self._shared:
            of_it = column == number
            chosen[of_it] = self._one_of(self._members[number], int(of_it.sum()), rng)
        if self._at_floor:
            below: Booleans = draws.max(axis=1) < self._floor
            chosen[below] = self._one_of(self._at_floor, int(below.sum()), rng)
        return chosen

    def _one_of(self, members: Sequence[int], count: int, rng: np.random.Generator) -> Integers:
        drawn: Integers = np.array(members)[rng.integers(len(members), size=count)]
        return drawn
