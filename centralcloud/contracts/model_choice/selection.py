"""The selection of a model among the candidates for a task, as probabilities.

There are two methods. `greedy` takes the best value. `thompson` (Thompson 1933) draws each model's success probability from
its posterior, subtracts the penalty for the model's latency and cost, and takes the best draw. The less is known of a model,
the more its draws vary, so a model is tried as often as it may be the best. Both methods honour the probe shares of the
scores.
"""

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Literal

from msgspec import Struct

from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate
from centralcloud.contracts.limits import SCORE_MAX
from centralcloud.contracts.model_choice.best_probability import BetaPosterior, FixedValue, probability_best

SelectionMethod = Literal["thompson", "greedy"]
#: `auto`: Thompson sampling if at least one score comes with an estimate, else greedy.
SelectionMode = Literal["auto", "thompson", "greedy"]
#: Why a model was selected: as the best, as a probe, or at random.
SelectionKind = Literal["best", "probe", "exploration"]

#: All probes together take at most this share of the tasks: most tasks should go to the best model.
_MAX_PROBE_SHARE: Final = 0.5
#: A configured score counts as an estimate that is worth two outcomes, with a mean in this range.
_CONFIGURED_N_EFF: Final = 2.0
_MIN_CONFIGURED_MEAN, _MAX_CONFIGURED_MEAN = 0.1, 0.9


class Candidate(Struct, frozen=True, kw_only=True):
    """A model that may be selected.

    Attributes:
        model: its name; entries of the same name (several providers) share one posterior and one probe share.
        score: 0.0 to 5.0.
        value: what it is ranked by: `score`, multiplied by a scale that all candidates share, plus a bonus of its own.
        learned: whether the score was learned; else it is configured.
        estimate: the success probability behind the score; empty when only a score is known.
    """

    model: str
    score: float
    value: float
    learned: bool = True
    estimate: Estimate = NO_ESTIMATE

    @property
    def penalty(self) -> float | None:
        """Mean less the score as a probability, 0 to 1: the cost of latency and money; None without a mean."""
        mean = self.estimate.mean
        return None if mean is None else max(0.0, mean - self.score / SCORE_MAX)


class Chance(Struct, frozen=True):
    """The probabilities that a candidate is selected, 0 to 1.

    Attributes:
        win: as the best, given that the task is neither a probe nor an exploration.
        probe: as a probe, given that the task is not an exploration.
        propensity: for any reason.
    """

    win: float
    probe: float
    propensity: float


class Selection:
    """The probabilities of the candidates, from which a task's model is sampled with one random number. Immutable.

    Attributes:
        method: how the best candidate is found.
        chances: the probabilities of each candidate.
        outcomes: the possible results of `sample`: the index of a candidate, and why it was selected.
    """

    def __init__(
        self, candidates: Sequence[Candidate], method: SelectionMethod, *, scale: float = 1.0, exploration: float = 0.0
    ) -> None:
        """`scale` is that of the candidates' values. With probability `exploration`, all candidates are equally likely."""
        self.method = method
        number = len(candidates)
        exploration = exploration if number > 1 else 0.0
        wins = _thompson_wins(candidates, scale) if method == "thompson" else _greedy_wins(candidates)
        probes = probe_shares_of(candidates)
        best = 1.0 - math.fsum(probes)
        self.chances = tuple(
            Chance(win, probe, exploration / number + (1 - exploration) * (probe + best * win))
            for win, probe in zip(wins, probes, strict=True)
        )
        # One slice of (0, 1) for each candidate and each reason to select it.
        slices: list[tuple[float, tuple[int, SelectionKind]]] = []
        for index, chance in enumerate(self.chances):
            slices += [
                ((1 - exploration) * best * chance.win, (index, "best")),
                ((1 - exploration) * chance.probe, (index, "probe")),
                (exploration / number, (index, "exploration")),
            ]
        slices = [(width, outcome) for width, outcome in slices if width > 0]
        self.outcomes = tuple(outcome for _, outcome in slices)
        self._starts = list(accumulate((width for width, _ in slices[:-1]), initial=0.0))

    def sample(self, rng: random.Random) -> tuple[int, SelectionKind]:
        """Return the index of the selected candidate, and why it was selected."""
        return self.outcomes[bisect_right(self._starts, rng.random()) - 1]


def method_for(mode: SelectionMode, candidates: Sequence[Candidate]) -> SelectionMethod:
    """Return how the best of these candidates is found in a mode."""
    if mode != "auto":
        return mode
    return "greedy" if all(candidate.estimate.mean is None for candidate in candidates) else "thompson"


def _greedy_wins(candidates: Sequence[Candidate]) -> list[float]:
    best = max(candidate.value for candidate in candidates)
    equals = sum(candidate.value == best for candidate in candidates)
    return [1 / equals if candidate.value == best else 0.0 for candidate in candidates]


def _thompson_wins(candidates: Sequence[Candidate], scale: float) -> list[float]:
    """Return the probability that each candidate is the best."""
    groups = group_draws(candidates, scale)
    wins = [0.0] * len(candidates)
    for (group, _), win in zip(groups, probability_best([quantity for _, quantity in groups]), strict=True):
        for index in group:
            wins[index] = win / len(group)
    return wins


def group_draws(
    candidates: Sequence[Candidate], scale: float = 1.0
) -> list[tuple[list[int], FixedValue | BetaPosterior]]:
    """Return the quantities that Thompson sampling draws, each with the candidates that share a draw, by index.

    A model has one draw for all its entries. It counts for the entry with the best value; entries of equal value share it.
    """
    groups: dict[str | int, list[int]] = {}
    for index, candidate in enumerate(candidates):
        group = groups.setdefault(index if candidate.estimate.mean is None else candidate.model, [])
        if group and candidate.value > candidates[group[0]].value:
            group.clear()
        if not group or candidate.value == candidates[group[0]].value:
            group.append(index)
    return [(group, _quantity(candidates[group[0]], scale)) for group in groups.values()]


def _quantity(candidate: Candidate, scale: float) -> FixedValue | BetaPosterior:
    """Return a candidate's value on the scale of success probabilities, 0 to 1: divided by 5 and by `scale`."""
    value = candidate.value / SCORE_MAX / scale
    bonus = value - candidate.score / SCORE_MAX
    beta, penalty = candidate.estimate.beta, candidate.penalty
    if beta is not None and penalty is not None:
        return BetaPosterior(*beta, bonus - penalty)
    if candidate.learned:
        return FixedValue(value)
    mean = min(max(candidate.score / SCORE_MAX, _MIN_CONFIGURED_MEAN), _MAX_CONFIGURED_MEAN)
    return BetaPosterior(mean * _CONFIGURED_N_EFF, (1 - mean) * _CONFIGURED_N_EFF, bonus)


def probe_shares_of(candidates: Sequence[Candidate]) -> list[float]:
    """Return the probe share of each candidate. Entries of one model share it; a lone candidate needs none."""
    if len(candidates) == 1:
        return [0.0]
    entries = Counter(candidate.model for candidate in candidates)
    shares = [(candidate.estimate.probe_share or 0.0) / entries[candidate.model] for candidate in candidates]
    excess = max(1.0, math.fsum(shares) / _MAX_PROBE_SHARE)
    return [share / excess for share in shares]
