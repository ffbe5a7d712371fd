"""Which of the suitable models a task goes to, as probabilities: the better its score the likelier, and probes besides.

Two ways. `greedy` takes the best value. `thompson` (Thompson 1933) draws each model's success probability from what is known
of it and takes the best draw, less what the model costs in time and money: the less is known of a model, the more its draws
vary, so it is tried as often as it may turn out to be the best. Both honour the probe shares that came with the scores.
"""

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

from centralcloud.contracts import SCORE_MAX
from instance_agent.routing.best_probability import BetaPosterior, Point, probability_best

SelectionMethod = Literal["thompson", "greedy"]
#: `auto`: Thompson sampling where the scores allow for it.
SelectionMode = Literal["auto", "thompson", "greedy"]
#: How a model was come by: as the best, as a probe, or at random.
SelectionKind = Literal["best", "probe", "exploration"]

#: All probes together take at most this share of the tasks: what is known has to be used, too.
_MOST_PROBES: Final = 0.5
#: A configured score is worth two outcomes, and never makes sure of success or of failure.
_CONFIGURED_OUTCOMES: Final = 2.0
_LEAST_CONFIGURED, _MOST_CONFIGURED = 0.1, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be chosen.

    Attributes:
        model: its name; entries of the same name (several providers) share what is known of it.
        score: 0.0 to 5.0.
        value: what it is ranked by: `score`, scaled alike for all candidates, plus a bonus of its own.
        learned: whether the score was learned; else it is a mere setting.
        mean, n_eff: the success probability is Beta(mean n_eff, (1 - mean) n_eff); None when only a score is known.
        probe_share: share of the tasks that should go to it to keep it judged, 0 to 1.
    """

    model: str
    score: float
    value: float
    learned: bool = True
    mean: float | None = None
    n_eff: float | None = None
    probe_share: float = 0.0

    @property
    def penalty(self) -> float | None:
        """What time and money have taken off the mean on the way to the score, 0 to 1; None without a mean."""
        return None if self.mean is None else max(0.0, self.mean - self.score / SCORE_MAX)


@dataclass(frozen=True, slots=True)
class Chance:
    """How probable it is that a candidate is chosen.

    Attributes:
        win: that it is the best, in the draw of a task that is neither probe nor exploration.
        probe: that it is chosen as a probe, of tasks that are not explorations.
        propensity: that it is chosen, in whichever way.
    """

    win: float
    probe: float
    propensity: float


class Selection:
    """The chances of some candidates, from which a task's model is drawn with a single random number. Immutable.

    Attributes:
        chances: of each candidate.
        possible: what a draw can come out with: the index of a candidate, and how it was come by.
    """

    def __init__(
        self, candidates: Sequence[Candidate], method: SelectionMethod, *, scale: float = 1.0, exploration: float = 0.0
    ) -> None:
        """`scale` is that of the candidates' values; with probability `exploration` any of them is taken."""
        self.method = method
        number = len(candidates)
        exploration = exploration if number > 1 else 0.0
        wins = _thompson_wins(candidates, scale) if method == "thompson" else _greedy_wins(candidates)
        probes = _probes(candidates)
        drawn = 1.0 - math.fsum(probes)
        self.chances = tuple(
            Chance(win, probe, exploration / number + (1 - exploration) * (probe + drawn * win))
            for win, probe in zip(wins, probes, strict=True)
        )
        # One slice of (0, 1) for each way in which each candidate can be chosen.
        slices: list[tuple[float, tuple[int, SelectionKind]]] = []
        for index, chance in enumerate(self.chances):
            slices += [
                ((1 - exploration) * drawn * chance.win, (index, "best")),
                ((1 - exploration) * chance.probe, (index, "probe")),
                (exploration / number, (index, "exploration")),
            ]
        slices = [(width, choice) for width, choice in slices if width > 0]
        self.outcomes = tuple(choice for _, choice in slices)
        self._starts = list(accumulate((width for width, _ in slices[:-1]), initial=0.0))

    def sample(self, rng: random.Random) -> tuple[int, SelectionKind]:
        """The index of the candidate that is chosen, and how it was come by."""
        return self.outcomes[bisect_right(self._starts, rng.random()) - 1]


def _greedy_wins(candidates: Sequence[Candidate]) -> list[float]:
    best = max(candidate.value for candidate in candidates)
    equals = sum(candidate.value == best for candidate in candidates)
    return [1 / equals if candidate.value == best else 0.0 for candidate in candidates]


def _thompson_wins(candidates: Sequence[Candidate], scale: float) -> list[float]:
    """What is known of a model is drawn once for all its entries: the best by value gains from it, and equals share."""
    groups: dict[str | int, list[int]] = {}
    for index, candidate in enumerate(candidates):
        group = groups.setdefault(index if candidate.mean is None else candidate.model, [])
        if group and candidate.value > candidates[group[0]].value:
            group.clear()
        if not group or candidate.value == candidates[group[0]].value:
            group.append(index)
    contestants = [_contestant(candidates[group[0]], scale) for group in groups.values()]
    wins = [0.0] * len(candidates)
    for group, win in zip(groups.values(), probability_best(contestants), strict=True):
        for index in group:
            wins[index] = win / len(group)
    return wins


def _contestant(candidate: Candidate, scale: float) -> Point | BetaPosterior:
    """A candidate on the scale of success probabilities, 0 to 1: a value there is divided by 5 and by `scale`."""
    value = candidate.value / SCORE_MAX / scale
    bonus = value - candidate.score / SCORE_MAX
    mean, n_eff, penalty = candidate.mean, candidate.n_eff, candidate.penalty
    if mean is not None and n_eff is not None and penalty is not None:
        return BetaPosterior(mean * n_eff, (1 - mean) * n_eff, bonus - penalty)
    if candidate.learned:
        return Point(value)
    mean = min(max(candidate.score / SCORE_MAX, _LEAST_CONFIGURED), _MOST_CONFIGURED)
    return BetaPosterior(mean * _CONFIGURED_OUTCOMES, (1 - mean) * _CONFIGURED_OUTCOMES, bonus)


def _probes(candidates: Sequence[Candidate]) -> list[float]:
    """The probe share of each candidate. Entries of one model share it; a lone candidate needs none."""
    if len(candidates) == 1:
        return [0.0]
    entries = Counter(candidate.model for candidate in candidates)
    shares = [candidate.probe_share / entries[candidate.model] for candidate in candidates]
    excess = max(1.0, math.fsum(shares) / _MOST_PROBES)
    return [share / excess for share in shares]
